"""The table of data sets agrees with itself, with the facts of the genuine files and with the published counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cmirnet_cli.errors import UsageError
from cmirnet_cli.refer.registry import SPLITS, PublishedCounts, belongs, choose_split_by, legal_splits, published_counts


def test_every_data_set_has_a_default_split_by() -> None:
    assert {dataset: choose_split_by(dataset, None) for dataset in SPLITS} == {
        "refcoco": "unc",
        "refcoco+": "unc",
        "refcocog": "umd",
        "refclef": "unc",
        "grefcoco": "unc",
        "rrsisd": "unc",
        "combined": "unc+umd",
    }


def test_an_unknown_data_set_without_split_by_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        choose_split_by("refcocoo", None)
    assert caught.value.message == (
        "no data set is called 'refcocoo'; there are refcoco (unc, google), refcoco+ (unc), refcocog (umd, google), "
        "refclef (unc, berkeley), grefcoco (unc), rrsisd (unc), combined (unc+umd)"
    )
    assert "--split-by" in str(caught.value.hint)


def test_ones_own_data_set_takes_any_split_by() -> None:
    assert choose_split_by("refcoco128", "template") == "template"
    assert legal_splits("refcoco128", "template") == ()


@pytest.mark.parametrize("dataset", ["", " ", ".", "cups/", "a/b", "../cups", "/data/cups", "photos/cups.json"])
def test_a_name_that_is_no_name_of_a_folder_is_refused(dataset: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{dataset!r} cannot be the name of a data set")) as caught:
        choose_split_by(dataset, "x")
    assert caught.value.hint == "name the folders of its files with --annotations DIR and --images DIR; a file of annotations must exist"


def test_a_split_by_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'\.\./x' cannot be the name of a division into splits"):
        choose_split_by("cups", "../x")


def test_refcocog_google_has_no_test_split() -> None:
    assert legal_splits("refcocog", "google") == ("train", "val")


@pytest.mark.parametrize(
    ("label", "splits"),
    [
        ("train", {"train"}),
        ("val", {"val"}),
        ("test", {"test"}),
        ("testA", {"testA", "test"}),
        ("testAB", {"testA", "testB", "testAB", "test"}),
        ("testBC", {"testB", "testC", "test"}),
        ("testAround", set()),
    ],
)
def test_a_referent_belongs_to_every_test_split_its_label_names(label: str, splits: set[str]) -> None:
    all_splits = ("train", "val", "test", "testA", "testB", "testC", "testAB")
    assert {split for split in all_splits if belongs(label, split)} == splits


def test_published_counts_of_refcoco_are_those_of_the_papers() -> None:
    counts = published_counts("refcoco", "unc")
    assert counts["train"] == PublishedCounts(42404, 16994, 120624, ())
    assert [counts[split].sentences for split in ("val", "testA", "testB")] == [10834, 5657, 5095]
    assert counts["total"].refs == 50000


def test_counts_of_which_one_is_not_published_are_not_taken_for_zero() -> None:
    assert published_counts("refcoco", "unc")["total"].known == (50_000, 19_994, 142_210)
    with pytest.raises(LookupError, match="not every count is published"):
        _ = published_counts("refcoco", "google")["train"].known


def test_a_wrong_split_by_is_refused_for_every_data_set() -> None:
    for dataset, divisions in SPLITS.items():
        with pytest.raises(UsageError, match=re.escape(f"{dataset} has no split_by 'nobody'; it has {' and '.join(divisions)}")) as caught:
            choose_split_by(dataset, "nobody")
        assert caught.value.hint == f"try --split-by {next(iter(divisions))}"


def test_published_counts_add_up() -> None:
    compared = []
    for dataset, split_by, field in ((name, by, field) for name in SPLITS for by in SPLITS[name] for field in ("refs", "sentences")):
        counts = published_counts(dataset, split_by)
        parts = [getattr(numbers, field) for split, numbers in counts.items() if split != "total"]
        total = getattr(counts["total"], field) if "total" in counts else None
        if parts and total is not None and None not in parts:
            compared.append((dataset, split_by, field))
            assert sum(parts) == total, compared[-1]
    assert ("refcoco", "unc", "refs") in compared


def test_unconfirmed_counts_say_so() -> None:
    assert published_counts("refcocog", "umd")["train"].unconfirmed == ("sentences",)
    assert published_counts("rrsisd", "unc")["val"].unconfirmed == ("refs", "sentences")
    assert published_counts("combined", "unc+umd") == published_counts("my own", "x") == {}


def test_published_counts_are_those_of_the_collected_table(shared_data: Path) -> None:
    table = json.loads((shared_data / "published_counts.json").read_text(encoding="utf-8"))
    named = {key: numbers for key, numbers in table.items() if "/" in key}
    assert len(named) == 8
    for key, splits in named.items():
        ours = published_counts(*key.split("/"))
        for split, numbers in splits.items():
            if isinstance(numbers, dict):
                theirs = [numbers.get(field) for field in ("refs", "images", "sents")]
                cleaned = [int(value.split()[0]) if isinstance(value, str) else value for value in theirs]
                assert [ours[split].refs, ours[split].images, ours[split].sentences] == cleaned
