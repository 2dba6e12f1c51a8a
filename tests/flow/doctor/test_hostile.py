"""Whatever lies in the folders, the doctor says so and does not fall over it."""

from __future__ import annotations

import os
import re

import pytest

UNFIT = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\ud800-\\udfff]")
"""What must not reach a terminal."""

FILES = [
    "cache/scenes-demo/manifest.json",
    "runs/first/config.yaml",
    "runs/first/env.json",
    "runs/first/metrics.jsonl",
    "runs/first/weights/best/config.json",
    "runs/first/weights/best/model.safetensors",
]
CONTENTS = [
    b"",
    b"\x00\xff\xfe\x80",
    b"null\n",
    b'["\\u001b[2J"]\n',
    b"[" * 100_000 + b"\n",
    b'{"schema_version": 1, "kind": "epoch", "data": {}, "threads": "many", "epoch": "x\\u202e", "model": 7}\n',
    b"\xff" * 8 + b"{}",
]


def judge(outcome) -> None:
    spoken = outcome.out + outcome.err
    assert outcome.code in (0, 1, 2, 3, 4)
    assert "bug in cmirnet" not in spoken
    assert "Traceback" not in spoken
    assert not UNFIT.search(spoken)


@pytest.mark.parametrize("file", FILES)
def test_files_with_anything_in_them_are_named(home, cmirnet, file):
    for content in CONTENTS:
        (home.folder / file).write_bytes(content)
        outcome = cmirnet(*home.words)
        judge(outcome)
        assert outcome.code > 0 or file.endswith("metrics.jsonl"), content


OTHERS = [
    "data/scenes/refs(demo).p",
    "data/scenes/instances.json",
    "cache/scenes-demo/annotations.h5",
    "cache/scenes-demo/text-features-0123456789ab/manifest.json",
    "runs/first/checkpoints/epoch-0002-step-00000004/state.pt",
    "runs/first/bad-batch.json",
]


@pytest.mark.parametrize("file", [*FILES, *OTHERS])
def test_pipes_folders_and_links_in_place_of_files_are_not_waited_for(home, cmirnet, file):
    place = home.folder / file
    place.parent.mkdir(exist_ok=True)
    place.touch()
    for replace in (os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("/dev/zero")):
        if place.is_dir() and not place.is_symlink():
            place.rmdir()
        else:
            place.unlink()
        replace(place)
        judge(cmirnet(*home.words))


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "\u202egnp", "x" * 250, "-rf", "*[a-z]?", os.fsdecode(b"\xff")])
def test_names_that_steer_terminals_are_escaped(home, cmirnet, name):
    for place, file in (("cache", "manifest.json"), ("runs", "config.yaml"), ("data", "refs(x).p"), ("data", f"refs({name[:99]}).p")):
        folder = home.folder / place / name
        folder.mkdir(exist_ok=True)
        (folder / file).write_bytes(b"?")
    judge(cmirnet(*home.words))
    judge(cmirnet(*home.words, "--json"))


def test_files_in_place_of_the_folders_are_no_trouble(home, cmirnet):
    file = home.folder / "data/scenes/instances.json"
    judge(cmirnet("doctor", "--data", file, "--cache", file, "--runs", file))
