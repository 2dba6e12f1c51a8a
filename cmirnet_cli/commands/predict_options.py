"""The options of `cmirnet predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

_FIND, _MASKS, _WRITTEN, _GOING = "What to find", "Masks", "What to write", "When something goes wrong"
_MACHINES = "Many machines"
_INPUT = "Image files, folders, quoted patterns, .tar shards, .parquet files; paths or URIs; - for a list on standard input."

Inputs: TypeAlias = Annotated[list[str] | None, typer.Argument(metavar="[INPUT…]", help=_INPUT, show_default=False)]
Expression: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--expression", "-e", metavar="TEXT", help="What to find; can be repeated.", rich_help_panel=_FIND),
]
Expressions: TypeAlias = Annotated[
    str | None, typer.Option("--expressions", metavar="FILE|-", help="File with more of them, one per line.", rich_help_panel=_FIND)
]
Pairs: TypeAlias = Annotated[
    str | None,
    typer.Option("--pairs", metavar="FILE|-", help="CSV or JSONL with an image and an expression in each line.", rich_help_panel=_FIND),
]
Recursive: TypeAlias = Annotated[bool, typer.Option("--recursive", "-r", help="Search the folders inside, too.", rich_help_panel=_FIND)]
Threshold: TypeAlias = Annotated[
    float,
    typer.Option(
        "--threshold", min=0, max=1, metavar="P", help="A pixel belongs to the mask if its probability is above P.", rich_help_panel=_MASKS
    ),
]
LargestComponent: TypeAlias = Annotated[
    bool, typer.Option("--largest-component", help="Keep only the largest connected part of each mask.", rich_help_panel=_MASKS)
]
MinScore: TypeAlias = Annotated[
    float,
    typer.Option("--min-score", min=0, max=1, metavar="P", help="Write an empty mask where the score is below P.", rich_help_panel=_MASKS),
]
OwnRange: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--range/--no-range",
        help="Scale 16-bit images that use fewer bits by their own range, or leave them as they are.",
        rich_help_panel=_FIND,
    ),
]
MaxPixels: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        min=1,
        metavar="N",
        help="The most pixels an image may have, 178,956,970 by default; more take more memory.",
        rich_help_panel=_FIND,
    ),
]
Text: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--text",
        metavar="FIELD",
        help="The column of .parquet files, or the member of .tar shards, that holds each image's own expressions.",
        rich_help_panel=_FIND,
    ),
]
Out: TypeAlias = Annotated[str, typer.Option("--out", "-o", metavar="DIR|URI", help="Folder to write to.", rich_help_panel=_WRITTEN)]
Format: TypeAlias = Annotated[
    Literal["png", "parquet"],
    typer.Option("--format", help="Masks as PNG files, or as rows of parquet files.", rich_help_panel=_WRITTEN),
]
ChunkSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--chunk",
        min=1,
        metavar="N",
        help="With buckets, archives or parquet: images that are finished together, by default 1,000; an archive is a chunk of its own.",
        rich_help_panel=_WRITTEN,
    ),
]
Coco: TypeAlias = Annotated[
    Path | None, typer.Option("--coco", metavar="FILE", help="Also write all masks as one COCO file.", rich_help_panel=_WRITTEN)
]
Overlay: TypeAlias = Annotated[bool, typer.Option("--overlay", help="Also draw each mask on its photo.", rich_help_panel=_WRITTEN)]
Cutout: TypeAlias = Annotated[bool, typer.Option("--cutout", help="Also cut each object out of its photo.", rich_help_panel=_WRITTEN)]
Soft: TypeAlias = Annotated[bool, typer.Option("--soft", help="Also write probabilities as grey pictures.", rich_help_panel=_WRITTEN)]
GalleryPage: TypeAlias = Annotated[
    bool, typer.Option("--gallery", help="Also write gallery.html, one page to look through.", rich_help_panel=_WRITTEN)
]
FailFast: TypeAlias = Annotated[
    bool, typer.Option("--fail-fast", help="Stop at the first image that cannot be read.", rich_help_panel=_GOING)
]
PhotosAtOnce: TypeAlias = Annotated[
    int, typer.Option("--batch-size", min=1, metavar="N", help="Photos per batch; meant for GPUs, takes more memory.")
]
SkipExisting: TypeAlias = Annotated[bool, typer.Option("--skip-existing", help="Resume an interrupted run.", rich_help_panel=_GOING)]
Engine: TypeAlias = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Compute in this process, or on a Ray cluster: see docs/cluster.md.", rich_help_panel=_MACHINES),
]
RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="The cluster; by default that of RAY_ADDRESS, else one on this machine that ends with the command.",
        rich_help_panel=_MACHINES,
    ),
]
RayActors: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--actors",
        min=1,
        metavar="N",
        help="Processes that hold the model; by default one for each GPU, or for every 4 cores.",
        rich_help_panel=_MACHINES,
    ),
]
