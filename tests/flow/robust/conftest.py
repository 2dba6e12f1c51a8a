"""`prepare-data` under attack: run inside this process, or in one that may be killed, starved or confined."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import pickle
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.app import run
from cmirnet_cli.cache.reader import Cache, verify

UNFIT = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\ud800-\\udfff]")
"""What must not reach a terminal."""

SIZE = 16
"""Of the network, in pixels: `prepare-data` is asked for this one."""


@dataclass(frozen=True)
class Told:
    """What a command line came to."""

    code: int
    out: str
    err: str


def told(*words: object) -> Told:
    """Run a command line here."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in words])
    return Told(code, out.getvalue(), err.getvalue())


def judge(out: Path, *words: object) -> Told:
    """Run `prepare-data` here, with whatever it is given: it must end well or with a clear error, and never leave half a cache."""
    outcome = told("prepare-data", *words, "--out", out, "--size", SIZE)
    spoken = outcome.err + outcome.out
    assert outcome.code in (0, 3), spoken
    assert "bug in cmirnet" not in spoken
    assert "Traceback" not in spoken
    assert not UNFIT.search(spoken), spoken
    caches = [path.parent for path in out.glob("*/manifest.json")]
    if outcome.code == 3:
        assert outcome.err.startswith("error: ") or "\nerror: " in outcome.err
        assert "\nhint: " in outcome.err
        assert len(outcome.err) < 5000
        assert caches == []
    else:
        assert len(caches) == 1
        read_all(caches[0])
    return outcome


def read_all(folder: Path) -> None:
    """A cache that verifies and gives every sample."""
    assert verify(folder) == []
    cache = Cache.open(folder)
    rows = {row for split in cache.splits for row in cache.referent_rows(split).tolist()}
    assert len(rows) > 0
    for row in rows:
        referent = cache.referent(row)
        assert cache.mask(row, None).shape == (referent.height, referent.width)
        for number, sentence in enumerate(referent.sentences):
            sample = cache.sample(row, number, SIZE)
            assert (sample.text, sample.image.shape, sample.mask.shape) == (sentence.text, (SIZE, SIZE, 3), (SIZE, SIZE))
            assert set(np.unique(sample.mask)) <= {0, 1}


@pytest.fixture(scope="session")
def call() -> Callable[..., Told]:
    return told


@pytest.fixture(scope="session")
def judged() -> Callable[..., Told]:
    return judge


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small photographs, with a mask of the first."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "one.png")
    Image.fromarray(noise[:24]).save(folder / "two.jpg")
    Image.fromarray(noise[..., 0]).save(folder / "three.png")
    Image.fromarray((noise[..., 1] > 127).astype(np.uint8) * 255).save(folder / "mask.png")
    return folder


class Data:
    """A folder of annotation files about the small photographs, and the words that prepare them."""

    box = (2, 2, 20, 2, 20, 20, 2, 20)
    line: ClassVar[dict[str, object]] = {"image": "one.png", "expression": "the cup", "polygons": [box], "split": "train"}

    def __init__(self, folder: Path, pictures: Path) -> None:
        self.folder, self.pictures = folder, pictures
        for picture in pictures.iterdir():
            (folder / picture.name).hardlink_to(picture)

    def ref(self, **fields: object) -> dict[str, object]:
        said = [{"sent_id": 1, "raw": "the cup"}]
        return {"ref_id": 1, "ann_id": 10, "image_id": 1, "category_id": 1, "split": "train", "sentences": said} | fields

    def table(self, *, outline: object = None, **fields: object) -> dict[str, object]:
        """What `instances.json` says: of one image and one object."""
        return {
            "images": [{"id": 1, "file_name": "one.png", "height": 32, "width": 32}],
            "annotations": [{"id": 10, "image_id": 1, "segmentation": [self.box] if outline is None else outline}],
            "categories": [{"id": 1, "name": "cup"}],
        } | fields

    def refer(self, refs: object, table: object = None, *, as_json: bool = False) -> list[object]:
        """Write a data set in REFER layout; bytes and text as they are."""
        data = refs if isinstance(refs, bytes) else json.dumps(refs).encode() if as_json else pickle.dumps(refs, 2)
        (self.folder / ("refs(x).json" if as_json else "refs(x).p")).write_bytes(data)
        (self.folder / "instances.json").write_text(table if isinstance(table, str) else json.dumps(table or self.table()))
        return ["cups", "--split-by", "x", "--annotations", self.folder, "--images", self.pictures]

    def own(self, *lines: object) -> list[object]:
        """Write a JSONL file; text as it is."""
        (self.folder / "own.jsonl").write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return [self.folder / "own.jsonl"]


