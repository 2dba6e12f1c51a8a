"""From inputs to chunks, one after the other: a listing is forgotten as soon as its chunk is made.

Names are relative to each input's folder. Where inputs are in different folders, the folder's own name comes first, so that no two images
share a name. A file of a list keeps its whole path: the rest of the list is not known yet.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, takewhile
from pathlib import Path, PurePosixPath

from cmirnet_cli.engine.bulk.chunk import BulkPhoto, Chunk, Container
from cmirnet_cli.engine.bulk.parquet import row_chunks
from cmirnet_cli.engine.prediction.photo_files import LINKED_AGAIN, MACOS_ARCHIVE, find_photos, fixed_part, folders_once, left_out_notice
from cmirnet_cli.errors import DataError, StorageError, UsageError
from cmirnet_cli.images.formats import MACOS, is_read, kind_of, suffixes
from cmirnet_cli.storage.listing import StoredFile, listing
from cmirnet_cli.storage.uris import PARQUET, TAR, canonical, is_container, is_uri, marked, path_of, shown, ten_digits, with_query_digest

CHUNK = 1000
"""Photographs of a chunk, by default."""
_ROWS = re.compile(r"predictions-\d{8,}\.(parquet|jsonl|json)")
"""Names of the files of rows that bulk prediction leaves beside masks."""


@dataclass(frozen=True)
class BulkRequest:
    """What to predict on in bulk, and what to look for.

    Attributes:
        inputs: files, folders, patterns and archives, as paths or URIs.
        expressions: those for every image.
        listed: more image files, gone through once; as paths or URIs.
        pairs: single images, each with its own expressions.
        recursive: whether folders are searched to the bottom.
        exclude: folders, as paths or URIs, that are not searched where they lie inside an input: those that results go to. Where one is
            the input itself, or holds it, only its files of rows are left alone.
        text: the column or member that holds an image's own expressions; empty where there are none.
        chunk_size: photographs of a chunk.
    """

    inputs: Sequence[str] = ()
    expressions: tuple[str, ...] = ()
    listed: Iterable[str] = ()
    pairs: Iterable[BulkPhoto] = ()
    recursive: bool = False
    exclude: Sequence[str] = ()
    text: str = ""
    chunk_size: int = CHUNK


def chunks(request: BulkRequest, left_out: Counter[str] | None = None) -> Iterator[Chunk]:
    """The chunks of a request in order, made as they are taken; the same request gives the same ones as long as its inputs stay.

    Args:
        request: what to predict on.
        left_out: counts, by kind, files that were left out because they cannot be read here, and side files.

    Raises:
        DataError: an input names nothing, or is a damaged parquet file.
        StorageError: storage is missing, forbidden or does not answer.
        UsageError: a driver is not installed, or --text is for archives and the request has photographs.
    """
    numbers, waiting = count(), []
    for found in _found(request, Counter() if left_out is None else left_out):
        if isinstance(found, BulkPhoto):
            waiting.append(found)
            if len(waiting) < request.chunk_size:
                continue
        if waiting:
            yield Chunk(next(numbers), photos=_distinct_names(waiting))
            waiting = []
        if isinstance(found, Container):
            yield Chunk(next(numbers), container=found)
    if waiting:
        yield Chunk(next(numbers), photos=_distinct_names(waiting))


def listed_photo_name(written: str) -> str:
    """The name for an image that a list names: all of its path, as `bucket/photos/cup.jpg`."""
    path = path_of(written) if is_uri(written) else PurePosixPath(Path(written).as_posix()).as_posix()
    if ".." in PurePosixPath(path).parts:
        path = Path(path).resolve().as_posix()
    return path.strip("/")


def _distinct_names(photos: Sequence[BulkPhoto]) -> tuple[BulkPhoto, ...]:
    """Where different images of a chunk share a name, each name gets ten digits of the digest of its image's path or address.

    Names that differ only in case count as one, because some file systems treat them so.
    """
    images: dict[str, set[str]] = {}
    for photo in photos:
        image = with_query_digest(photo.uri) if is_uri(photo.uri) else str(Path(photo.uri).absolute())
        images.setdefault(photo.name.casefold(), set()).add(image)
    return tuple(photo if len(images[photo.name.casefold()]) == 1 else _marked(photo) for photo in photos)


def _marked(photo: BulkPhoto) -> BulkPhoto:
    written = with_query_digest(photo.uri) if is_uri(photo.uri) else Path(photo.uri).as_posix()
    return replace(photo, name=marked(photo.name, ten_digits(written)))


def _found(request: BulkRequest, left_out: Counter[str]) -> Iterator[BulkPhoto | Container]:
    """Everything that the request names, as it is listed. An input that names nothing is an error before the first is taken."""
    inputs = [_input(each, request, left_out) for each in dict.fromkeys(request.inputs)]
    labels = _labels([each.root for each in inputs])
    for each in inputs:
        label = labels[each.root]
        for file in each.files:
            yield from _items(request, file, f"{label}/{file.name}" if label else file.name, searched=each.searched)
    for written in request.listed:
        yield from _items(request, StoredFile(written, written), listed_photo_name(written))
    yield from request.pairs


def _items(request: BulkRequest, file: StoredFile, name: str, *, searched: bool = False) -> Iterator[BulkPhoto | Container]:
    """A photograph, an archive, or the pieces of a parquet file. A damaged one that a search found does not end the run."""
    if not is_container(file.uri):
        if not request.expressions:
            hint = "add -e TEXT; --text is for archives and parquet files"
            raise UsageError(f"there is no expression for {shown(file.uri)}", hint=hint)
        yield BulkPhoto(file.uri, name, request.expressions)
        return
    whole = Container(file.uri, name, request.expressions, request.text, file.size)
    if shown(file.uri).lower().endswith(TAR):
        yield whole
        return
    try:
        for rows in row_chunks(file.uri, request.chunk_size, request.text):
            yield replace(whole, rows=rows)
    except StorageError:
        raise
    except DataError:
        if not searched:
            raise
        yield replace(whole, rows=(0, 0))  # reading it raises the same error, which becomes a row


@dataclass(frozen=True)
class _Input:
    """The files of an input, the folder that their names are seen from, and whether they were searched for."""

    root: str
    files: Iterator[StoredFile]
    searched: bool


def _input(written: str, request: BulkRequest, left_out: Counter[str]) -> _Input:
    """The pictures and archives that an input names.

    Raises:
        DataError: there are none, or a folder cannot be read.
        StorageError: as for `listing`.
    """
    if is_uri(written):
        found = listing(written, recursive=request.recursive)
        root, searched = found.root, not found.single
        files = _useful(_outside(found.files, root, request.exclude), left_out) if searched else found.files
    else:
        path = Path(written).expanduser()
        searched = path.is_dir()
        folder = path.parent if path.exists() else fixed_part(path)
        root = str((path if searched else folder).resolve())
        if searched:
            files = _useful(_in_folder(path, request, left_out), left_out)
        else:
            excluded = _folders(request.exclude)
            photos = find_photos([written], exclude=excluded).photos
            if not path.exists():
                photos = [photo for photo in photos if not (_ROWS.fullmatch(photo.path.name) and photo.path.parent.resolve() in excluded)]
            files = iter([StoredFile(str(photo.path), photo.name.as_posix(), _size(photo.path)) for photo in photos])
    first = next(files, None)
    if first is None:
        instead = f"; {left_out_notice(left_out)}" if left_out else ""
        kinds = ", ".join([*suffixes(), *TAR, *PARQUET])
        hint = "name a folder that holds some; --recursive also searches the folders inside"
        raise DataError(f"{shown(written)} holds no images ({kinds}){instead}", hint=hint)
    return _Input(root, chain([first], files), searched)


def _useful(files: Iterable[StoredFile], left_out: Counter[str]) -> Iterator[StoredFile]:
    """The pictures that can be read here, and archives; other kinds of pictures are counted."""
    for file in files:
        kind = kind_of(Path(file.name))
        if _is_taken(kind, file.uri):
            yield file
        elif kind is not None:
            left_out[kind] += 1


def _is_taken(kind: str | None, uri: str) -> bool:
    return kind != MACOS and (is_container(uri) or (kind is not None and is_read(kind)))


def _in_folder(folder: Path, request: BulkRequest, left_out: Counter[str]) -> Iterator[StoredFile]:
    """The files of a local folder; a link to a file that is taken itself is left out."""
    top, excluded = folder.resolve(), _folders(request.exclude)

    def is_taken_itself(real: Path) -> bool:
        inside = list(takewhile(lambda each: each != top, real.parents)) if top in real.parents else None
        if inside is None or (inside and not request.recursive) or not _is_taken(kind_of(real), str(real)):
            return False
        return real.exists() and not any(each in excluded or each.name == MACOS_ARCHIVE for each in inside)

    for here, files in folders_once(folder, excluded):
        holds_rows = here.resolve() in excluded
        for file in files:
            if holds_rows and _ROWS.fullmatch(file.name):
                continue
            if _is_taken(kind_of(file), file.name) and file.is_symlink() and is_taken_itself(file.resolve()):
                left_out[LINKED_AGAIN] += 1
            else:
                yield StoredFile(str(file), file.relative_to(folder).as_posix(), _size(file) if is_container(file.name) else None)
        if not request.recursive:
            return


def _outside(files: Iterable[StoredFile], root: str, exclude: Sequence[str]) -> Iterator[StoredFile]:
    """The files of a listing from `root` without those of excluded folders below it, and without rows of results."""
    excluded = {canonical(each) for each in exclude if is_uri(each)}
    top = f"{canonical(root)}/" if excluded else ""
    below = tuple(f"{each}/" for each in excluded if each.startswith(top))
    for file in files:
        folder, _, name = file.uri.rpartition("/")
        if not (file.uri.startswith(below) or (folder in excluded and _ROWS.fullmatch(name))):
            yield file


def _folders(exclude: Sequence[str]) -> frozenset[Path]:
    """Those on this machine."""
    return frozenset(Path(path).resolve() for path in exclude if not is_uri(path))


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _labels(roots: Sequence[str]) -> Mapping[str, str]:
    """What goes before the names of each folder's images: nothing for one folder; else its name, with digits if two folders share it."""
    distinct = list(dict.fromkeys(roots))
    if len(distinct) < 2:
        return dict.fromkeys(distinct, "")
    names = {root: path_of(root).rpartition("/")[2] or "root" for root in distinct}
    counts = Counter(name.casefold() for name in names.values())
    return {root: name if counts[name.casefold()] == 1 else f"{name}-{ten_digits(shown(root))}" for root, name in names.items()}
