"""Files made to exhaust: `prepare-data` in a process that the kernel gives little memory and little time."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import EpsImagePlugin, Image

Start = Callable[..., Any]
Data = Any
MIB = 1 << 20


def prepared(start: Start, tmp_path: Path, words: list[object], limits: Any, before: Callable[[], None] = lambda: None) -> Any:
    """What became of it in a process that may not use more than `limits`."""
    return start("prepare-data", *words, "--out", tmp_path / "cache", "--size", "16", limits=limits, before=before).ended()


@pytest.mark.parametrize("form", ["pickle", *(pytest.param(form, marks=pytest.mark.slow) for form in ("json", "jsonl"))])
def test_a_sentence_of_100_mb_is_refused_within_bounds(start: Start, limits: Any, data: Data, tmp_path: Path, form: str):
    text = "x" * (100 * MIB)
    words = (
        data.own(data.line | {"expression": text})
        if form == "jsonl"
        else data.refer([data.ref(sentences=[{"sent_id": 1, "raw": text}])], as_json=form == "json")
    )
    outcome = prepared(start, tmp_path, words, limits(memory=800 * MIB, seconds=20))
    assert outcome.code == 3, outcome.err
    assert "must be text of at most 10000 characters, not 104857600" in outcome.err
    assert len(outcome.err) < 1000


def test_a_long_text_that_a_pickle_repeats_is_refused_within_bounds(start: Start, limits: Any, data: Data, tmp_path: Path):
    sentence = {"sent_id": 1, "raw": "x" * 10_000}
    words = data.refer([data.ref(ref_id=number, sentences=[sentence] * 30) for number in range(2000)])
    outcome = prepared(start, tmp_path, words, limits(memory=300 * MIB, seconds=20))
    assert outcome.code == 3, outcome.err
    assert "repeats the same text more often than its size allows" in outcome.err


@pytest.mark.slow
def test_names_of_categories_that_add_up_are_refused_within_bounds(start: Start, limits: Any, data: Data, tmp_path: Path):
    categories = [{"id": number, "name": "x" * 9000} for number in range(1000)]
    ids = list(range(1000))
    words = data.refer([data.ref(ref_id=number, category_id=ids) for number in range(200)], data.table(categories=categories), as_json=True)
    outcome = prepared(start, tmp_path, words, limits(memory=300 * MIB, seconds=20))
    assert outcome.code == 3, outcome.err
    assert "must be categories whose names have at most 10000 characters together" in outcome.err


@pytest.mark.slow
def test_as_many_splits_as_referents_are_counted_within_bounds(start: Start, limits: Any, data: Data, tmp_path: Path):
    outcome = prepared(
        start,
        tmp_path,
        data.refer([data.ref(ref_id=n, split=f"s{n}", ann_id=-1) for n in range(8000)]),
        limits(memory=500 * MIB, seconds=15),
    )
    assert outcome.code == 0, outcome.err


def test_outlines_that_lead_far_out_of_their_image_are_refused_within_bounds(start: Start, limits: Any, data: Data, tmp_path: Path):
    outline = [[0, 0, 600_000, 0, 0, 600_000]] * 5000
    for words in (
        data.own(data.line | {"polygons": outline}),
        data.refer([data.ref()], data.table(outline=outline)),
    ):
        outcome = prepared(start, tmp_path, words, limits(memory=300 * MIB, seconds=20))
        assert outcome.code == 3, outcome.err
        assert "is not an outline in an image of 32×32 pixels" in outcome.err


def bomb(path: Path, width: int, height: int, text: int = 0) -> None:
    """A PNG that says it is so large, and is: black, one bit a pixel; and with so many bytes of text."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + packer.flush()
    chunks = [(b"IHDR", header), (b"zTXt", b"k\0\0" + zlib.compress(bytes(text), 9)), (b"IDAT", rows), (b"IEND", b"")]
    made = b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + made)


