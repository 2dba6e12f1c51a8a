"""`combined` holds what it says and no photograph that is tested on; photographs are told apart by COCO's numbers in their names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmirnet_cli.errors import AnnotationError, UsageError
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence
from cmirnet_cli.refer.sources import combine, read_source

SPLITS = {
    ("refcoco", "unc"): ("train", "val", "testA", "testB"),
    ("refcoco+", "unc"): ("train", "val", "testA", "testB"),
    ("refcocog", "umd"): ("train", "val", "test"),
}
Division = dict[str, list[int]]
"""Split → the COCO numbers of its photographs."""


def part(name: str, split_by: str, division: Division) -> ReferDataset:
    """One referent with two sentences on each photograph; every part numbers its own from 0."""
    referents: list[Referent] = []
    for split, numbers in division.items():
        for number in numbers:
            image = ImageRecord(number, Path(f"/photos/COCO_train2014_{number:012}.jpg"), 480, 640)
            ref_id = len(referents)
            said = tuple(Sentence(2 * ref_id + k, f"{name} {split} {number} {k}") for k in range(2))
            referents.append(Referent(ref_id, split, image, "thing", (), said))
    return ReferDataset(name, split_by, tuple(referents), (Path(name) / f"refs({split_by}).p", Path(name) / "instances.json"))


def parts(divisions: list[Division]) -> list[ReferDataset]:
    return [part(*named, division) for named, division in zip(SPLITS, divisions, strict=True)]


def photographs(dataset: ReferDataset, *splits: str) -> set[str]:
    """COCO's numbers of the photographs of some splits, read from the file names."""
    files = [referent.image.path.name for referent in dataset.referents if referent.split in splits]
    return {re.fullmatch(r"COCO_train2014_(\d{12})\.jpg", name).group(1) for name in files}


@pytest.fixture
def divisions() -> list[Division]:
    return [
        {"train": [1, 2, 3, 4, 5], "val": [10, 11], "testA": [20], "testB": [21]},
        {"train": [1, 2, 10, 20, 6], "val": [11, 12], "testA": [3], "testB": [22]},
        {"train": [5, 7, 21, 12, 20], "val": [4, 13, 22], "test": [2, 23, 10]},
    ]


def test_train_holds_what_is_left_when_every_tested_photograph_is_gone(divisions: list[Division]):
    combined = combine(parts(divisions))
    said = {referent.sentences[0].text for referent in combined.referents}
    assert said == {
        *("refcoco train 1 0", "refcoco train 5 0", "refcoco+ train 1 0", "refcoco+ train 6 0", "refcocog train 5 0", "refcocog train 7 0"),
        *("refcoco val 11 0", "refcoco+ val 11 0", "refcoco+ val 12 0", "refcocog val 4 0", "refcocog val 13 0"),
    }
    assert combined.splits == ("train", "val")
    assert (combined.name, combined.split_by) == ("combined", "unc+umd")


@pytest.mark.parametrize("seed", range(20))
def test_no_photograph_of_one_split_is_in_another(seed: int):
    rng = np.random.default_rng(seed)
    divisions: list[Division] = []
    for splits in SPLITS.values():
        assigned = rng.choice(len(splits), size=60, p=[0.85, *[0.15 / (len(splits) - 1)] * (len(splits) - 1)])
        assigned[: len(splits)] = range(len(splits))
        numbers = rng.permutation(90)[:60]
        divisions.append({split: numbers[assigned == code].tolist() for code, split in enumerate(splits)})
    three = parts(divisions)
    combined = combine(three)
    tested = set().union(*(photographs(one, "testA", "testB", "test") for one in three))
    judged = tested.union(*(photographs(one, "val") for one in three))
    trained = set().union(*(photographs(one, "train") for one in three))
    assert photographs(combined, "train") == trained - judged
    assert photographs(combined, "val") == judged - tested
    assert trained & judged, "otherwise there was nothing to leave out"


