"""Whether a folder is a complete cache, and what to do if it is not."""

from __future__ import annotations

from pathlib import Path

from cmirnet_cli.cache.schema import MANIFEST, Manifest
from cmirnet_cli.cache.staging import unfinished
from cmirnet_cli.errors import CacheError


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
        raise CacheError(f"cannot use {folder}: {error}", hint=f"prepare it again with: {prepare_command(folder)} --overwrite") from error


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
            hint=f"prepare it again with: {prepare_command(folder)} --overwrite",
        )


def prepare_command(folder: Path) -> str:
    """The command that makes the cache in `folder`, as far as its name tells."""
    dataset, dash, split_by = folder.name.rpartition("-")
    named = f"{dataset} --split-by {split_by}" if dash else "DATASET --split-by NAME"
    return f"cmirnet prepare-data {named} --out {folder.parent}"


def _length(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _absence(folder: Path) -> str:
    if begun := unfinished(folder):
        return f"the cache {folder} is not finished: {begun[0]} was begun"
    return f"there is no cache in {folder}: it has no manifest" if folder.is_dir() else f"there is no cache {folder}"
