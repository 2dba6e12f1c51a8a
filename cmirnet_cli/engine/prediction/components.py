"""The largest connected part of a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

_BORDER = 2
"""Empty columns between one row and the next in the row of all rows, so that no run touches across the image's border."""


def largest_component(mask: Mask) -> Mask:
    """The connected part of a bool (H, W) mask that has the most pixels; of equals the one that begins first in reading order.

    Pixels are connected where they share an edge or a corner. An empty mask stays empty.
    """
    runs = _runs_of(mask)
    if not len(runs.starts):
        return mask.copy()
    labels = _labels(len(runs.starts), *_touching(runs))
    sizes = np.bincount(labels, weights=runs.ends - runs.starts)
    return _drawn(runs, labels == sizes.argmax(), mask.shape)


@dataclass(frozen=True)
class _Runs:
    """The rows' runs of set pixels, as places in the row of all rows: the first pixel's, and the one after the last."""

    starts: Indices
    ends: Indices
    stride: int


def _runs_of(mask: Mask) -> _Runs:
    padded = np.pad(mask, ((0, 0), (1, _BORDER - 1))).reshape(-1)
    edges = np.flatnonzero(padded[1:] != padded[:-1]) + 1
    return _Runs(edges[::2], edges[1::2], mask.shape[1] + _BORDER)


def _touching(runs: _Runs) -> tuple[Indices, Indices]:
    """Every two runs of neighbouring rows that share an edge or a corner: those of the upper row, and theirs below."""
    first = np.searchsorted(runs.ends, runs.starts + runs.stride, side="left")
    counts = np.maximum(np.searchsorted(runs.starts, runs.ends + runs.stride, side="right") - first, 0)
    upper = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, first[upper] + within


def _labels(count: int, upper: Indices, lower: Indices) -> Indices:
    """For each run the first run that it is connected with: both of a pair take the lower label, until nothing changes."""
    labels = np.arange(count)
    while (labels[upper] != labels[lower]).any():
        lowest = np.minimum(labels[upper], labels[lower])
        roots = np.concatenate([labels[upper], labels[lower]])
        np.minimum.at(labels, roots, np.concatenate([lowest, lowest]))
        labels = _followed(labels)
    return labels


def _followed(labels: Indices) -> Indices:
    """Each label replaced by the label of the run that it names, to the end of the chain."""
    while (labels != (further := labels[labels])).any():
        labels = further
    return labels


def _drawn(runs: _Runs, chosen: NDArray[np.bool_], shape: tuple[int, ...]) -> Mask:
    height, width = shape
    steps = np.zeros(height * runs.stride + 1, np.int8)
    steps[runs.starts[chosen]] = 1
    steps[runs.ends[chosen]] = -1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_).reshape(height, runs.stride)[:, 1 : width + 1]
