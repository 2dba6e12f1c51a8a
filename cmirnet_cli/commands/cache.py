"""Look at prepared caches and check them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cmirnet_cli.console import console

Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="CACHE", help="A cache, or a folder that holds one.", show_default=False)]
EXIT_DAMAGED = 3


def info(cache: Folder) -> None:
    """Show what a cache holds.

    Example: cmirnet cache info cache/refcocog-umd
    """
    from cmirnet_cli.cache.find import find_cache
    from cmirnet_cli.cache.reader import Cache

    folder = find_cache(cache)
    manifest = Cache.open(folder).manifest
    size = sum(file.size for file in manifest.files)
    rows = [(split, f"{counts.refs:,}", f"{counts.images:,}", f"{counts.sentences:,}") for split, counts in manifest.counts.items()]
    options = manifest.options
    sizes = ", ".join(map(str, options.sizes))
    result = {"cache": folder, "bytes": size, "fingerprint": manifest.fingerprint.key, "options": asdict(options)}
    splits = {split: asdict(counts) for split, counts in manifest.counts.items()}
    console.result(
        {"dataset": manifest.dataset, "split_by": manifest.split_by, "splits": splits} | result,
        console.table(f"{manifest.dataset} ({manifest.split_by})", ["split", "refs", "images", "sentences"], rows),
        f"{folder}: {size / 2**20:,.1f} MiB, {options.store}, {sizes} px, overlap rule {options.overlap}",
    )


def verify(cache: Folder) -> int:
    """Read every file of a cache again and compare it with the digest it was written with.

    Example: cmirnet cache verify cache/refcocog-umd
    """
    from cmirnet_cli.cache.find import find_cache
    from cmirnet_cli.cache.folder import read_manifest
    from cmirnet_cli.cache.reader import verify as verify_files

    folder = find_cache(cache)
    files = len(read_manifest(folder).files)
    with console.progress("verify", files) as advance:
        damages = verify_files(folder, advance)
    lines = [f"{damage.name}: {damage.reason}" for damage in damages] or [f"{folder}: all {files} files are as they were written"]
    console.result({"cache": folder, "files": files, "damaged": [asdict(damage) for damage in damages]}, *lines)
    return EXIT_DAMAGED if damages else 0
