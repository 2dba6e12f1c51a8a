"""URIs: what counts as one, how it is shown, and the file system that reads it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from cmirnet_cli.errors import UsageError

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
TAR, PARQUET = (".tar", ".tar.gz", ".tgz"), (".parquet",)
"""Suffixes of files that hold many images."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""Scheme → the extra that brings its driver."""


def is_uri(text: str) -> bool:
    """Whether a text is a URI and no local path, such as `s3://bucket/photos` or `file:///photos`."""
    return _URI.match(text) is not None


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case; empty for a local path."""
    found = _URI.match(uri)
    return found["scheme"].lower() if found else ""


def is_web(uri: str) -> bool:
    """Whether a URI is an address on the web: it may have a query, and no wildcards."""
    return uri[:5].lower() == "http:" or uri[:6].lower() == "https:"


def shown(uri: str) -> str:
    """A URI without what may be secret: user and password, and the query of a web address, which signs it. A path as it is."""
    if not is_uri(uri):
        return uri
    parts = urlsplit(uri)
    user, _, host = parts.netloc.rpartition("@")
    if is_web(uri):
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return uri.replace(f"{user}@", "", 1) if ":" in user else uri


def path_of(uri: str) -> str:
    """The path of a URI below its scheme, as `bucket/photos/cup.jpg` or `example.org/cup.jpg`, fit to be seen."""
    return shown(uri).split("://", 1)[-1].strip("/")


def is_container(path: str) -> bool:
    """Whether a path or URI names an archive or a parquet file, by its suffix."""
    return (shown(path) if is_web(path) else path).lower().endswith((*TAR, *PARQUET))


def local_path(uri: str) -> str:
    """The path on this machine that a `file://` URI names; anything else as it is."""
    return unquote(urlsplit(uri).path) if scheme_of(uri) == "file" else uri


def joined(folder: str, name: str) -> str:
    """The URI or path of something in a folder."""
    return f"{folder.rstrip('/')}/{name}"


@lru_cache(maxsize=64)
def driver(scheme: str) -> Any:
    """The class of fsspec's file system for a scheme.

    Raises:
        UsageError: nobody knows the scheme, or its driver is not installed.
    """
    from fsspec.registry import get_filesystem_class

    try:
        return get_filesystem_class(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        command = f"pip install 'cmirnet[{extra}]'" if extra else f"install the package that fsspec needs for {scheme}://"
        raise UsageError(f"{scheme}:// cannot be read here: {error}", hint=command) from error
    except ValueError as error:
        raise UsageError(
            f"{scheme}:// is no address that fsspec knows", hint="use s3://, gs://, hf://, https://, or a path on this machine"
        ) from error


def file_system(uri: str) -> tuple[Any, str]:
    """The file system of a URI, and the path there, without a slash at its end.

    Raises:
        UsageError: as for `driver`, or the driver's own settings are wrong.
    """
    kind = driver(scheme_of(uri))
    try:
        system, path = kind(**kind._get_kwargs_from_urls(uri)), str(kind._strip_protocol(uri))
    except (TypeError, ValueError) as error:
        hint = "check the address and the settings of fsspec"
        raise UsageError(f"{shown(uri)} cannot be opened: {type(error).__name__}", hint=hint) from None
    return system, path if is_web(uri) else path.rstrip("/")


def canonical(uri: str) -> str:
    """A URI as listings write it, without a slash at its end."""
    system, path = file_system(uri)
    return str(system.unstrip_protocol(path)).rstrip("/")
