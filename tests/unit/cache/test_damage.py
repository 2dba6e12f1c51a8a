"""Caches that are not there, not finished, not whole, or not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache, Damage, verify
from cmirnet_cli.cache.schema import CacheOptions, cache_name
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.errors import CacheError
from cmirnet_cli.refer.referent import ReferDataset

Draw = Callable[..., ReferDataset]

AGAIN = "cmirnet prepare-data drawn --split-by made --size 16"


@pytest.fixture
def folder(draw: Draw, tmp_path: Path) -> Path:
    write_cache(draw(), tmp_path / "refcoco+-unc", CacheOptions(sizes=(16,)))
    return tmp_path / "refcoco+-unc"


def test_an_undamaged_cache_verifies(folder: Path):
    assert verify(folder) == []


@pytest.mark.parametrize("name", ["images-00000.h5", "annotations.h5"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_verify_names_the_file_in_which_one_bit_flipped(folder: Path, name: str, place: float):
    data = bytearray((folder / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (folder / name).write_bytes(data)
    assert verify(folder) == [Damage(name, "content differs from the manifest's sha256")]


def test_a_truncated_shard_is_named_by_verify_and_refused_by_open(folder: Path):
    shard = folder / "images-00000.h5"
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-100])
    assert verify(folder) == [Damage("images-00000.h5", f"{size - 100} bytes long instead of {size}")]
    with pytest.raises(CacheError, match=r"images-00000\.h5 missing or of the wrong length"):
        Cache.open(folder)


def test_a_missing_shard_is_named_with_the_command_that_prepares_it(folder: Path):
    (folder / "images-00000.h5").unlink()
    with pytest.raises(CacheError, match=r"images-00000\.h5 missing") as caught:
        Cache.open(folder)
    assert caught.value.hint == f"prepare it again with: {AGAIN} --out {folder.parent} --overwrite"
    assert verify(folder) == [Damage("images-00000.h5", "missing")]


def test_another_schema_version_is_refused_with_both_numbers(folder: Path):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(CacheError, match="schema_version is 99, this program reads 2"):
        Cache.open(folder)


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"schema_version": 1}', '{"schema_version": 2, "sha256": ""}'])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CacheError, match=r"manifest\.json"):
        Cache.open(folder)


def test_an_edited_manifest_is_refused(folder: Path):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"sentences": 12', '"sentences": 13'))
    with pytest.raises(CacheError, match="differs from its own digest"):
        verify(folder)


def test_a_cache_that_is_not_there_is_an_error_with_the_command_that_makes_it(tmp_path: Path):
    with pytest.raises(CacheError, match="there is no cache") as caught:
        Cache.open(tmp_path / "refcocog-umd")
    assert caught.value.hint == f"prepare it with: cmirnet prepare-data refcocog --split-by umd --out {tmp_path}"


def test_a_cache_is_found_by_the_names_in_its_manifest_whatever_hyphens_they_hold(draw: Draw, tmp_path: Path):
    for dataset, split_by in (("cups", "my-shop"), ("cups-my", "mall")):
        write_cache(replace(draw(), name=dataset, split_by=split_by), tmp_path / cache_name(dataset, split_by), CacheOptions(sizes=(16,)))
    assert find_cache(tmp_path, "cups", "my-shop") == tmp_path / "cups-my-shop"
    assert find_cache(tmp_path, "cups-my") == tmp_path / "cups-my-mall"
    with pytest.raises(CacheError, match="holds several prepared caches: cups-my-mall, cups-my-shop") as caught:
        find_cache(tmp_path)
    assert caught.value.hint == f"name one of these folders, such as {tmp_path / 'cups-my-mall'}"


def test_a_cache_of_a_jsonl_file_is_found_by_the_file_s_name_and_by_its_own(draw: Draw, tmp_path: Path):
    folder = tmp_path / cache_name("mine", "jsonl")
    write_cache(replace(draw(), name="mine", split_by="jsonl"), folder, CacheOptions(sizes=(16,)))
    assert [find_cache(tmp_path, name) for name in ("mine", "mine.jsonl", "mine-jsonl")] == [folder] * 3


def test_a_missing_cache_of_one_s_own_data_is_made_from_the_file_that_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CacheError) as caught:
        find_cache(tmp_path / "cache", "mine", sizes=(480, 520))
    assert "ANNOTATIONS is the file or folder of your annotations" in caught.value.hint
    Path("mine.jsonl").touch()
    with pytest.raises(CacheError) as caught:
        find_cache(tmp_path / "cache", "mine", sizes=(480, 520))
    assert caught.value.hint == f"make one with `cmirnet prepare-data mine.jsonl --size 480 --size 520 --out {tmp_path / 'cache'}`"


def test_a_folder_without_manifest_is_no_cache(tmp_path: Path):
    with pytest.raises(CacheError, match="it has no manifest"):
        Cache.open(tmp_path)


def test_a_shard_of_another_cache_is_refused_when_it_is_read(folder: Path, draw: Draw, tmp_path: Path):
    write_cache(draw(height=31), tmp_path / "other", CacheOptions(sizes=(16,)))
    (folder / "images-00000.h5").write_bytes((tmp_path / "other" / "images-00000.h5").read_bytes())
    with pytest.raises(CacheError, match=r"images-00000\.h5 belongs to another cache"):
        Cache.open(folder).image(0, 16)


def test_masks_that_can_no_longer_be_read_are_damage(folder: Path):
    cache = Cache.open(folder)
    (folder / "annotations.h5").write_bytes(b"")
    with pytest.raises(CacheError, match=r"annotations\.h5 is damaged") as caught:
        cache.mask(0, 16)
    assert caught.value.hint == f"see what is damaged with: cmirnet cache verify {folder}"


def test_a_read_only_cache_is_read(folder: Path):
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555)
    try:
        assert Cache.open(folder).image(0, 16).shape == (16, 16, 3)
    finally:
        folder.chmod(0o755)
