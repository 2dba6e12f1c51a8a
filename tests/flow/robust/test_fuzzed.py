"""Annotation files that hypothesis damaged, through the whole of `prepare-data`: a cache that reads, or a clear error.

What is damaged: a few records true to each of COCO's forms. How: fields that are missing, of another type or of another record, huge
numbers, ids twice or of nothing, hostile text, outlines that are none, bytes that are cut or flipped.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Judged = Callable[..., Any]

BOX = [2, 2, 20, 2, 20, 20, 2, 20]
RUNS = {"size": [32, 32], "counts": [100, 24, 900]}
COMPRESSED = {"size": [32, 32], "counts": "S46j000000000000000000000000000000m;"}
SENTENCES = [{"sent_id": 1, "raw": "The RED cup!", "sent": "the red cup", "tokens": ["the"]}, {"sent_id": 2, "sent": "left"}]
REFS: list[dict[str, Any]] = [
    {"ref_id": 1, "ann_id": 10, "image_id": 1, "category_id": 1, "split": "train", "sentences": SENTENCES, "file_name": "x"},
    {"ref_id": 2, "ann_id": [11, 12], "image_id": 1, "category_id": [1, 2], "split": "val", "no_target": False, "sentences": SENTENCES},
    {"ref_id": 3, "ann_id": [-1], "image_id": 2, "category_id": -1, "split": "val", "no_target": True, "sentences": SENTENCES},
]
INSTANCES: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "one.png", "height": 32, "width": 32},
        {"id": 2, "file_name": "two.jpg", "height": 24, "width": 32},
    ],
    "annotations": [
        {"id": 10, "image_id": 1, "segmentation": [BOX, [1, 1, 3, 1, 3, 3]]},
        {"id": 11, "image_id": 1, "segmentation": RUNS},
        {"id": 12, "image_id": 1, "segmentation": [COMPRESSED]},
    ],
    "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "dog"}],
}
LINES: list[dict[str, Any]] = [
    {"image": "one.png", "expression": "the red cup", "polygons": [BOX], "split": "train"},
    {"image": "one.png", "expression": "the dog", "rle": RUNS, "split": "val"},
    {"image": "one.png", "expression": "both", "rle": [COMPRESSED], "split": "val"},
    {"image": "one.png", "expression": "noise", "mask": "mask.png", "split": "val"},
    {"image": "two.jpg", "expression": "nothing", "polygons": [], "split": "train"},
]
DEEP = "@deep@"
"""Stands for 600 lists in one another, which JSON can say and Python cannot write."""

NUMBERS: SearchStrategy[Any] = st.one_of(
    st.integers(-40, 40),
    st.sampled_from([2**31, 2**32, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400]),
    st.floats(),
)
TEXTS: SearchStrategy[str] = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", " ", "\0", "a\0b", "\ud800", "a\udfff", "x" * 10_001, "y" * 300, "\x1b[2J", "\u202e", "😀", "é\n", "1", DEEP]),
    st.sampled_from(["one.png", "two.jpg", "three.png", "absent.png", "mask.png", ".", "..", "/dev/zero", "../one.png", "a/" * 1200]),
)
OUTLINES: SearchStrategy[Any] = st.one_of(
    st.lists(st.lists(NUMBERS, max_size=9), max_size=3),
    st.lists(st.lists(st.integers(-20, 60), min_size=6, max_size=6), min_size=1, max_size=2),
    st.sampled_from([[[5, 5] * 3], [[1, 1, 9, 9, 5, 5]], [[100, 100, 110, 100, 110, 110]], [[1, 1, 4, 4]], [BOX] * 3]),
    st.fixed_dictionaries({"size": st.lists(st.integers(-1, 33), max_size=3), "counts": st.lists(st.integers(-5, 1100), max_size=4)}),
    st.fixed_dictionaries({"size": st.just([32, 32]), "counts": st.text("0123456789:;<=>?@PQRSTlmno", max_size=8)}),
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JUNK = st.one_of(PLAIN, OUTLINES, st.lists(PLAIN, max_size=3), st.dictionaries(st.text(max_size=3), PLAIN, max_size=2))

Place = tuple[Any, Any]


def places(document: Any) -> Iterator[Place]:
    """Every (container, key) of a document, the outermost first."""
    if isinstance(document, (dict, list)):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            yield document, key
            yield from places(document[key])


def hurt(draw: DrawFn, document: Any) -> None:
    """Damage one place of a document: put a value of the same kind, of another place or of any kind there, delete or repeat it."""
    every = list(places(document))
    fitting = {
        "text": [(holder, key) for holder, key in every if isinstance(holder[key], str)],
        "number": [(holder, key) for holder, key in every if type(holder[key]) is int],
        "outline": [(holder, key) for holder, key in every if key in ("segmentation", "polygons", "rle")],
    }
    what = draw(st.sampled_from(["text", "text", "number", "number", "outline", "outline", "junk", "other", "delete", "twice"]))
    chosen = fitting.get(what) or every
    holder, key = chosen[draw(st.integers(0, len(chosen) - 1))]
    if what == "delete":
        del holder[key]
    elif what == "twice":
        (holder if isinstance(holder, list) else document if isinstance(document, list) else []).append(deepcopy(holder[key]))
    elif what == "other":
        other, place = every[draw(st.integers(0, len(every) - 1))]
        holder[key] = deepcopy(other[place])
    else:
        holder[key] = deepcopy(draw({"text": TEXTS, "number": NUMBERS, "outline": OUTLINES, "junk": JUNK}[what]))


@st.composite
def damaged(draw: DrawFn, document: Any) -> Any:
    """A copy of a document with up to two damages."""
    copy = deepcopy(document)
    for _ in range(draw(st.integers(0, 2))):
        if copy:
            hurt(draw, copy)
    return copy


@st.composite
def spoiled(draw: DrawFn, data: bytes) -> bytes:
    """A file's bytes, now and then cut, flipped or written over."""
    how = draw(st.sampled_from(["whole"] * 18 + ["cut", "flip"]))
    if how == "whole" or not data:
        return data
    place = draw(st.integers(0, len(data) - 1))
    return data[:place] if how == "cut" else data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]


