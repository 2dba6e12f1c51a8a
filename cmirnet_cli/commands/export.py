"""What `cmirnet export` compares and calibrates on: photographs with expressions, a prepared cache, or drawn scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import OutDir, Overwrite, Weights

if TYPE_CHECKING:
    from cmirnet_cli.export.folder import Exported, ExportSource
    from cmirnet_cli.export.preprocessing import ExportSample, Samples
    from cmirnet_cli.export.spec import ExportOptions
    from cmirnet_cli.export.verification import Parity

DRAWN_SIZE = 480
"""Pixels; the side of a drawn scene."""


@dataclass(frozen=True)
class Given:
    """Where samples come from, as typed.

    Raises:
        UsageError: it is incomplete, contradictory, or too little for int8.
    """

    images: Sequence[str]
    expressions: Sequence[str]
    cache: Path | None
    cache_split: str
    int8: bool
    calibrate: int

    def __post_init__(self) -> None:
        if self.cache and self.images:
            raise UsageError("--cache and --images cannot both be given", hint="give one of them")
        if self.cache and self.expressions:
            raise UsageError("-e does not go with --cache", hint="leave it out: a cache has expressions of its own")
        if bool(self.images) != bool(self.expressions):
            raise UsageError("--images and -e belong together", hint="give photographs, and what is asked about them")
        if self.int8 and not (self.cache or self.images):
            raise UsageError("int8 is calibrated on your data", hint="add --cache DIR, or --images DIR with -e TEXT")


def samples_of(given: Given, size: int) -> Samples:
    """The samples, evenly taken from all there are.

    Args:
        given: where they come from.
        size: of the network's input.

    Raises:
        DataError: something named is missing or broken.
        UsageError: there are too few for int8.
    """
    from cmirnet_cli.export.preprocessing import COMPARED, Samples, halves, spread

    source, found = _found(given, size)
    if not given.int8:
        return Samples(source, tuple(load() for load in spread(found, COMPARED)))
    if len(found) < 2:
        raise UsageError("int8 needs at least two pairs of image and expression", hint="give more: one calibrates, another measures")
    calibrating, compared = halves(found, given.calibrate)
    return Samples(source, tuple(load() for load in compared), tuple(load() for load in calibrating))


def _found(given: Given, size: int) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    """Where samples are, in words, and what reads each of them."""
    if given.cache:
        return _of_cache(given.cache, given.cache_split, size)
    return _of_images(given.images, given.expressions) if given.images else _drawn()


def _of_cache(root: Path, split: str, size: int) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    from functools import partial

    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.export.preprocessing import ExportSample

    cache = Cache.open(find_cache(root))

    def load(row: int) -> ExportSample:
        sample = cache.sample(row, 0, size)
        return ExportSample(sample.image, sample.text)

    return f"{cache.folder.name}, split {split}", [partial(load, row) for row in cache.referents(split).tolist()]


def _of_images(images: Sequence[str], expressions: Sequence[str]) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    from functools import partial

    from cmirnet_cli.engine.prediction.photos import find_photos, read_photo
    from cmirnet_cli.engine.prediction.queries import image_queries
    from cmirnet_cli.export.preprocessing import ExportSample

    questions = image_queries(find_photos(images), expressions)
    pairs = [(question.photo.path, text) for question in questions for text in question.expressions]

    def load(path: Path, text: str) -> ExportSample:
        return ExportSample(read_photo(path), text)

    return f"{len(questions):,} photographs, {len(expressions):,} expressions", [partial(load, *pair) for pair in pairs]


def _drawn() -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    from functools import partial

    from cmirnet_cli.export.preprocessing import COMPARED, ExportSample
    from cmirnet_cli.scenes import drawn_questions

    return "drawn scenes", [partial(ExportSample, *question) for question in drawn_questions(COMPARED, DRAWN_SIZE)]


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
    from cmirnet_cli.export.folder import export as write
    from cmirnet_cli.export.folder import require_apart, require_replaceable
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

    from cmirnet_cli.export.folder import ExportSource
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
