"""Listing storage as a stream: page by page where the storage has pages, else folder by folder. A whole bucket is never in memory.

The order is the storage's own for pages (S3, Google Cloud Storage and the hub sort by name) and by name, files before folders, elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from cmirnet_cli.errors import UsageError
from cmirnet_cli.storage.reading import attempt, call
from cmirnet_cli.storage.uris import file_system, is_web, no_bucket, scheme_of, shown, with_query_digest

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class StoredFile:
    """A file in storage.

    Attributes:
        uri: its URI.
        name: its path relative to what was listed.
        size: in bytes, where the listing says that.
    """

    uri: str
    name: str
    size: int | None = None


@dataclass(frozen=True)
class Listing:
    """What a URI names.

    Attributes:
        root: the URI of the folder that names are relative to.
        files: the files in it, listed as they are taken.
        single: whether the URI names one file.
    """

    root: str
    files: Iterator[StoredFile]
    single: bool = False


def listing(uri: str, *, recursive: bool) -> Listing:
    """The files that a URI names: a file, a folder (with all below it if `recursive`), or a pattern with `*`, `?`, `[…]` and `**`.

    Raises:
        StorageError: it is not there, forbidden, or does not answer; also while files are taken.
        UsageError: its driver is missing, or it names a whole service.
    """
    system, path = file_system(uri)
    if not is_web(uri) and _MAGIC.search(path):
        return _matching(system, uri, path)
    if not path.strip("/") and scheme_of(uri) not in ("memory", "file"):
        raise no_bucket(uri)
    what = f"cannot read {shown(uri)}"
    if not uri.endswith("/"):
        found = attempt(what, uri, lambda: call(system, "info", path), tries=1)  # a wrong address is an error at once
        if found["type"] != "directory":
            parent, _, name = (path if not is_web(uri) else with_query_digest(uri)).rpartition("/")
            return Listing(_uri(system, parent), iter([StoredFile(uri, name, found.get("size"))]), single=True)
    return Listing(uri.rstrip("/"), _below(system, uri, path, recursive=recursive))


def files_of(folder: str, *, recursive: bool = False) -> Iterator[StoredFile]:
    """The files in the folder of a URI. In its name, `[`, `*` and `?` are no wildcards.

    Raises:
        StorageError: as for `listing`, while files are taken.
    """
    system, path = file_system(folder)
    return _below(system, folder, path, recursive=recursive)


def _matching(system: Any, uri: str, path: str) -> Listing:
    from fsspec.utils import glob_translate

    fixed = "/".join(takewhile(lambda part: not _MAGIC.search(part), path.split("/")))
    if not fixed.strip("/"):
        raise UsageError(f"{shown(uri)} has its first wildcard in the bucket's name", hint="name the bucket")
    fits = re.compile(glob_translate(path)).match
    deep = "/" in path[len(fixed) + 1 :] or "**" in path
    files = (file for file in _below(system, uri, fixed, recursive=deep) if fits(f"{fixed}/{file.name}"))
    return Listing(_uri(system, fixed), files)


def _below(system: Any, uri: str, root: str, *, recursive: bool) -> Iterator[StoredFile]:
    """The files of a folder, and of those below it."""
    prefix = root.rstrip("/") + "/"
    for entry in _PAGED.get(scheme_of(uri), _folder_by_folder)(system, uri, root, recursive):
        path = str(entry["name"])
        if entry["type"] == "file" and path.startswith(prefix) and not path.endswith("/"):
            name = with_query_digest(path).removeprefix(shown(prefix)) if is_web(path) else path[len(prefix) :]
            yield StoredFile(_uri(system, path), name, entry.get("size"))


def _folder_by_folder(system: Any, uri: str, folder: str, recursive: bool) -> Iterator[Mapping[str, Any]]:
    """By `ls`, which every file system of fsspec has. A list is sorted; what comes piece by piece is taken as it comes."""
    given = attempt(f"cannot list {shown(_uri(system, folder))}", uri, lambda: call(system, "ls", folder, detail=True))
    entries: Iterable[Mapping[str, Any]] = sorted(given, key=lambda entry: str(entry["name"])) if isinstance(given, list) else given
    if hasattr(system, "invalidate_cache"):
        system.invalidate_cache(folder)  # or fsspec would keep all that it ever listed
    below = []
    for entry in entries:
        if entry["type"] == "directory":
            below.append(str(entry["name"]))
        else:
            yield entry
    for each in below if recursive else ():
        if each.rstrip("/") != folder.rstrip("/"):
            yield from _folder_by_folder(system, uri, each, recursive)


def _pages_of_s3(system: Any, uri: str, folder: str, recursive: bool) -> Iterator[Mapping[str, Any]]:
    bucket, _, inside = folder.partition("/")
    options: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{inside}/" if inside else ""}
    options |= {} if recursive else {"Delimiter": "/"}
    what = f"cannot list {shown(uri)}"
    more = True
    while more:
        page = attempt(what, uri, lambda: call(system, "call_s3", "list_objects_v2", **options))
        for entry in page.get("Contents", ()):
            yield {"name": f"{bucket}/{entry['Key']}", "size": entry["Size"], "type": "file"}
        more = bool(page.get("IsTruncated"))
        options["ContinuationToken"] = page.get("NextContinuationToken")


def _pages_of_gs(system: Any, uri: str, folder: str, recursive: bool) -> Iterator[Mapping[str, Any]]:
    bucket, _, inside = folder.partition("/")
    options: dict[str, Any] = {"prefix": f"{inside}/" if inside else "", "maxResults": 1000}
    options |= {} if recursive else {"delimiter": "/"}
    what, more = f"cannot list {shown(uri)}", True
    while more:
        page = attempt(what, uri, lambda: call(system, "call", "GET", "b/{}/o", bucket, json_out=True, **options))
        for entry in page.get("items", ()):
            yield {"name": f"{bucket}/{entry['name']}", "size": int(entry.get("size", 0)), "type": "file"}
        options["pageToken"] = page.get("nextPageToken")
        more = bool(options["pageToken"])


_PAGED = {"s3": _pages_of_s3, "s3a": _pages_of_s3, "gs": _pages_of_gs, "gcs": _pages_of_gs}


def _uri(system: Any, path: str) -> str:
    return str(system.unstrip_protocol(path))
