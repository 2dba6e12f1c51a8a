"""Which folder is a complete cache, which one a command means, and what to do about one that is missing, damaged or another."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from cmirnet_cli.cache.schema import MANIFEST, CachedFile, CacheOptions, Manifest
from cmirnet_cli.cache.staging import is_temporary, unfinished
from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import sha256_of
from cmirnet_cli.refer.jsonl import SPLIT_BY as FROM_JSONL
from cmirnet_cli.refer.readers import READERS
from cmirnet_cli.refer.registry import SPLITS, belongs

_READ_FROM_FILES = {reader.key for reader in READERS}

ANNOTATIONS_PATH = "ANNOTATIONS"
"""Stands in a command for the file or folder of one's own annotations, where nobody knows it."""


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a cache folder.

    Raises:
        CacheError: there is no cache, or its manifest is damaged or of another schema version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        absence = f"there is no cache in {folder}: it has no manifest" if folder.is_dir() else f"there is no cache {folder}"
        if begun := unfinished(folder):
            absence = f"the cache {folder} is not finished: {begun[0]} was started"
        raise CacheError(absence, hint=f"prepare it with: {prepare_command(folder)}")
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, CacheError) as error:
        raise CacheError(f"cannot use {folder}: {error}", hint=prepare_again(folder)) from error


