"""The command line that prepares a cache, for hints."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from cmirnet_cli.cache.schema import MANIFEST, CacheOptions
from cmirnet_cli.errors import CacheError
from cmirnet_cli.refer.jsonl import SPLIT_BY as FROM_JSONL


@dataclass(frozen=True)
class _Asked:
    """What somebody asked for when they prepared a cache."""

    dataset: str
    split_by: str
    options: CacheOptions


def prepare_command(folder: Path, sizes: Sequence[int] = ()) -> str:
    """The command that makes the cache in `folder`: as its manifest tells, of whatever version it is, or else as the name tells.

    `sizes` are those to make instead, where any are given.

    Where the annotations and photographs lie is not known; a data set of one's own needs these options again.
    """
    asked = _asked(folder)
    options = replace(asked.options, sizes=tuple(sizes)) if sizes else asked.options
    return f"{command(asked.dataset, asked.split_by, options)} --out {shlex.quote(str(folder.parent))}"


def command(dataset: str | None, split_by: str | None, options: CacheOptions | None = None) -> str:
    """`cmirnet prepare-data …` for a data set; what is not known is a word in capitals or left out."""
    words = [f"{dataset}.jsonl"] if split_by == FROM_JSONL and dataset else [dataset or "DATASET", *_given("--split-by", split_by)]
    return shlex.join(["cmirnet", "prepare-data", *words, *_option_words(options or CacheOptions())])


def _asked(folder: Path) -> _Asked:
    manifest = folder / MANIFEST
    try:
        fingerprint = json.loads(manifest.read_text(encoding="utf-8") if manifest.is_file() else "")["fingerprint"]
        return TypeAdapter(_Asked).validate_python(fingerprint)
    except (OSError, ValueError, LookupError, TypeError, RecursionError, CacheError):
        dataset, dash, split_by = folder.name.rpartition("-")
        return _Asked(dataset if dash else "", split_by if dash else "NAME", CacheOptions())


def _option_words(options: CacheOptions) -> list[str]:
    usual = CacheOptions()
    sizes = [word for size in options.sizes for word in ("--size", str(size))] if options.sizes != usual.sizes else []
    store = _given("--store", options.store if options.store != usual.store else None)
    return [*sizes, *store, *_given("--overlap", options.overlap if options.overlap != usual.overlap else None)]


def _given(option: str, value: str | None) -> list[str]:
    return [option, value] if value else []
