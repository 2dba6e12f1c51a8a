"""Which folder is a complete cache, and which one a command means."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cmirnet_cli.cache.hints import command, prepare_again, prepare_command, request_of
from cmirnet_cli.cache.schema import MANIFEST, CachedFile, Manifest
from cmirnet_cli.cache.staging import is_temporary, unfinished
from cmirnet_cli.errors import CacheError
from cmirnet_cli.files import sha256_of


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a cache folder.

    Raises:
        CacheError: there is no cache, or its manifest is damaged or of another schema version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CacheError(_absence(folder), hint=f"prepare it with: {prepare_command(folder)}")
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, CacheError) as error:
        raise CacheError(f"cannot use {folder}: {error}", hint=prepare_again(folder)) from error


def require_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files' presence and length with the manifest; their content is not read.

    Raises:
        CacheError: files are missing or cut short; they are named.
    """
    damaged = [
        file.name for file in manifest.files if not (folder / file.name).is_file() or (folder / file.name).stat().st_size != file.size
    ]
    if damaged:
        raise CacheError(
            f"{folder} is damaged: {', '.join(damaged)} missing or of the wrong length",
            hint=prepare_again(folder),
        )


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


def _absence(folder: Path) -> str:
    if begun := unfinished(folder):
        return f"the cache {folder} is not finished: {begun[0]} was begun"
    return f"there is no cache in {folder}: it has no manifest" if folder.is_dir() else f"there is no cache {folder}"


def find_cache(root: Path, dataset: str | None = None, split_by: str | None = None) -> Path:
    """The cache folder at `root`, or the one below it that fits the data set's name; there must be exactly one.

    Raises:
        CacheError: none fits, or several do; says what is there and how to prepare what is not.
    """
    if (root / MANIFEST).is_file():
        return root
    prepared = prepared_caches(root)
    fitting = [folder for folder in prepared if _fits(folder, dataset, split_by)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = " ".join(part for part in (dataset, f"({split_by})" if split_by else None) if part)
    if fitting:
        names = ", ".join(folder.name for folder in fitting)
        hint = f"name one of these folders, such as {fitting[0]}"
        raise CacheError(f"{root} holds several prepared caches{f' of {wanted}' if wanted else ''}: {names}", hint=hint)
    there = f"it holds {', '.join(folder.name for folder in prepared)}" if prepared else "no cache is there"
    raise CacheError(
        f"there is no prepared cache{f' of {wanted}' if wanted else ''} in {root}: {there}",
        hint=f"make one with `{command(dataset, split_by)}`",
    )


def prepared_caches(root: Path) -> list[Path]:
    """The folders right below `root` that have a manifest, whatever it says."""
    return [path.parent for path in sorted(root.glob(f"*/{MANIFEST}")) if not is_temporary(path.parent)]


def _fits(folder: Path, dataset: str | None, split_by: str | None) -> bool:
    asked = request_of(folder)
    return dataset in (None, asked.dataset) and split_by in (None, asked.split_by)
