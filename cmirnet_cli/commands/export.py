"""`cmirnet export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.commands.export_samples import Given, samples_of
from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import OutDir, Overwrite, Weights

if TYPE_CHECKING:
    from cmirnet_cli.export.bundle import Exported, ExportSource
    from cmirnet_cli.export.parity import Parity
    from cmirnet_cli.export.spec import ExportOptions

_GRAPH, _SAMPLES = "The graph", "What it is compared and calibrated on"

Format: TypeAlias = Annotated[
    Literal["onnx", "torch", "safetensors"], typer.Option("--format", help="What to write.", rich_help_panel=_GRAPH)
]
Precision: TypeAlias = Annotated[
    Literal["fp32", "fp16", "int8"], typer.Option("--precision", help="Of the ONNX graph's arithmetic.", rich_help_panel=_GRAPH)
]
Split: TypeAlias = Annotated[
    bool, typer.Option("--split", help="Two ONNX graphs, text and vision: one sentence serves many images.", rich_help_panel=_GRAPH)
]
DynamicSize: TypeAlias = Annotated[
    bool, typer.Option("--dynamic-size", help="Take images of any height and width that are multiples of 32.", rich_help_panel=_GRAPH)
]
Images: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--images", metavar="PATH", help="Photographs: a file, folder or pattern; can be repeated.", rich_help_panel=_SAMPLES),
]
Expression: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--expression", "-e", metavar="TEXT", help="Asked about each of them; can be repeated.", rich_help_panel=_SAMPLES),
]
SampleCache: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--cache", metavar="DIR", help="Take images and expressions from this cache instead of --images.", rich_help_panel=_SAMPLES
    ),
]
CacheSplit: TypeAlias = Annotated[str, typer.Option("--cache-split", metavar="NAME", help="Split of that cache.", rich_help_panel=_SAMPLES)]
Calibrate: TypeAlias = Annotated[
    int,
    typer.Option(
        "--calibrate",
        min=1,
        metavar="N",
        help="At most this many pairs calibrate int8; as many others measure it.",
        rich_help_panel=_SAMPLES,
    ),
]


def export(
    weights: Weights,
    format: Format = "onnx",
    precision: Precision = "fp32",
    split: Split = False,
    dynamic_size: DynamicSize = False,
    images: Images = None,
    expression: Expression = None,
    cache: SampleCache = None,
    cache_split: CacheSplit = "val",
    calibrate: Calibrate = 32,
    out: OutDir = Path("exported"),
    overwrite: Overwrite = False,
) -> None:
    """Write weights in an exchange format, and prove that it computes the same; what does not agree is not written.

    Example: cmirnet export weights/ --format onnx --images photos/ -e "the red cup" --out cmirnet-onnx
    """
    from cmirnet_cli.export.bundle import export as write
    from cmirnet_cli.export.bundle import require_apart, require_replaceable
    from cmirnet_cli.export.spec import ExportOptions
    from cmirnet_cli.weights.source import weights_folder

    wanted = _checked(ExportOptions(format, precision, split, dynamic_size))
    given = Given(images or [], expression or [], cache, cache_split, precision == "int8", calibrate)
    require_replaceable(out, overwrite=overwrite)
    require_apart(out, weights_folder(weights))
    source, size = _source(weights)
    samples = samples_of(given, size)
    with console.progress("export and compare", None) as advance:
        exported = write(source, out, wanted, samples, advance)
    _show(out, wanted, exported)


def _checked(wanted: ExportOptions) -> ExportOptions:
    if wanted.format != "onnx" and (wanted.precision != "fp32" or wanted.split):
        raise UsageError(f"--precision and --split are for ONNX, not for {wanted.format}", hint="leave them out, or choose --format onnx")
    if wanted.format == "safetensors" and wanted.dynamic_size:
        raise UsageError("--dynamic-size is for graphs", hint="leave it out: safetensors hold weights, which take any size as they are")
    return wanted


def _source(weights: str) -> tuple[ExportSource, int]:
    """The weights, and the size of their input."""
    from functools import partial

    from cmirnet_cli.export.bundle import ExportSource
    from cmirnet_cli.weights.source import fingerprint, load_config, load_weights

    return ExportSource(weights, fingerprint(weights), partial(load_weights, weights)), load_config(weights).image_size


def _show(out: Path, wanted: ExportOptions, exported: Exported) -> None:
    from dataclasses import asdict

    parity = exported.parity
    described = {"out": out, **asdict(wanted), "files": exported.files, "parity": parity.described()}
    columns = ["batches", "size", "logits differ by", "equal pixels", "mean IoU"]
    rows = [_row(alike) for alike in parity.alike()]
    table = console.table(f"Beside freshly loaded fp32 weights, on {parity.samples}", columns, rows)
    files = ", ".join(f"{name} ({size / 1e6:,.1f} MB)" for name, size in exported.files.items())
    console.result(described, table, *_loss(wanted, parity), f"{out}: {files}")


def _row(alike: Parity) -> tuple[str, ...]:
    """Batches of one kind."""
    kind = alike.batches[0]
    measured = f"{alike.logits_error:.1e} std", f"{alike.equal_pixels:.3%}", f"{100 * alike.mean_iou:.2f}"
    return f"{len(alike.batches)} of {kind.batch}", f"{kind.height} × {kind.width}", *measured


def _loss(wanted: ExportOptions, parity: Parity) -> list[str]:
    """What a lower precision costs, in words."""
    if wanted.precision == "fp32":
        return []
    return [
        f"{wanted.precision} costs: its masks have a mean IoU of {100 * parity.mean_iou:.2f} and an overall IoU of "
        f"{100 * parity.overall_iou:.2f} with those of fp32, in {parity.comparisons} comparisons over {parity.distinct} samples"
    ]
