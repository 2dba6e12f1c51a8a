"""Options that more than one command has. An option that is a setting has no default here: the settings classes hold it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

DATA, WRITTEN, COMPUTED = "Data", "What to write", "How it is computed"
"""Groups of options in a command's help."""

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def _device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not a device: expected auto, cpu, cuda, cuda:N or mps")
    return value


def _network_size(value: int | Sequence[int] | None) -> int | Sequence[int] | None:
    for each in [value] if isinstance(value, int) else value or []:
        if each < 64 or each % 32:
            raise typer.BadParameter(f"{each} is not a multiple of 32 from 64 on")
    return value


def network_size(name: str, help: str) -> Any:
    """An option for the height and width of a network's input in pixels; it may be repeated where it is a list."""
    return typer.Option(name, metavar="PX", callback=_network_size, help=help)


Device: TypeAlias = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]|mps",
        callback=_device,
        help="Where to compute; auto: a GPU where there is one.",
        rich_help_panel=COMPUTED,
    ),
]
Dataset: TypeAlias = Annotated[
    str | None, typer.Option("--dataset", metavar="NAME", help="Data set, such as refcoco, refcoco+ or refcocog.", rich_help_panel=DATA)
]
SplitBy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--split-by",
        metavar="NAME",
        help="Who split the data set: unc, umd, google, …; by default the usual one, or the only one that is prepared.",
        rich_help_panel=DATA,
    ),
]
Split: TypeAlias = Annotated[
    str, typer.Option("--split", metavar="NAME|all", help="Part of the data set: val, testA, testB, test, or all.", rich_help_panel=DATA)
]
CacheDir: TypeAlias = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="Folder that prepare-data wrote to.", rich_help_panel=DATA)
]
OutDir: TypeAlias = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.", rich_help_panel=WRITTEN)]
Precision: TypeAlias = Annotated[
    Literal["fp32", "bf16"],
    typer.Option(
        "--precision",
        help="Number format of the network; bf16 is faster on hardware that supports it, but less exact.",
        rich_help_panel=COMPUTED,
    ),
]
Optimizations: TypeAlias = Annotated[
    str,
    typer.Option(
        "--optimizations",
        metavar="auto|none|NAME,…",
        help="Faster forms of parts of the network; auto: those measured to help here; auto,compile: compiled, too.",
        rich_help_panel=COMPUTED,
    ),
]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.", rich_help_panel=WRITTEN)]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        metavar="N",
        help="Workers that load data beside the main process; 0: none.",
        rich_help_panel=COMPUTED,
    ),
]
BatchSize: TypeAlias = Annotated[int | None, typer.Option("--batch-size", min=1, metavar="N", help="Sentences in a batch.")]
Weights: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHTS",
        help="Weights folder, run directory, official .pth file, or on the hub org/name or org/name:file.pth.",
        show_default=False,
    ),
]
Tokenizer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="DIR|HUB-ID",
        help="Tokenizer of an official checkpoint; by default the one next to it, else that of BERT.",
        rich_help_panel=COMPUTED,
    ),
]
