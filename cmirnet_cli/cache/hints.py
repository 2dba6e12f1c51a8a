"""What to do about a cache that is missing, damaged or another one than it should be: the command lines in hints."""

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
class CacheRequest:
    """What somebody asked for when they prepared a cache."""

    dataset: str
    split_by: str
    options: CacheOptions


def request_of(folder: Path) -> CacheRequest:
    """What the cache in `folder` was prepared from: as its manifest tells, of whatever version it is, or else as the name tells."""
    return _written(folder / MANIFEST) or _guessed(folder.name)


def prepare_command(folder: Path, sizes: Sequence[int] = ()) -> str:
    """The command that makes the cache in `folder`. `sizes` are those to make instead, where any are given.

    Where the annotations and photographs lie is not known; a data set of one's own needs these options again.
    """
    asked = request_of(folder)
    options = replace(asked.options, sizes=tuple(sizes)) if sizes else asked.options
    return f"{command(asked.dataset, asked.split_by, options)} --out {shlex.quote(str(folder.parent))}"


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


def command(dataset: str | None, split_by: str | None, options: CacheOptions | None = None) -> str:
    """`cmirnet prepare-data …` for a data set; what is not known is a word in capitals or left out."""
    words = [f"{dataset}.jsonl"] if split_by == FROM_JSONL and dataset else [dataset or "DATASET", *_given("--split-by", split_by)]
    return shlex.join(["cmirnet", "prepare-data", *words, *_option_words(options or CacheOptions())])


def _written(manifest: Path) -> CacheRequest | None:
    if not manifest.is_file():
        return None
    try:
        return TypeAdapter(CacheRequest).validate_python(json.loads(manifest.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError, CacheError):
        return None


def _guessed(name: str) -> CacheRequest:
    dataset, dash, split_by = name.rpartition("-")
    return CacheRequest(dataset if dash else "", split_by if dash else "NAME", CacheOptions())


def _option_words(options: CacheOptions) -> list[str]:
    usual = CacheOptions()
    sizes = [word for size in options.sizes for word in ("--size", str(size))] if options.sizes != usual.sizes else []
    store = _given("--store", options.store if options.store != usual.store else None)
    return [*sizes, *store, *_given("--overlap", options.overlap if options.overlap != usual.overlap else None)]


def _given(option: str, value: str | None) -> list[str]:
    return [option, value] if value else []