@pytest.mark.parametrize(
    ("side", "text", "said"),
    [
        (30_000, 0, "30,000 × 30,000 pixels, and the limit is 178,956,970"),
        pytest.param(32, 300 * MIB, "Decompressed data too large", marks=pytest.mark.slow),
    ],
)
def test_a_decompression_bomb_is_refused_within_bounds(
    start: Start, limits: Any, data: Data, tmp_path: Path, side: int, text: int, said: str
):
    bomb(data.folder / "bomb.png", side, side, text)
    (data.folder / "one.png").unlink()
    shutil.copy(data.folder / "bomb.png", data.folder / "one.png")
    data.pictures = data.folder
    for words in (data.own(data.line | {"image": "bomb.png"}), data.refer([data.ref()])):
        outcome = prepared(start, tmp_path, words, limits(memory=250 * MIB, seconds=20))
        assert outcome.code == 3, outcome.err
        assert said in outcome.err or "but its annotations were drawn" in outcome.err


def test_a_progressive_photograph_that_repeats_a_scan_is_refused_within_bounds(start: Start, limits: Any, data: Data, tmp_path: Path):
    """80 kB, each 200 bytes of which cost a twentieth of a second."""
    file = io.BytesIO()
    Image.new("L", (9000, 9000)).save(file, "JPEG", progressive=True)
    photograph = file.getvalue()
    scan = photograph[photograph.rindex(b"\xff\xda") : -2]
    (data.folder / "scans.jpg").write_bytes(photograph[:-2] + scan * 400 + photograph[-2:])
    outcome = prepared(start, tmp_path, data.own(data.line | {"image": "scans.jpg"}), limits(memory=800 * MIB, seconds=5))
    assert outcome.code == 3, outcome.err
    assert "scans.jpg: cannot be decoded: it has 406 scans, where a photograph has about ten" in outcome.err


@pytest.mark.slow
def test_a_photograph_of_90_million_pixels_is_read_without_a_warning_of_a_library(data: Data, tmp_path: Path):
    bomb(data.folder / "large.png", 9600, 9600)
    words = ["prepare-data", data.own(data.line | {"image": "large.png"})[0], "--out", tmp_path / "cache", "--size", 16]
    done = subprocess.run([sys.executable, "-m", "cmirnet_cli", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_a_mask_of_another_size_is_refused_before_it_is_unpacked(start: Start, limits: Any, data: Data, tmp_path: Path):
    bomb(data.folder / "bomb.png", 13_000, 13_000)
    line = {"image": "one.png", "expression": "x", "mask": "bomb.png", "split": "val"}
    outcome = prepared(start, tmp_path, data.own(line), limits(memory=100 * MIB, seconds=10))
    assert outcome.code == 3, outcome.err
    assert "bomb.png is 13000×13000, but its image is 32×32" in outcome.err


@pytest.mark.parametrize("field", ["image", "mask"])
@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/tty", "."])
def test_what_is_no_file_is_not_waited_for(start: Start, limits: Any, data: Data, tmp_path: Path, field: str, name: str):
    os.mkfifo(data.folder / "pipe")
    line = {"image": "one.png", "expression": "x", "mask": "mask.png", "split": "val"} | {field: name}
    outcome = prepared(start, tmp_path, data.own(line), limits(memory=100 * MIB, seconds=10))
    assert outcome.code == 3, outcome.err
    assert ("missing" if field == "image" else "there is no such file") in outcome.err


def test_annotations_in_a_pipe_are_refused(start: Start, limits: Any, data: Data, tmp_path: Path):
    os.mkfifo(data.folder / "own.jsonl")
    assert "is not a regular file" in prepared(start, tmp_path, [data.folder / "own.jsonl"], limits(seconds=10)).err


def test_a_photograph_that_is_a_program_is_not_run(start: Start, limits: Any, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """PIL gives PostScript to Ghostscript, which is whatever is called `gs`."""
    Image.new("RGB", (32, 32)).save(data.folder / "program.eps")
    (data.folder / "program.eps").rename(data.folder / "program.jpg")
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'trace'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def forget() -> None:
        EpsImagePlugin.gs_binary = None

    def by_pil() -> None:
        forget()
        Image.open(data.folder / "program.jpg").load()

    start("--version", before=by_pil).ended()
    assert (tmp_path / "trace").exists()
    (tmp_path / "trace").unlink()
    outcome = prepared(start, tmp_path, data.own(data.line | {"image": "program.jpg"}), limits(seconds=10), forget)
    assert outcome.code == 3, outcome.err
    assert "not in an image format" in outcome.err
    assert not (tmp_path / "trace").exists()
