"""Annotation files made to do harm, through the whole of `prepare-data`: refused by name, nothing run, nothing exhausted."""

from __future__ import annotations

import functools
import importlib
import json
import operator
import os
import pickle
import re
import runpy
import shutil
import subprocess
import timeit
import types
from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.gadget import Gadget

Judged = Callable[..., Any]
Data = Any


class Stated:
    """Pickles as an object whose state is set."""

    def __init__(self) -> None:
        self.state = {"x": 1}


RLE = {"size": [32, 32], "counts": [1024]}
OTHER = {"id": 2, "file_name": "two.jpg", "height": 24, "width": 32}


@pytest.mark.parametrize(
    ("fields", "table", "said"),
    [
        pytest.param({"ann_id": None}, {}, "ref 1: field 'ann_id' is None", id="wrong type"),
        pytest.param({"image_id": 10**400}, {}, "ref 1: field 'image_id' is 1000", id="huge number"),
        pytest.param({"ann_id": 99}, {}, "has no annotation 99", id="absent annotation"),
        pytest.param({"image_id": 99}, {}, "has no image 99", id="absent image"),
        pytest.param({"sentences": []}, {}, "field 'sentences' is empty", id="no sentences"),
        pytest.param({"ann_id": ["a"]}, {"annotations": [{"id": "a", "image_id": "a"}]}, "lies in another image", id="a cycle by id"),
        pytest.param({}, {"images": [OTHER | {"id": 1}, OTHER | {"id": 1, "height": 9}]}, "different record already", id="an id twice"),
        pytest.param({}, {"images": [OTHER | {"id": 1}]}, "an RLE has the size", id="RLE of another size"),
        pytest.param({}, {"images": [OTHER | {"id": 1, "height": 25}]}, "is 32×24, but its annotations were drawn", id="another size"),
        pytest.param({}, {"annotations": "x"}, "field 'annotations' is 'x'", id="a table that is none"),
    ],
)
def test_each_kind_of_contradiction_is_named(judged: Judged, data: Data, tmp_path: Path, fields: Any, table: Any, said: str):
    annotations = [{"id": 10, "image_id": 1, "segmentation": RLE}]
    for as_json in (False, True):
        words = data.refer([data.ref(**fields)], data.table(annotations=annotations) | table, as_json=as_json)
        outcome = judged(tmp_path / "cache", *words)
        assert outcome.code == 3
        assert said in outcome.err
        (data.folder / "refs(x).p").unlink(missing_ok=True)


@pytest.mark.parametrize("outline", [[[40, 40, 60, 40, 60, 60]], [[5, 5] * 3], [[1, 1, 9, 9, 5, 5]], [[-9, -9, -1, -9, -1, -1]]])
def test_an_outline_outside_the_image_or_without_area_is_named(judged: Judged, data: Data, tmp_path: Path, outline: Any):
    for words in (
        data.own(data.line | {"polygons": outline}),
        data.refer([data.ref()], data.table(outline=outline)),
    ):
        outcome = judged(tmp_path / str(words[0]).replace("/", "-"), *words)
        assert outcome.code == 3
        assert re.search("1 of 1 masks (lie outside their picture|are only a point, a line or one pixel)", outcome.err)


TEXTS = {
    "NUL": "a\0b",
    "surrogate": "a\ud800b",
    "empty": "",
    "blank": " \n",
    "long": "x" * 10_001,
    "emoji": "the 😀 👩‍🚀",
    "longest": "é" * 10_000,
}
REFUSED = {"refer": {"NUL", "surrogate", "long"}, "own": {"NUL", "surrogate", "long", "empty", "blank"}}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_sentence_is_kept_as_it_is_or_refused_by_name(judged: Judged, data: Data, tmp_path: Path, kind: str):
    said = [{"sent_id": 7, "raw": TEXTS[kind]}]
    for form, words in {
        "refer": data.refer([data.ref(sentences=said)]),
        "own": data.own(data.line | {"expression": TEXTS[kind]}),
    }.items():
        outcome = judged(tmp_path / form, *words)
        assert (outcome.code == 3) == (kind in REFUSED[form])
        if outcome.code == 3:
            assert ("ref 1, sentences[0]" if form == "refer" else "line 1") in outcome.err


