"""Every head and every inner output of a forward pass, against the official code's.

The graph step sorts text nodes by distance. Some of the golden cases' distances differ by no more than rounding, which so decides the
order, and with it all that follows; how fp32 rounds depends on the processor and on the number of threads. In float64 nothing is left open.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

FIXTURES = Path(__file__).parents[1] / "fixtures"
FP32_TOLERANCE = 1e-3
"""Of a tensor's standard deviation, as the golden files' own README sets it."""
TOLERANCE = 1e-4
"""The same, where ours rounds nothing and what is left are the roundings of the official run."""
SORTED = ("cgip", "cmae")
"""Golden names of what follows the sorting begin so."""


def named(prefix: str, suffix: str = "") -> list[tuple[str, str]]:
    """(case, name) of every golden entry with this prefix and suffix."""
    return [
        (case, key.removeprefix(prefix).removesuffix(suffix))
        for case in ("swin-b-224", "resnet50-224")
        for key in np.load(FIXTURES / f"{case}.npz").files
        if key.startswith(prefix) and key.endswith(suffix)
    ]


OUTPUTS, HEADS, MASKS = named("act.", ".sample"), named("logits."), named("mask.")
UNSORTED = [(case, name) for case, name in OUTPUTS if not name.startswith(SORTED)]


def assert_official(run: Callable, case: str, name: str, dtype: torch.dtype, tolerance: float) -> None:
    golden, ours = run(case, dtype).golden, run(case, dtype).outputs[name]
    mean, std = golden[f"act.{name}.mean_std"]
    assert ours.shape == tuple(golden[f"act.{name}.shape"])
    assert np.abs(ours.sample - golden[f"act.{name}.sample"]).max() <= tolerance * std
    assert ours.mean == pytest.approx(mean, abs=tolerance * std)
    assert ours.std == pytest.approx(std, rel=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_inner_output_is_the_official_one(run: Callable, case: str, name: str):
    assert_official(run, case, name, torch.float64, TOLERANCE)


@pytest.mark.parametrize(("case", "name"), UNSORTED)
def test_inner_output_in_fp32_is_the_official_one_until_rounding_decides_an_order(run: Callable, case: str, name: str):
    assert_official(run, case, name, torch.float32, FP32_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "head"), HEADS)
def test_logits_of_a_head_are_the_official_ones(run: Callable, case: str, head: str):
    ours = run(case, torch.float64)
    expected = ours.golden[f"logits.{head}"]
    assert np.abs(ours.heads[head][:, :, ::8, ::8].numpy() - expected).max() <= TOLERANCE * expected.std()


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("case", "head"), MASKS)
def test_mask_of_a_head_is_the_official_one_on_more_than_999_pixels_of_a_thousand(run: Callable, case: str, head: str, dtype: torch.dtype):
    ours = np.packbits(run(case, dtype).heads[head].argmax(dim=1).numpy().astype(bool))
    differing = np.unpackbits(ours ^ run(case, dtype).golden[f"mask.{head}"]).mean()
    assert differing < 1e-3
