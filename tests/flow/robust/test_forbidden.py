"""Files and folders that may not be read: each is named, with exit code 3, and can be left out where it is one photograph of many."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Call = Callable[..., Any]
Start = Callable[..., Any]
NOBODY = 65534


def become_nobody() -> None:
    """What root may read says nothing."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@pytest.fixture(scope="module", autouse=True)
def imported(call: Call, own_data: Callable[[int], Path]) -> None:
    """All that Python reads of itself on the way: nobody may not read it everywhere."""
    lines = own_data(1)
    assert call("prepare-data", lines, "--out", lines.parent, "--size", 16).code == 0
    assert call("cache", "show", lines.parent, "--split", "train", "--out", lines.parent / "page.html").code == 0
    assert call("cache", "verify", lines.parent).code == 0
    assert call("predict", "nowhere", lines.parent / "cache", "-e", "it").code == 3


@pytest.fixture
def home(pictures: Path) -> Iterator[Path]:
    """A folder that everybody may reach, with a photograph, the same one in a folder that nobody may enter, and room for caches."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "secret").mkdir()
        for path in (folder / "one.png", folder / "secret" / "two.png"):
            Image.open(pictures / "one.png").save(path)
        folder.chmod(0o777)
        (folder / "secret").chmod(0)
        yield folder
        (folder / "secret").chmod(0o700)


def own(home: Path, *names: str, **fields: object) -> Path:
    outline = {"polygons": [[2, 2, 20, 2, 20, 20]]} if "mask" not in fields else {}
    lines = [{"image": name, "expression": "it", "split": "val"} | outline | fields for name in names]
    (home / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return home / "own.jsonl"


def prepare(start: Start, home: Path, *words: object) -> Any:
    return start("prepare-data", *words, "--out", home / "cache", "--size", 16, before=become_nobody).ended()


def test_a_photograph_in_a_folder_that_may_not_be_entered_is_named_and_can_be_left_out(start: Start, home: Path):
    lines = own(home, "one.png", "secret/two.png")
    refused = prepare(start, home, lines)
    assert (refused.code, "secret/two.png: " in refused.err) == (3, True), refused.err
    assert prepare(start, home, lines, "--skip-bad").code == 0


def test_a_folder_below_that_may_not_be_entered_is_named_and_not_left_out(start: Start, home: Path):
    refused = start("predict", "nowhere", home, "-e", "it", "--recursive", before=become_nobody).ended()
    assert (refused.code, "secret cannot be read: Permission denied" in refused.err) == (3, True), refused.err


def test_refers_photographs_are_looked_for_beyond_a_folder_that_may_not_be_entered(start: Start, home: Path):
    image = {"id": 1, "file_name": "secret/two.png", "height": 32, "width": 32}
    said = [{"sent_id": 1, "sent": "it"}]
    refs = [{"ref_id": 1, "ann_id": -1, "image_id": 1, "category_id": 1, "split": "val", "sentences": said}]
    (home / "refs(x).json").write_text(json.dumps(refs))
    (home / "instances.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    refused = prepare(start, home, "cups", "--split-by", "x", "--annotations", home, "--images", home)
    assert (refused.code, "secret/two.png: " in refused.err) == (3, True), refused.err


@pytest.mark.parametrize("name", ["own.jsonl", "secret/own.jsonl"])
def test_annotations_that_may_not_be_read_are_named(start: Start, home: Path, name: str):
    (home / "secret").chmod(0o700)
    shutil.copy(own(home, "one.png"), home / "secret" / "own.jsonl")
    (home / "secret").chmod(0)
    (home / "own.jsonl").chmod(0)
    refused = prepare(start, home, home / name)
    assert (refused.code, f"{name} cannot be read: Permission denied" in refused.err) == (3, True), refused.err


def test_a_mask_that_may_not_be_read_is_named(start: Start, home: Path):
    refused = prepare(start, home, own(home, "one.png", mask="secret/two.png"))
    assert (refused.code, "line 1: field 'mask'" in refused.err) == (3, True), refused.err


@pytest.mark.parametrize("name", ["manifest.json", "annotations.h5", "images-00000.h5"])
def test_a_file_of_a_cache_that_may_not_be_read_is_named_by_every_command(start: Start, call: Call, home: Path, name: str):
    assert call("prepare-data", own(home, "one.png"), "--out", home / "cache", "--size", 16).code == 0
    (home / "cache" / "own-jsonl" / name).chmod(0)
    show = ["cache", "show", home / "cache", "--split", "val", "--out", home / "page.html"]
    for words in (["cache", "verify", home / "cache"], show):
        refused = start(*words, before=become_nobody).ended()
        assert (refused.code, name in refused.err, "Permission denied" in refused.err) == (3, True, True), refused.err
