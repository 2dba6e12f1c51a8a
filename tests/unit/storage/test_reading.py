"""Reading from storage: what passes is tried again, what stays is an error that says what to do and nothing secret."""

from __future__ import annotations

import io

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cmirnet_cli.errors import NotThereError, StorageError
from cmirnet_cli.storage import reading
from cmirnet_cli.storage.reading import opened, read_whole


@pytest.mark.parametrize("passing", [[503], [429, 500], ["break"], ["break", 502]])
def test_what_passes_is_tried_again(web, passing: list[int | str]):
    web.answers = list(passing)
    assert read_whole(web.url, 100) == web.content
    assert web.requests == len(passing) + 1


@pytest.mark.parametrize(
    ("answers", "kind", "words", "requests"),
    [
        ([404], NotThereError, "there is no such file or folder", 1),
        ([403], StorageError, r"access is forbidden \(403\)", 1),
        ([401], StorageError, r"access is forbidden \(401\)", 1),
        ([400], StorageError, "the server answered 400", 1),
        ([503] * 9, StorageError, r"the server answered 503 \(3 tries\)", 3),
        (["break"] * 9, StorageError, r"the connection failed \(\w+\) \(3 tries\)", 3),
    ],
)
def test_what_stays_is_an_error_without_the_signature(web, answers: list[int | str], kind: type, words: str, requests: int):
    web.answers = list(answers)
    with pytest.raises(kind, match=rf"^cannot read http://127.0.0.1:\d+/a.jpg: {words}$") as told:
        read_whole(web.url, 100)
    assert web.requests == requests
    assert told.value.hint
    assert told.value.__cause__ is None


def test_a_server_that_never_answers_is_given_up(web, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    web.answers = ["hang"] * 9
    with pytest.raises(StorageError, match=r"no answer in time \(3 tries\)"):
        read_whole(web.url, 100)


def test_no_more_than_the_limit_and_one_byte_is_read():
    fsspec.filesystem("memory").pipe_file("/reading/long", b"0123456789")
    assert read_whole("memory://reading/long", 4) == b"01234"
    assert read_whole("memory://reading/long", 10) == b"0123456789"


def test_an_empty_file_is_empty(web):
    web.content = b""
    assert read_whole(web.url, 100) == b""


class Breaking(MemoryFileSystem):
    """Files whose fifth byte cannot be read at first."""

    failures = 2

    def _open(self, path, mode="rb", **options):
        return BreakingFile(super()._open(path, mode, **options).getvalue())


class BreakingFile(io.BytesIO):
    def read(self, count=-1):
        if Breaking.failures and self.tell() == 4:
            Breaking.failures -= 1
            super().read(2)
            raise ConnectionResetError("broken off")
        return super().read(count)


def test_a_read_that_breaks_off_goes_on_where_it_began(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(reading, "file_system", lambda uri: (Breaking(), uri.removeprefix("memory:/")))
    fsspec.filesystem("memory").pipe_file("/reading/long", b"0123456789")
    with opened("memory://reading/long") as file:
        assert [file.read(4), file.read(4), file.read(4)] == [b"0123", b"4567", b"89"]
    assert Breaking.failures == 0