def test_sentences_without_a_word_are_counted_and_told(judged: Judged, data: Data, tmp_path: Path):
    said = [{"sent_id": number, "raw": text} for number, text in enumerate(("a cup", "", " "))]
    outcome = judged(tmp_path / "cache", *data.refer([data.ref(sentences=said)]))
    assert "2 sentences hold no word; the first is one of ref 1" in outcome.err
    assert outcome.out.split("\n")[1].split() == ["train", "1", "1", "3"]


GADGETS: dict[str, Callable[[str], object]] = {
    "os.system": lambda command: Gadget(os.system, command),
    "subprocess": lambda command: Gadget(subprocess.Popen, ["sh", "-c", command]),
    "subprocess.check_output": lambda command: Gadget(subprocess.check_output, command.split()),
    "eval": lambda command: Gadget(eval, f"__import__('os').system({command!r})"),
    "exec": lambda command: Gadget(exec, f"import os; os.system({command!r})"),
    "import": lambda command: Gadget(__import__, "this"),
    "import_module": lambda command: Gadget(importlib.import_module, "this"),
    "open": lambda command: Gadget(open, command.split()[1], "w"),
    "path.touch": lambda command: Gadget(Path.touch, Path(command.split()[1])),
    "rmtree": lambda command: Gadget(shutil.rmtree, "/nowhere"),
    "runpy": lambda command: Gadget(runpy.run_path, "/nowhere"),
    "timeit": lambda command: Gadget(timeit.timeit, f"__import__('os').system({command!r})"),
    "partial": lambda command: functools.partial(os.system, command),
    "attrgetter": lambda command: operator.attrgetter("system"),
    "nested pickle": lambda command: Gadget(pickle.loads, pickle.dumps(Gadget(os.system, command))),
    "namespace": lambda command: types.SimpleNamespace(x=1),
    "getattr": lambda command: Gadget(getattr, "", "join"),
    "array": lambda command: np.arange(3),
    "number of NumPy": lambda command: np.int64(3),
    "date": lambda command: date(2020, 1, 1),
    "ordered dict": lambda command: OrderedDict(a=1),
    "set": lambda command: {1, 2},
    "bytes": lambda command: b"x" * 300,
    "state": lambda command: Stated(),
    "class": lambda command: Stated,
    "complex": lambda command: 1j,
    "itself": lambda command: range(3),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", GADGETS)
def test_a_pickle_that_asks_for_more_than_plain_data_is_refused_and_nothing_runs(
    judged: Judged, data: Data, tmp_path: Path, name: str, protocol: int
):
    trace = tmp_path / "trace"
    outcome = judged(tmp_path / "cache", *data.refer(pickle.dumps([data.ref(extra=GADGETS[name](f"touch {trace}"))], protocol)))
    assert outcome.code == 3
    assert "refs(x).p is refused: before byte" in outcome.err
    assert "nothing was run" in outcome.err
    assert not trace.exists()


def test_a_gadget_behind_the_end_of_a_pickle_is_not_looked_at(judged: Judged, data: Data, tmp_path: Path):
    gadget = pickle.dumps(Gadget(os.system, f"touch {tmp_path / 'trace'}"))
    assert judged(tmp_path / "cache", *data.refer(pickle.dumps([data.ref()]) + gadget)).code == 0
    assert not (tmp_path / "trace").exists()


def test_a_pickle_in_place_of_json_is_no_json(judged: Judged, data: Data, tmp_path: Path):
    words = data.refer([data.ref()])
    (data.folder / "instances.json").write_bytes(pickle.dumps(Gadget(os.system, f"touch {tmp_path / 'trace'}")))
    assert "instances.json is not valid JSON" in judged(tmp_path / "cache", *words).err
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("depth", [100, 500, 900, 960, 990, 100_000])
def test_an_outline_that_is_nested_without_end_is_refused(judged: Judged, data: Data, tmp_path: Path, depth: int):
    table = json.dumps(data.table(annotations=[{"id": 10, "image_id": 1, "segmentation": ["deep"]}] * 2))
    deep = "[" * depth + "]" * depth
    assert judged(tmp_path / "refer", *data.refer([data.ref()], table.replace('"deep"', deep))).code == 3
    assert judged(tmp_path / "own", *data.own(json.dumps(data.line | {"polygons": "deep"}).replace('"deep"', deep))).code == 3
