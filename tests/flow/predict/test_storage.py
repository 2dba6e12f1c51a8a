"""`cmirnet predict` from and to a real S3 server: the masks of a local folder, and clear errors for all that a bucket can be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from cmirnet_cli.engine.bulk.chunks import BulkRequest, chunks
from cmirnet_cli.storage import reading
from tests.flow.conftest import Outcome
from tests.flow.predict.conftest import PAGES, S3, Proxy, files, noise

Cmirnet = Callable[..., Outcome]
ASKED = ["-e", "the red cup", "-e", "left person", "--device", "cpu"]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("predictions*.jsonl")) for line in file.read_text().splitlines()]


def masks(lines: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[object, ...]]:
    """What was found, by image and expression."""
    wanted = ("score", "known", "size", "box", "area", "rle")
    return {(each["image"], each["expression"]): tuple(map(each.get, wanted)) for each in lines if each["expression"] is not None}


@pytest.fixture(scope="module")
def local(weights: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the road through folders writes."""
    from cmirnet_cli.app import run

    out = tmp_path_factory.mktemp("local") / "out"
    assert run(["predict", str(weights), str(photos), "-r", *ASKED, "-o", str(out)]) == 3
    return out


def test_a_bucket_gives_the_masks_of_a_folder_in_both_formats(cmirnet: Cmirnet, weights: Path, photos: Path, local: Path, s3: S3):
    source, bucket, expected = s3.put(photos), f"s3://{s3.bucket}", lines_of(local)
    done = cmirnet("predict", weights, source, "-r", *ASKED, "-o", f"{bucket}/rows", "--format", "parquet", "--json")
    assert (done.code, done.data["images"], done.data["masks"], done.data["broken"]) == (3, 8, 14, 1)
    assert done.data["predictions"] == f"{bucket}/rows/predictions-*.parquet"
    assert [problem["image"] for problem in done.data["problems"]] == [f"{source}/3broken.jpg"]
    found = rows(s3.folder / "rows")
    assert masks(found) == masks(expected)
    [broken] = [row for row in found if row["error"]]
    assert (broken["image"], broken["path"], broken["rle"]) == ("3broken.jpg", f"{source}/3broken.jpg", None)
    assert f"cannot decode {source}/3broken.jpg" in broken["error"]

    done = cmirnet("predict", weights, source, "-r", *ASKED, "-o", f"{bucket}/out", "--chunk", 3, "--json")
    assert (done.code, done.data["chunks"]) == (3, 3)
    written = files(s3.folder / "out")
    assert {name: data for name, data in written.items() if name.startswith("masks/")} == {
        f"masks/{name}": data for name, data in files(local / "masks").items()
    }
    assert masks(lines_of(s3.folder / "out")) == masks(expected)
    assert s3.secret.encode() not in b"".join([*written.values(), *files(s3.folder / "rows").values()])


def test_a_listing_of_several_pages_is_whole_and_in_order(s3: S3):
    found = list(chunks(BulkRequest(["s3://pages"], ("cup",), chunk_size=500)))
    assert [len(chunk.photos) for chunk in found] == [500, 500, 100]
    assert [photo.name for chunk in found for photo in chunk.photos] == PAGES


WRONG = {
    "missing bucket": ({}, "s3://nowhere/photos", "out", "cannot read s3://nowhere/photos: there is no such bucket"),
    "missing folder": ({}, "s3://pages/nothing", "out", "cannot read s3://pages/nothing: there is no such file or folder"),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "wRoNg"}, "s3://pages", "out", "s3://pages: access is forbidden (403)"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": ""}, "s3://pages", "out", "s3://pages: no usable credentials"),
    "missing place": ({}, "s3://pages", "s3://nowhere/out", "cannot write s3://nowhere/out/settings.json: there is no such bucket"),
    "no server": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://pages", "out", "cannot read s3://pages: the connection failed"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_bucket_that_is_missing_or_forbidden_is_one_error_and_nothing_is_written(
    cmirnet: Cmirnet, weights: Path, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
):
    environment, source, out, words = WRONG[wrong]
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # whose members know the credentials of before
    monkeypatch.chdir(tmp_path)
    before = sorted(s3.root.rglob("*"))
    done = cmirnet("predict", weights, source, *ASKED, "-o", out, "--traceback")
    assert done.code == 3
    assert done.out == ""
    assert words in done.err
    assert "hint: check" in done.err
    assert s3.secret not in done.err
    assert "wRoNg" not in done.err
    assert sorted(s3.root.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_never_answers_is_given_up(
    cmirnet: Cmirnet, weights: Path, s3: S3, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "PATIENCE", 0.5)
    proxy.hang = True
    done = cmirnet("predict", weights, "s3://pages", *ASKED, "-o", tmp_path / "out")
    assert (done.code, (tmp_path / "out").exists()) == (3, False)
    assert "error: cannot read s3://pages: no answer in time\n" in done.err


def test_connections_that_break_off_change_nothing(
    cmirnet: Cmirnet, weights: Path, photos: Path, local: Path, s3: S3, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "FIRST_WAIT", 0.01)
    source, proxy.breaks = s3.put(photos), 6
    done = cmirnet("predict", weights, source, "-r", *ASKED, "-o", f"s3://{s3.bucket}/out", "--format", "parquet", "--json")
    assert (done.code, done.data["masks"], proxy.broken) == (3, 14, 6)
    assert masks(rows(s3.folder / "out")) == masks(lines_of(local))


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cmirnet_cli", *map(str, words)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_killed_and_continued_it_ends_as_an_undisturbed_run(cmirnet: Cmirnet, weights: Path, s3: S3, tmp_path: Path):
    (tmp_path / "many").mkdir()
    for number in range(30):
        (tmp_path / "many" / f"{number:02}.png").write_bytes(noise(number) if number % 9 else b"broken")
    words = ["predict", weights, s3.put(tmp_path / "many"), *ASKED, "--format", "parquet", "--chunk", "3", "--json"]
    whole = cmirnet(*words, "-o", f"s3://{s3.bucket}/whole")
    assert (whole.code, whole.data["images"], whole.data["broken"]) == (3, 30, 4)

    killed = s3.folder / "killed"
    process = start(*words, "-o", f"s3://{s3.bucket}/killed")
    while process.poll() is None and not (killed / "predictions-00000001.parquet").exists():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    for file in killed.glob("*.parquet"):
        assert pq.read_table(file).num_rows
    done = cmirnet(*words, "-o", f"s3://{s3.bucket}/killed", "--skip-existing")
    assert 6 <= done.data["skipped"] < 30
    assert [done.data[name] for name in ("images", "masks", "broken")] == [30, 52, 4]
    assert rows(killed) == rows(s3.folder / "whole")