def require_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files' presence and length with the manifest; their content is not read.

    Raises:
        CacheError: files are missing or cut short; they are named.
    """
    paths = [(folder / file.name, file.size) for file in manifest.files]
    damaged = [path.name for path, size in paths if not path.is_file() or path.stat().st_size != size]
    if damaged:
        raise CacheError(f"{folder} is damaged: {', '.join(damaged)} missing or of the wrong length", hint=prepare_again(folder))


def require_whole(folder: Path, files: Iterable[CachedFile]) -> None:
    """Read these files of a cache and compare them with what the manifest says of them.

    Raises:
        CacheError: files are missing or not as they were written; they are named.
    """
    damages = [f"{file.name} ({reason})" for file in files if (reason := damage(folder, file)) is not None]
    if damages:
        raise CacheError(f"{folder} is damaged: {', '.join(damages)}", hint=prepare_again(folder))


def damage(folder: Path, expected: CachedFile) -> str | None:
    """In what way a file of a cache is not what its manifest says; None if it is."""
    path = folder / expected.name
    if not path.is_file():
        return "missing"
    if (size := path.stat().st_size) != expected.size:
        return f"{size} bytes long instead of {expected.size}"
    try:
        return None if sha256_of(path) == expected.sha256 else "content differs from the manifest's sha256"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def require_prepared_for(folder: Path, manifest: Manifest, *, splits: Sequence[str], sizes: Sequence[int]) -> None:
    """Refuse a cache that lacks a split, or, with pixels ready to use, a size.

    Raises:
        CacheError: names what is missing, and how to prepare it.
    """
    for split in splits:
        if not any(belongs(label, split) for label in manifest.counts):
            raise CacheError(f"{folder} has no split {split!r}", hint=f"its splits are {', '.join(manifest.counts)}")
    held = manifest.options.sizes
    lacking = sorted({*sizes} - {*held})
    if lacking and manifest.options.store == "decoded":
        raise CacheError(
            f"{folder} holds {', '.join(map(str, held))} px; {', '.join(map(str, lacking))} px are required as well",
            hint=prepare_again(folder, sorted({*held, *lacking})),
        )


def find_cache(root: Path, dataset: str | None = None, split_by: str | None = None, sizes: Sequence[int] = ()) -> Path:
    """The cache folder at `root`, or the one below it that fits the data set's name; there must be exactly one.

    Args:
        root: a cache, or the folder that caches lie in.
        dataset: the data set's name, its JSONL file's, or the cache's own; None: the only one.
        split_by: who split it; None: the only one.
        sizes: in pixels, for the command that prepares a cache which is missing.

    Raises:
        CacheError: none fits, or several do; says what is there and how to prepare what is not.
    """
    if (root / MANIFEST).is_file():
        return root
    prepared = [(folder, _request_of(folder)) for folder in prepared_caches(root)]
    named = [(folder, made) for folder, made in prepared if dataset in (None, made.dataset, f"{made.dataset}.{FROM_JSONL}", folder.name)]
    fitting = [folder for folder, made in named if split_by in (None, made.split_by)]
    if len(fitting) == 1:
        return fitting[0]
    name = " ".join(part for part in (dataset, f"({split_by})" if split_by else None) if part)
    of_it = f" of {name}" if name else ""
    if fitting:
        names = ", ".join(folder.name for folder in fitting)
        hint = f"name one of these folders, such as {fitting[0]}"
        raise CacheError(f"{root} holds several prepared caches{of_it}: {names}", hint=hint)
    held = [f"{made.dataset} ({made.split_by})" for _, made in prepared]
    there = f"it holds {', '.join(held)}" if held else "no cache is there"
    command = _command(dataset, split_by, CacheOptions(sizes=tuple(sizes)) if sizes else None, root)
    where = f"; {ANNOTATIONS_PATH} is the file or folder of your annotations" if ANNOTATIONS_PATH in command else ""
    raise CacheError(f"there is no prepared cache{of_it} in {root}: {there}", hint=f"make one with `{command}`{where}")


def prepared_caches(root: Path) -> list[Path]:
    """The folders right below `root` that have a manifest, whatever it says."""
    return [path.parent for path in sorted(root.glob(f"*/{MANIFEST}")) if not is_temporary(path.parent)]


@dataclass(frozen=True)
class _Request:
    """The options that a cache was prepared with."""

    dataset: str
    split_by: str
    options: CacheOptions


def _request_of(folder: Path) -> _Request:
    """What the cache in `folder` was prepared from: as its manifest says, of whatever version it is, or else as the name says."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}  # a pipe would be waited for
        return TypeAdapter(_Request).validate_python(manifest["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, CacheError):
        dataset, dash, split_by = folder.name.rpartition("-")
        return _Request(dataset, split_by if dash else "NAME", CacheOptions())


def prepare_command(folder: Path, sizes: Sequence[int] = ()) -> str:
    """The command that makes the cache in `folder`. `sizes` are those to make instead, where there are any.

    Where the annotations and photographs lie is not known; a data set of one's own needs these options again.
    """
    made = _request_of(folder)
    options = replace(made.options, sizes=tuple(sizes)) if sizes else made.options
    return _command(made.dataset, made.split_by, options, folder.parent)


def prepare_again(folder: Path, sizes: Sequence[int] = ()) -> str:
    """The hint to replace the cache in `folder`; arguments as for `prepare_command`."""
    return f"prepare it again with: {prepare_command(folder, sizes)} --overwrite"


def verify_it(folder: Path) -> str:
    """The hint to look for damage in the cache in `folder`."""
    return f"see what is damaged with: cmirnet cache verify {shlex.quote(str(folder))}"


def make_features_again(cache: Path) -> str:
    """The hint to replace text features of a cache, after a message that names their folder."""
    return f"delete that folder, and make the features again with: {features_command(cache)}"


def features_command(cache: Path) -> str:
    """The command that makes text features of a cache; which text encoder it was is not known."""
    return f"cmirnet cache-features {shlex.quote(str(cache))}"


def _command(dataset: str | None, split_by: str | None, options: CacheOptions | None, out: Path) -> str:
    """`cmirnet prepare-data …` for a data set; what is not known is a word in capitals or left out, as are options of the usual value."""
    command, usual = ["cmirnet", "prepare-data", *_source(dataset, split_by)], CacheOptions()
    options = options or usual
    if options.sizes != usual.sizes:
        command += [word for size in options.sizes for word in ("--size", str(size))]
    if options.store != usual.store:
        command += ["--store", options.store]
    if options.overlap != usual.overlap:
        command += ["--overlap", options.overlap]
    return shlex.join([*command, "--out", str(out)])


def _source(dataset: str | None, split_by: str | None) -> list[str]:
    """What names a data set to `prepare-data`: a published name, or one's own file or folder, if it lies in the working folder."""
    if dataset is None:
        return ["DATASET", *(["--split-by", split_by] if split_by else [])]
    if dataset in SPLITS or (split_by and split_by not in _READ_FROM_FILES):
        return [dataset, *(["--split-by", split_by] if split_by else [])]
    own = [name for name in (f"{dataset}.{FROM_JSONL}", f"{dataset}.json", dataset) if Path(name).exists()]
    return own[:1] or [f"{dataset}.jsonl" if split_by == FROM_JSONL else ANNOTATIONS_PATH]