def test_ids_stay_distinct_and_lead_back_to_their_data_set(divisions: list[Division]):
    combined = combine(parts(divisions))
    ref_ids = [referent.ref_id for referent in combined.referents]
    sentences = [sentence for referent in combined.referents for sentence in referent.sentences]
    assert len(set(ref_ids)) == len(ref_ids)
    assert len({sentence.sent_id for sentence in sentences}) == len(sentences)
    names = ["refcoco", "refcoco+", "refcocog"]
    originals = {sentence.text: (one.name, sentence.sent_id) for one in parts(divisions) for r in one.referents for sentence in r.sentences}
    for sentence in sentences:
        place, own = divmod(sentence.sent_id, 10_000_000)
        assert (names[place], own) == originals[sentence.text]


def test_a_photograph_of_several_parts_is_one(divisions: list[Division]):
    combined = combine(parts(divisions))
    assert [image.image_id for image in combined.images] == [1, 5, 11, 6, 12, 7, 4, 13]


def test_what_was_left_out_is_said_in_numbers(divisions: list[Division]):
    assert combine(parts(divisions)).remarks == (
        "combined: 9 of 15 train referents are left out: their photograph is in a val or test split of the three",
        "combined: 2 of 7 val referents are left out: their photograph is in a test split of the three",
    )


def test_every_annotation_file_shapes_it(divisions: list[Division]):
    assert [str(file) for file in combine(parts(divisions)).annotation_files] == [
        *("refcoco/refs(unc).p", "refcoco/instances.json", "refcoco+/refs(unc).p"),
        *("refcoco+/instances.json", "refcocog/refs(umd).p", "refcocog/instances.json"),
    ]


def test_a_label_nobody_knows_counts_as_tested(divisions: list[Division]):
    divisions[0]["holdout"] = [1, 13]
    combined = combine(parts(divisions))
    assert not photographs(combined, "train", "val") & {f"{1:012}", f"{13:012}"}
    assert combined.splits == ("train", "val")


def test_a_part_without_one_of_its_splits_is_refused(divisions: list[Division]):
    del divisions[1]["testB"]
    with pytest.raises(AnnotationError, match=r"refcoco\+/refs\(unc\)\.p has no testB: which photographs"):
        combine(parts(divisions))


@pytest.mark.parametrize(
    "other",
    [
        {"path": Path("/photos/other.jpg")},
        {"height": 481},
        {"image_id": 999},
    ],
)
def test_parts_that_disagree_about_a_photograph_are_refused(divisions: list[Division], other: dict[str, object]):
    three = parts(divisions)
    first = three[2].referents[0]
    changed = replace(first, image=replace(first.image, **other))
    three[2] = replace(three[2], referents=(changed, *three[2].referents[1:]))
    with pytest.raises(AnnotationError, match=r"the annotations of refcocog describe image .* others of image 5 "):
        combine(three)


@pytest.mark.parametrize("ref_id", [-1, 10_000_000])
def test_an_id_that_could_be_anothers_is_refused(divisions: list[Division], ref_id: int):
    three = parts(divisions)
    three[1] = replace(three[1], referents=(replace(three[1].referents[0], ref_id=ref_id), *three[1].referents[1:]))
    with pytest.raises(AnnotationError, match=rf"refcoco\+ has the id {ref_id}"):
        combine(three)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.json", "does not exist"),
        ("nowhere/annotations", "does not exist"),
        ("https://nobody.org/a.json", "is an address, and only hf:// is fetched"),
    ],
)
def test_a_path_that_leads_nowhere_is_not_taken_for_a_name(name: str, problem: str):
    with pytest.raises(AnnotationError, match=f"{name} {problem}"):
        read_source(name)


def test_a_folder_without_annotations_is_not_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(AnnotationError, match="does not recognise the format of photos"):
        read_source("photos")
    (tmp_path / "photos" / "refs(mine).p").touch()
    with pytest.raises(UsageError, match="no data set is called 'photos'"):
        read_source("photos")
