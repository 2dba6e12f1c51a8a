"""The legal data sets: which split_by names each has, which splits those have, and the counts that were published for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from cmirnet_cli.errors import UsageError

SPLITS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "refcoco": {"unc": ("train", "val", "testA", "testB"), "google": ("train", "val", "test")},
        "refcoco+": {"unc": ("train", "val", "testA", "testB")},
        "refcocog": {"umd": ("train", "val", "test"), "google": ("train", "val")},
        "refclef": {"unc": ("train", "val", "testA", "testB", "testC"), "berkeley": ("train", "val", "test")},
        "grefcoco": {"unc": ("train", "val", "testA", "testB")},
        "rrsisd": {"unc": ("train", "val", "test")},
        "combined": {"unc+umd": ("train", "val")},
    }
)
"""Data set → split_by → splits. The first split_by of a data set is its default. Splits by google share images. `sources`
says what the splits of `combined` hold."""


@dataclass(frozen=True)
class PublishedCounts:
    """How many referents, images and sentences a split is published to have; None where no published value is known.

    `unconfirmed` names the fields whose value is generally quoted but was not found in a primary source. A difference between
    these counts and a file is worth a warning, never a refusal.
    """

    refs: int | None
    images: int | None
    sentences: int | None
    unconfirmed: tuple[str, ...]

    @property
    def known(self) -> tuple[int, int, int]:
        """Referents, images and sentences. Raises LookupError where one of them is not known."""
        if self.refs is None or self.images is None or self.sentences is None:
            raise LookupError(f"not every count is published: {self}")
        return self.refs, self.images, self.sentences


def choose_split_by(dataset: str, split_by: str | None) -> str:
    """The split_by to read: `split_by` if it is legal for `dataset`, the data set's default if it is None.

    A data set that is not in `SPLITS` is one's own: its `split_by` must be given, and any is legal.

    Raises:
        UsageError: the choice is not legal, and the message lists what is; or a name of one's own cannot be that of a folder.
    """
    if dataset not in SPLITS:
        _require_name(dataset, "a data set")
        if split_by is None:
            known = ", ".join(f"{name} ({', '.join(divisions)})" for name, divisions in SPLITS.items())
            raise UsageError(
                f"no data set is called {dataset!r}; there are {known}",
                hint="for a data set of your own in REFER layout, give --split-by X if its file is called refs(X).p",
            )
        _require_name(split_by, "a division into splits")
        return split_by
    legal = tuple(SPLITS[dataset])
    if split_by is not None and split_by not in legal:
        raise UsageError(f"{dataset} has no split_by {split_by!r}; it has {' and '.join(legal)}", hint=f"try --split-by {legal[0]}")
    return split_by or legal[0]


def _require_name(name: str, what: str) -> None:
    """A name is part of its cache folder's name, so it must be one that a folder can have."""
    if not name.strip() or PurePath(name).name != name:
        hint = "name the folders of its files with --annotations DIR and --images DIR; a file of annotations must exist"
        raise UsageError(f"{name!r} cannot be the name of {what}", hint=hint)


def legal_splits(dataset: str, split_by: str) -> tuple[str, ...]:
    """The splits of `dataset` under `split_by`; empty for a data set of one's own, whose labels decide."""
    return SPLITS.get(dataset, {}).get(split_by, ())


def belongs(label: str, split: str) -> bool:
    """Whether a referent labelled `label` is part of `split`.

    refclef (unc) labels referents that belong to several test splits `testAB`, `testBC`: they are part of each of those. `test` takes in
    every label of a test split, as REFER's own reader does.
    """
    if split == "test":
        return re.fullmatch("test[ABC]*", label) is not None
    if re.fullmatch("test[ABC]", split):
        return re.fullmatch("test[ABC]+", label) is not None and split[-1] in label[len("test") :]
    return label == split


def published_counts(dataset: str, split_by: str) -> Mapping[str, PublishedCounts]:
    """Split → published counts, with "total" for the whole; splits of which nothing is known are absent."""
    entry = _table()["counts"].get(dataset, {}).get(split_by, {"splits": {}})
    return {
        split: PublishedCounts(row.get("refs"), row.get("images"), row.get("sentences"), tuple(row.get("unconfirmed", ())))
        for split, row in entry["splits"].items()
    }


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads((files("cmirnet_cli.refer") / "published_counts.json").read_text(encoding="utf-8"))
    return table
