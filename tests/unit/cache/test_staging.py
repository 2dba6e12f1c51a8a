"""A cache grows alone, and gets its name when it is finished, or all stays as it was."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cmirnet_cli.cache.staging import install, sole_writer, staging_folder
from cmirnet_cli.errors import CacheError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder in the place of a finished cache."""
    folder = tmp_path / "refcoco-unc"
    folder.mkdir()
    (folder / "manifest.json").write_text("old")
    return folder


def test_new_cache_takes_the_place_of_the_old_one(cache: Path):
    staging = cache.with_name("staging")
    staging.mkdir()
    (staging / "manifest.json").write_text("new")
    install(staging, cache, overwrite=True)
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]
    assert (cache / "manifest.json").read_text() == "new"


@pytest.mark.parametrize("overwrite", [True, False])
def test_old_cache_keeps_its_name_if_the_new_one_cannot_have_it(cache: Path, overwrite: bool):
    with pytest.raises(CacheError, match=r"^cannot give .*removed-meanwhile its name .*refcoco-unc: No such file"):
        install(cache.with_name("removed-meanwhile"), cache, overwrite=overwrite)
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]
    assert (cache / "manifest.json").read_text() == "old"


def test_where_folders_cannot_be_locked_a_cache_grows_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with sole_writer(tmp_path / "staging", print) as alone, sole_writer(tmp_path / "staging", print) as other:
        assert (alone, other) == (False, False)
    assert not list(tmp_path.iterdir())


def test_a_writer_whose_folder_is_taken_while_it_waits_says_so(tmp_path: Path):
    staging = staging_folder(tmp_path / "cache", "0123456789abcdef")
    with ExitStack() as other:
        other.enter_context(sole_writer(staging, str))

        def taken(_: str) -> None:
            staging.rmdir()
            staging.touch()
            other.close()

        with pytest.raises(CacheError, match="cannot write in"), sole_writer(staging, taken):
            pass


def test_writers_that_come_and_go_at_once_take_nothing_from_under_each_other(tmp_path: Path):
    inside: list[int] = []

    def come_and_go(writer: int) -> None:
        for _ in range(100):
            with sole_writer(tmp_path / "staging", str):
                inside.append(writer)
                (tmp_path / "staging").stat()
                assert inside == [writer]
                inside.remove(writer)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(come_and_go, range(4))) == [None] * 4
    assert not list(tmp_path.iterdir())
