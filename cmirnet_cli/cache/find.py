"""Which prepared cache a command means."""

from __future__ import annotations

from pathlib import Path

from cmirnet_cli.cache.remedies import command, request_of
from cmirnet_cli.cache.schema import MANIFEST
from cmirnet_cli.cache.staging import is_temporary
from cmirnet_cli.errors import CacheError


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
