"""Finished caches that are damaged or of another version: named, with the command that prepares them again; never read as if whole."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.cache.reader import Cache, Damage, verify
from cmirnet_cli.errors import CacheError

Call = Callable[..., Any]
Start = Callable[..., Any]


@pytest.fixture
def lines(own_data: Callable[[int], Path]) -> Path:
    return own_data(6)


@pytest.fixture(params=["decoded", pytest.param("encoded", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest, lines: Path, tmp_path: Path, call: Call) -> Path:
    assert call("prepare-data", lines, "--out", tmp_path, "--size", 8, "--store", request.param).code == 0
    return tmp_path / "own-jsonl"


def read(folder: Path) -> None:
    cache = Cache.open(folder)
    for row in cache.referent_rows("train").tolist():
        cache.sample(row, 0, 8)
        cache.mask(row, None)


@pytest.mark.parametrize("name", ["annotations.h5", "images-00000.h5"])
def test_a_flipped_bit_anywhere_is_named_by_verify_and_ends_no_reader(folder: Path, name: str, start: Start, limits: Any):
    """In a process of its own: HDF5 and pycocotools may crash or run without end on data that nobody checked."""
    whole = (folder / name).read_bytes()
    places = random.Random(0).sample(range(8 * len(whole)), 100)

    def flip_them_all() -> None:
        refused: list[CacheError] = []
        for place in places:
            data = bytearray(whole)
            data[place // 8] ^= 1 << place % 8
            (folder / name).write_bytes(data)
            assert verify(folder) == [Damage(name, "content differs from the manifest's sha256")]
            try:
                read(folder)
            except CacheError as error:
                refused.append(error)
        assert all(name in error.message and "cmirnet " in str(error.hint) for error in refused)
        assert len(refused) == len(places) or name != "annotations.h5"

    ended = start("--version", limits=limits(seconds=60), before=flip_them_all).ended()
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("name", ["annotations.h5", "images-00000.h5"])
@pytest.mark.parametrize("part", [0, 0.3, 0.999])
def test_a_file_that_is_cut_off_is_named_by_every_command(folder: Path, name: str, part: float, call: Call, lines: Path):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(part * len(whole))])
    for words in (["cache", "info", folder], ["cache", "verify", folder], ["cache", "show", folder]):
        outcome = call(*words)
        assert outcome.code == 3
        assert name in outcome.out + outcome.err


@pytest.mark.parametrize("version", [1, 99, "2", None])
def test_a_cache_of_another_version_is_refused_with_the_command_that_prepares_it_again(
    folder: Path, version: object, call: Call, lines: Path, monkeypatch: pytest.MonkeyPatch
):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["schema_version"] = manifest["fingerprint"]["schema_version"] = version
    (folder / "manifest.json").write_text(json.dumps(manifest))
    store = "" if manifest["fingerprint"]["options"]["store"] == "decoded" else " --store encoded"
    command = f"cmirnet prepare-data own.jsonl --size 8{store} --out {folder.parent} --overwrite"
    again = ["prepare-data", lines, "--out", folder.parent, "--size", 8]
    for words in (["cache", "info", folder], ["cache", "verify", folder], ["cache", "show", folder], again):
        outcome = call(*words)
        assert outcome.code == 3
        assert f"cannot use {folder}: its schema_version is {version}, this program reads 2" in outcome.err
        assert outcome.err.endswith(f"hint: prepare it again with: {command}\n")
    monkeypatch.chdir(lines.parent)
    assert call(*shlex.split(command)[1:]).code == 0
    assert verify(folder) == []
    assert json.loads((folder / "manifest.json").read_text())["fingerprint"]["options"] == manifest["fingerprint"]["options"]


def test_the_command_for_a_data_set_of_ones_own_names_its_split_by(pictures: Path, tmp_path: Path, call: Call):
    refs = [{"ref_id": 1, "ann_id": -1, "image_id": 1, "category_id": 1, "split": "val", "sentences": [{"sent_id": 1, "sent": "it"}]}]
    images = [{"id": 1, "file_name": "one.png", "height": 32, "width": 32}]
    (tmp_path / "refs(my-split).json").write_text(json.dumps(refs))
    (tmp_path / "instances.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    words = ["cups", "--split-by", "my-split", "--annotations", tmp_path, "--images", pictures, "--out", tmp_path / "my cache"]
    assert call("prepare-data", *words, "--size", 8, "--size", 16, "--overlap", "union").code == 0
    folder = tmp_path / "my cache" / "cups-my-split"
    (folder / "images-00000.h5").unlink()
    said = call("cache", "info", folder).err
    command = "cmirnet prepare-data cups --split-by my-split --size 8 --size 16 --overlap union"
    assert f"{command} --out '{folder.parent}' --overwrite" in said


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (["own", "jsonl"], "cmirnet prepare-data own.jsonl"),
        (["refcoco+", "unc"], "cmirnet prepare-data refcoco+ --split-by unc"),
        (["combined", "unc+umd"], "cmirnet prepare-data combined --split-by unc+umd"),
        (["my photos", "jsonl"], "cmirnet prepare-data 'my photos.jsonl'"),
    ],
)
def test_the_command_for_a_cache_that_is_not_there_comes_from_its_name(asked: list[str], command: str, tmp_path: Path):
    with pytest.raises(CacheError, match="there is no cache") as caught:
        Cache.open(tmp_path / "-".join(asked))
    assert caught.value.hint == f"prepare it with: {command} --out {tmp_path}"
