"""URIs: which texts are any, what of them is shown, and which are refused."""

from __future__ import annotations

import hashlib
import re

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
        ("s3://key:SEC/RET@bucket/x.jpg", "s3://bucket/x.jpg"),
        ("s3://key:123/SECRET@bucket/x.jpg", "s3://bucket/x.jpg"),
        ("s3://key:SECRET@bucket/x@2x.jpg", "s3://bucket/x@2x.jpg"),
        ("s3://bucket/a:b/x@2x.jpg", "s3://bucket/a:b/x@2x.jpg"),
        ("s3://arn:aws:s3:eu-west-1:12:accesspoint/own/x@2x.jpg", "s3://arn:aws:s3:eu-west-1:12:accesspoint/own/x@2x.jpg"),
        ("hdfs://name.node:9000/x@2x.jpg", "hdfs://name.node:9000/x@2x.jpg"),
        ("https://[::1]:80/x@2x.jpg?sig=SECRET", "https://[::1]:80/x@2x.jpg"),
        ("https://user:SEC/RET@host/a.jpg", "https://host/a.jpg"),
        ("https://user:SEC?RET@host/a.jpg", "https://"),
        ("ftp://user:SECRET@host/a.jpg", "ftp://host/a.jpg"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("photos/user:name@home/a?b.jpg", "photos/user:name@home/a?b.jpg"),
    ],
)
def test_nothing_secret_is_shown(uri: str, seen: str):
    assert uris.shown(uri) == seen


ADDRESS = "https://example.org/a.jpg"


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=A&X-Amz-Credential=SECRET&X-Amz-Date=1&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=SECRET",
        "X-Goog-Algorithm=A&X-Goog-Credential=SECRET&X-Goog-Signature=SECRET&x-goog-date=1",
        "AWSAccessKeyId=SECRET&Signature=SECRET&Expires=1",
        "GoogleAccessId=SECRET&Signature=SECRET&Expires=1",
        "Expires=1&Policy=SECRET&Signature=SECRET&Key-Pair-Id=SECRET",
        "sv=2024-01-01&st=1&se=2&sr=b&sp=r&spr=https&sip=1&skoid=1&sktid=1&skt=1&ske=1&sks=b&skv=1&sig=SECRET",
        "OSSAccessKeyId=SECRET&Expires=1&Signature=SECRET&security-token=SECRET",
        "q-sign-algorithm=sha1&q-ak=SECRET&q-sign-time=1&q-signature=SECRET",
        "token=SECRET&expires=1",
        "access_token=SECRET&api_key=SECRET&password=SECRET",
        "sig%6eature=SECRET",
        "",
        "#part",
    ],
)
def test_parameters_that_sign_an_address_tell_no_images_apart(query: str):
    assert uris.with_query_digest(f"{ADDRESS}?{query}") == ADDRESS
    assert uris.with_query_digest(f"{ADDRESS}?id=7&{query}") == uris.with_query_digest(f"{ADDRESS}?id=7")


def test_any_other_parameter_tells_images_apart_and_is_not_shown():
    digits = hashlib.sha256(b'[["SIZE", "1"], ["id", "7"]]').hexdigest()[:10]
    for written in ("id=7&SIZE=1", "SIZE=1&id=7&sig=SECRET", "i%64=7&SIZE=1#part"):
        assert uris.with_query_digest(f"https://user:SECRET@example.org/b/a.jpg?{written}") == f"https://example.org/b/a-{digits}.jpg"
    queries = ["", "id=1", "id=2", "id=", "7", "se=1", "policy=1", "key=a.jpg", "key=b.jpg", "f=%FF", "f=%FE"]
    found = {uris.with_query_digest(f"https://example.org/img?{query}") for query in queries}
    assert len(found) == len(queries)
    assert all(each.startswith("https://example.org/img") and not set("?=&") & set(each) for each in found)
    assert re.fullmatch(r"example\.org/-[0-9a-f]{10}", uris.path_of("https://example.org/?id=1"))
    for uri in ("s3://bucket/a?id=1.jpg", "photos/a?id=1.jpg"):
        assert uris.with_query_digest(uri) == uri, "a question mark in a name of a file begins no query"


def test_a_scheme_that_nobody_knows_is_refused():
    with pytest.raises(UsageError, match="abc:// is no address"):
        uris.file_system("abc://bucket/a")


def test_a_driver_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(known_implementations, "gs", {"class": "no_such_module.Files", "err": "Please install gcsfs"})
    with pytest.raises(UsageError, match="gs:// cannot be read here: Please install gcsfs") as told:
        uris.file_system("gs://bucket/a")
    assert told.value.hint == "pip install 'cmirnet[gs]'"
