"""`cmirnet convert`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Overwrite, Tokenizer

if TYPE_CHECKING:
    from cmirnet_cli.weights.conversion import Report

Official: TypeAlias = Annotated[
    str, typer.Argument(metavar="OFFICIAL", help="Official .pth file, or on the hub org/name or org/name:file.pth.", show_default=False)
]
Out: TypeAlias = Annotated[Path, typer.Argument(metavar="OUT", help="Weights folder to write.", show_default=False)]


def convert(official: Official, out: Out, tokenizer: Tokenizer = None, overwrite: Overwrite = False) -> None:
    """Turn an official checkpoint into a self-contained weights folder; the file is read as data and nothing in it is run.

    Example: cmirnet convert refcoco.pth weights/refcoco --tokenizer bert-base-uncased/
    """
    from cmirnet_cli.weights.check import check_weights
    from cmirnet_cli.weights.folder import require_replaceable

    require_replaceable(out, overwrite=overwrite)
    ours = UsageError(f"{official} is a weights folder already", hint="use it as it is; convert takes official checkpoints")
    if check_weights(official, tokenizer):
        raise ours

    from cmirnet_cli.weights.bundle import save_bundle
    from cmirnet_cli.weights.conversion import read_official
    from cmirnet_cli.weights.source import locate

    found = locate(official)
    if found.checkpoint is None:
        raise ours
    conversion = read_official(found.checkpoint, tokenizer or found.tokenizer)
    save_bundle(conversion.bundle, out)
    report, config = conversion.report, conversion.bundle.config
    entries = {
        part: {"used": len(account.used), "duplicate": account.duplicate, "dead": account.dead} for part, account in report.accounts.items()
    }
    rows = [
        (part, fate, f"{len(names):,}", names[0] if names else "")
        for part, account in report.accounts.items()
        for fate, names in asdict(account).items()
    ]
    console.result(
        {
            "weights": out,
            "backbone": config.model.backbone,
            "dataset": config.dataset or None,
            "entries": entries,
            "ignored": report.ignored,
            "facts": report.facts,
        },
        console.table(f"CMIRNet with {config.model.backbone}", ["entries of", "", "count", "such as"], rows),
        *_notes(report),
        f"weights: {out}",
    )


def _notes(report: Report) -> Iterator[str]:
    """What the file held besides weights."""
    if report.ignored:
        yield f"ignored: {', '.join(report.ignored)}, which only a resumed training needs"
    if "epoch" in report.facts:
        yield f"epoch: {report.facts['epoch']}"
    arguments = report.facts.get("args")
    if isinstance(arguments, dict):
        yield f"trained with: {', '.join(f'{name}={value}' for name, value in arguments.items())}"
