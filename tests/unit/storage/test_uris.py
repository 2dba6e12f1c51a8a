"""URIs: which texts are any, what of them is shown, and which are refused."""

from __future__ import annotations

import pytest
from fsspec.registry import known_implementations

from cmirnet_cli.errors import UsageError
from cmirnet_cli.storage import uris


@pytest.mark.parametrize("text", ["s3://bucket/a", "https://example.org/a.jpg", "memory://a", "file:///a", "hf://datasets/org/name"])
def test_a_scheme_makes_a_uri(text: str):
    assert uris.is_uri(text)


@pytest.mark.parametrize("text", ["photos/a.jpg", "/photos", r"C:\photos", "C://photos", "a:b", "-", "photos/s3://odd"])
def test_a_path_is_no_uri(text: str):
    assert not uris.is_uri(text)


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        ("https://user:SECRET@example.org/a.jpg?X-Amz-Signature=SECRET#SECRET", "https://example.org/a.jpg"),
        ("https://SECRET@example.org/a.jpg", "https://example.org/a.jpg"),
        ("HTTP://example.org/a.jpg?token=SECRET", "http://example.org/a.jpg"),
        ("s3://key:SECRET@bucket/a#b?c.jpg", "s3://bucket/a#b?c.jpg"),
        ("ftp://user:SECRET@host/a.jpg", "ftp://host/a.jpg"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("photos/user:name@home/a?b.jpg", "photos/user:name@home/a?b.jpg"),
    ],
)
def test_nothing_secret_is_shown(uri: str, seen: str):
    assert uris.shown(uri) == seen


def test_a_scheme_that_nobody_knows_is_refused():
    with pytest.raises(UsageError, match="abc:// is no address"):
        uris.file_system("abc://bucket/a")


def test_a_driver_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(known_implementations, "gs", {"class": "no_such_module.Files", "err": "Please install gcsfs"})
    with pytest.raises(UsageError, match="gs:// cannot be read here: Please install gcsfs") as told:
        uris.file_system("gs://bucket/a")
    assert told.value.hint == "pip install 'cmirnet[gs]'"
