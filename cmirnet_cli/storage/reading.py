"""Reading from storage: a few tries with growing waits, a time limit, and errors that say what to do and hold nothing secret.

The error of a driver is described by its kind, never by its own text: that may hold an address with its signature.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from cmirnet_cli.errors import NotThereError, StorageError
from cmirnet_cli.storage.uris import file_system, scheme_of, shown

Result = TypeVar("Result")

TRIES, FIRST_WAIT = 3, 0.5
"""How often something is tried, and the seconds before the second try; each wait is twice as long as the one before."""
PATIENCE = 60.0
"""Seconds that one try may take."""

_CREDENTIALS = {
    "s3": "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL for another provider than AWS",
    "gs": "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS",
    "hf": "hf auth login, or HF_TOKEN",
}
"""Scheme → where its driver finds credentials."""
_MISSING_STATUS, _REFUSED_STATUS, _EMPTY_STATUS = (404, 410), (401, 403), 416
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_PASSING_ERRNO = (errno.EIO, errno.EBUSY, errno.ETIMEDOUT, getattr(errno, "EREMOTEIO", errno.EIO))
_PASSING_NAMES = ("Timeout", "Connection", "Connector", "Disconnected", "Payload", "IncompleteRead", "HTTPClientError", "TransportError")
"""Parts of the class names of errors that may pass; those of aiohttp, botocore and httpx have no common base."""


def read_whole(uri: str, most: int | None) -> bytes:
    """The bytes of a file, in one request; of a file larger than `most`, only the first `most` + 1.

    Raises:
        StorageError: as for `attempt`.
    """
    system, path = file_system(uri)
    part = {} if most is None else {"start": 0, "end": most + 1}

    def read() -> bytes:
        try:
            return bytes(call(system, "cat_file", path, **part))
        except Exception as error:
            if _status_of(error) == _EMPTY_STATUS or _code_of(error) == "InvalidRange":  # an empty file has no first byte
                return b""
            raise

    return attempt(f"cannot read {shown(uri)}", uri, read)


def call(system: Any, method: str, *arguments: object, patience: float = 0.0, **options: object) -> Any:
    """Call a method of a file system. An asynchronous one may take PATIENCE + `patience` seconds."""
    if not getattr(system, "async_impl", False):
        return getattr(system, method)(*arguments, **options)
    from fsspec.asyn import sync

    return sync(system.loop, getattr(system, f"_{method}"), *arguments, timeout=PATIENCE + patience, **options)


def attempt(what: str, uri: str, action: Callable[[], Result], tries: int | None = None) -> Result:
    """The result of an action on storage. Where its error may pass, it is tried again.

    Args:
        what: the beginning of the error's text, such as "cannot read s3://bucket/cup.jpg".
        uri: for the hint.
        action: what to do.
        tries: how often, TRIES by default.

    Raises:
        NotThereError: there is no such thing.
        StorageError: access is forbidden, or the last try failed.
    """
    tries = tries or TRIES
    for number in range(1, tries + 1):
        try:
            return action()
        except StorageError:
            raise
        except Exception as error:
            failure = _failure(error)
            if not failure.passing or number == tries:
                raise failure.error(what, uri, number) from None  # the driver's error may hold what must not be shown
            time.sleep(FIRST_WAIT * 2 ** (number - 1) * random.uniform(0.75, 1.25))
    raise AssertionError("at least one try")


@dataclass(frozen=True)
class _Failure:
    """What an error of a driver means.

    Attributes:
        reason: in words.
        passing: whether it may pass.
        missing: whether there is no such thing.
        refused: whether credentials are missing, wrong or not enough.
    """

    reason: str
    passing: bool = False
    missing: bool = False
    refused: bool = False

    def error(self, what: str, uri: str, tries: int) -> StorageError:
        """The error to raise after so many tries."""
        message = f"{what}: {self.reason}{f' ({tries} tries)' if tries > 1 else ''}"
        if self.missing:
            return NotThereError(message, hint="check the address")
        if self.refused:
            known = _CREDENTIALS.get(scheme_of(uri))
            return StorageError(message, hint=f"check the credentials{f' ({known})' if known else ''} and what they allow")
        return StorageError(message, hint="check the network and the service, and go on with --skip-existing")


def _failure(error: BaseException) -> _Failure:
    classes = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    code, name = _code_of(error), type(error).__name__
    if any(part in each for each in classes for part in _PASSING_NAMES):
        late = any("Timeout" in each for each in classes)
        return _Failure("no answer in time" if late else f"the connection failed ({name})", passing=True)
    if any("Credential" in each or each.startswith("google.auth") for each in classes):
        return _Failure(f"no usable credentials ({name})", refused=True)
    status = _status_of(error)
    said = f"{status} {code}".strip() if status else code
    if isinstance(error, PermissionError) or status in _REFUSED_STATUS:
        return _Failure(f"access is forbidden{f' ({said})' if said else ''}", refused=True)
    if isinstance(error, FileNotFoundError) or status in _MISSING_STATUS:
        return _Failure("there is no such bucket" if code == "NoSuchBucket" else "there is no such file or folder", missing=True)
    passing = status in _PASSING_STATUS or (isinstance(error, OSError) and error.errno in _PASSING_ERRNO)
    system = error.strerror if isinstance(error, OSError) and error.errno else ""
    return _Failure(f"the server answered {said}" if status else system or name, passing)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of aiohttp (`status`), gcsfs (`code`), httpx or botocore carries, itself or as its cause."""
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        told = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
        found = [getattr(response, "status_code", None), told, getattr(cause, "status" if hasattr(cause, "status") else "code", None)]
        for value in found:
            if isinstance(value, int) and 100 <= value < 600:
                return value
    return None


def _code_of(error: BaseException) -> str:
    """What S3 calls an error, such as NoSuchBucket."""
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        if isinstance(response, dict) and isinstance(code := response.get("Error", {}).get("Code"), str):
            return "" if code.isdigit() else code
    return ""


def opened(uri: str) -> IO[bytes]:
    """A file in storage to read piece by piece, or to seek in; each piece is tried again as `attempt` does.

    Raises:
        StorageError: as for `attempt`; so does `read`.
    """
    system, path = file_system(uri)
    what = f"cannot read {shown(uri)}"
    file = attempt(what, uri, lambda: system.open(path, "rb"))
    return _Retried(file, what, uri)  # type: ignore[return-value]  # all that tarfile and pyarrow ask of a file


class _Retried:
    """A file of fsspec whose reads are tried again from where they began."""

    def __init__(self, file: Any, what: str, uri: str) -> None:
        self._file, self._what, self._uri = file, what, uri

    def read(self, count: int = -1) -> bytes:
        place = self._file.tell()

        def read() -> bytes:
            if self._file.tell() != place:
                self._file.seek(place)
            return bytes(self._file.read(count))

        return attempt(self._what, self._uri, read)

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self._file.seek(place, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _Retried:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