def as_json(document: Any) -> bytes:
    return json.dumps(document).replace(f'"{DEEP}"', "[" * 600 + "]" * 600).encode()


def as_lines(lines: Any) -> bytes:
    return b"\n".join(as_json(line) for line in (lines if isinstance(lines, list) else [lines]))


@st.composite
def refer_files(draw: DrawFn) -> dict[str, bytes]:
    """The two annotation files of a data set in REFER layout, the refs as a pickle or as JSON."""
    refs, instances = draw(damaged(REFS)), draw(damaged(INSTANCES))
    if draw(st.booleans()):
        name, data = "refs(x).p", pickle.dumps(refs, draw(st.integers(0, 5)))
    else:
        name, data = "grefs(x).json", as_json(refs)
    return {name: draw(spoiled(data)), "instances.json": draw(spoiled(as_json(instances)))}


def bear_refer(files: dict[str, bytes], pictures: Path, judged: Judged) -> Any:
    with tempfile.TemporaryDirectory() as made:
        for name, data in files.items():
            Path(made, name).write_bytes(data)
        return judged(Path(made, "cache"), "cups", "--split-by", "x", "--annotations", made, "--images", pictures)


def bear_lines(data: bytes, pictures: Path, judged: Judged) -> Any:
    with tempfile.TemporaryDirectory() as made:
        for picture in pictures.iterdir():
            Path(made, picture.name).hardlink_to(picture)
        Path(made, "own.jsonl").write_bytes(data)
        return judged(Path(made, "cache"), Path(made, "own.jsonl"), *["--skip-bad"] * (len(data) % 2))


def cases(number: int) -> settings:
    """So many cases, the same at every run; about a quarter of them is drawn twice."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=number, derandomize=True, deadline=None, suppress_health_check=quiet, database=None)


def test_undamaged_files_are_read(pictures: Path, judged: Judged):
    refer = {"refs(x).p": pickle.dumps(REFS), "instances.json": as_json(INSTANCES)}
    assert bear_refer(refer, pictures, judged).code == 0
    assert bear_lines(as_lines(LINES), pictures, judged).code == 0


@given(files=refer_files())
@cases(25)
def test_damaged_refer_files_give_a_cache_or_a_clear_error(files: dict[str, bytes], pictures: Path, judged: Judged):
    bear_refer(files, pictures, judged)


@given(data=damaged(LINES).map(as_lines).flatmap(spoiled))
@cases(20)
def test_damaged_jsonl_files_give_a_cache_or_a_clear_error(data: bytes, pictures: Path, judged: Judged):
    bear_lines(data, pictures, judged)


@pytest.mark.slow
@given(files=refer_files())
@cases(1000)
def test_1000_damaged_refer_data_sets_give_a_cache_or_a_clear_error(files: dict[str, bytes], pictures: Path, judged: Judged):
    bear_refer(files, pictures, judged)


@pytest.mark.slow
@given(data=damaged(LINES).map(as_lines).flatmap(spoiled))
@cases(400)
def test_400_damaged_jsonl_files_give_a_cache_or_a_clear_error(data: bytes, pictures: Path, judged: Judged):
    bear_lines(data, pictures, judged)
