"""A finished cache gets its name, or all stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import install


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