@pytest.fixture
def data(tmp_path: Path, pictures: Path) -> Data:
    (tmp_path / "data").mkdir()
    return Data(tmp_path / "data", pictures)


@dataclass(frozen=True)
class Limits:
    """What a process may use beside what it has: bytes of memory, and seconds (ten times as many to wait in). The kernel sees to it."""

    memory: int = 0
    seconds: int = 0


def _confine(limits: Limits) -> None:
    if limits.memory:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + limits.memory, resource.RLIM_INFINITY))
    if limits.seconds:
        used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        resource.setrlimit(resource.RLIMIT_CPU, (used + limits.seconds, resource.RLIM_INFINITY))
        signal.alarm(10 * limits.seconds)


def _obey(words: Sequence[str], said: Path, limits: Limits, before: Callable[[], None]) -> None:
    """What a process of its own does: its words go to a file."""
    with said.open("w", buffering=1) as stream:
        sys.stdout = sys.stderr = stream
        _confine(limits)
        before()
        code = run(words)
    os._exit(code)


@dataclass(frozen=True)
class Started:
    """A process that runs a command line."""

    process: BaseProcess
    said: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def says(self, words: str, seconds: float = 60) -> None:
        """Wait until it has said so, on one line of the screen or several."""
        until = time.monotonic() + seconds
        while words not in " ".join(self.said.read_text().split()):
            assert self.process.is_alive(), self.said.read_text()
            assert time.monotonic() < until, self.said.read_text()
            time.sleep(0.01)

    def ended(self) -> Told:
        """Wait for its end; a negative code is the signal that ended it."""
        self.process.join()
        assert self.process.exitcode is not None
        return Told(self.process.exitcode, "", self.said.read_text())


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Started]]:
    """Starts a command line in a process of its own, forked off this one, which has imported everything already.

    Those that still live when the test ends (it failed) are killed.
    """
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    context, folder = multiprocessing.get_context("fork"), tmp_path_factory.mktemp("said")
    processes: list[BaseProcess] = []

    def started(*words: object, limits: Limits | None = None, before: Callable[[], None] = lambda: None) -> Started:
        said = folder / f"{len(list(folder.iterdir()))}.txt"
        job = ([str(word) for word in words], said, limits or Limits(), before)
        said.touch()
        process = context.Process(target=_obey, args=job)
        process.start()
        processes.append(process)
        return Started(process, said)

    yield started
    for process in processes:
        process.kill()


@pytest.fixture(scope="session")
def limits() -> type[Limits]:
    return Limits


@pytest.fixture(scope="session")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Writes one's own data of so many tiny photographs; the path of its JSONL."""

    def written(images: int) -> Path:
        folder = tmp_path_factory.mktemp("own")
        for number in range(images):
            pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        outline = "[[1, 1, 5, 1, 5, 5]]"
        lines = (
            f'{{"image": "{number}.png", "expression": "thing {number}", "polygons": {outline}, "split": "train"}}'
            for number in range(images)
        )
        (folder / "own.jsonl").write_text("\n".join(lines))
        return folder / "own.jsonl"

    return written


@pytest.fixture(scope="session")
def content() -> Callable[[Path], dict[str, bytes]]:
    """Reads every file below a folder."""
    return lambda folder: {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
