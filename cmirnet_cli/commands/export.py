"""`cmirnet export`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import OutDir, Overwrite, Tokenizer, Weights

if TYPE_CHECKING:
    from cmirnet_cli.export.folder import Exported
    from cmirnet_cli.export.preprocessing import ExportSample, Samples
    from cmirnet_cli.export.spec import ExportOptions

DRAWN_SIZE = 480
"""Pixels; the side of a drawn scene."""

_GRAPH, _SAMPLES = "The graph", "Samples to compare and calibrate with"

Format: TypeAlias = Annotated[
    Literal["onnx", "torch", "safetensors", "official"],
    typer.Option("--format", metavar="NAME", help="onnx, torch, safetensors or official.", rich_help_panel=_GRAPH),
]
Precision: TypeAlias = Annotated[
    Literal["fp32", "fp16", "int8"], typer.Option("--precision", help="Precision of the ONNX graph.", rich_help_panel=_GRAPH)
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
    typer.Option("--expression", "-e", metavar="TEXT", help="Expression for each photograph; can be repeated.", rich_help_panel=_SAMPLES),
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
        help="Calibrate int8 on at most N pairs; as many others measure it.",
        rich_help_panel=_SAMPLES,
    ),
]


@dataclass(frozen=True)
class SampleOptions:
    """Where samples come from: photographs with expressions, a prepared cache, or, without either, drawn scenes.

    Raises:
        UsageError: the options contradict each other, or int8 has no data to be calibrated on.
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
            raise UsageError("--images and -e belong together", hint="give photographs and expressions")
        if self.int8 and not (self.cache or self.images):
            raise UsageError("int8 is calibrated on your data", hint="add --cache DIR, or --images DIR with -e TEXT")


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
    tokenizer: Tokenizer = None,
    out: OutDir = Path("exported"),
    overwrite: Overwrite = False,
) -> None:
    """Write weights in an exchange format, and check that it computes the same; otherwise nothing is written.

    Example: cmirnet export weights/ --images photos/ -e "the red cup" --out cmirnet-onnx
    """
    from functools import partial

    from cmirnet_cli.export.spec import ExportOptions, require_apart, require_replaceable
    from cmirnet_cli.weights.check import check_named

    if format != "onnx" and (precision != "fp32" or split):
        raise UsageError(f"--precision and --split are for ONNX, not for {format}", hint="leave them out, or choose --format onnx")
    if format in ("safetensors", "official") and dynamic_size:
        raise UsageError("--dynamic-size is for graphs", hint=f"leave it out: {format} holds weights, which take any size as they are")
    options = ExportOptions(format, precision, split, dynamic_size)
    sample_options = SampleOptions(images or [], expression or [], cache, cache_split, precision == "int8", calibrate)
    require_replaceable(out, overwrite=overwrite)
    check_named(weights, tokenizer)
    _check_samples(sample_options)

    from cmirnet_cli.export.folder import ExportSource
    from cmirnet_cli.export.folder import export as write
    from cmirnet_cli.weights.source import fingerprint, load_config, load_weights, weights_folder

    folder = weights_folder(weights, tokenizer, console.notice)
    for place in (folder, Path(weights).expanduser()):
        if place.exists():
            require_apart(out, place)
    source = ExportSource(weights, fingerprint(folder), partial(load_weights, folder))
    samples = _samples(sample_options, load_config(folder).image_size)
    with console.progress("export and compare", None) as advance:
        exported = write(source, out, options, samples, advance)
    _show(out, options, exported)


def _check_samples(options: SampleOptions) -> None:
    """Refuse photographs or a cache that are not there, and what is too little for int8.

    Raises:
        DataError: a file, a folder or the split is missing.
        UsageError: an expression is empty, or there are too few pairs for int8.
    """
    if options.cache:
        from cmirnet_cli.cache.folder import find_cache, read_manifest, require_prepared_for

        folder = find_cache(options.cache)
        manifest = read_manifest(folder)
        require_prepared_for(folder, manifest, splits=[options.cache_split], sizes=())
        pairs = manifest.counts[options.cache_split].refs
    else:
        pairs = len(_photo_pairs(options)) if options.images else 0
    if options.int8 and pairs < 2:
        raise UsageError("int8 needs at least two pairs of image and expression", hint="give more: one calibrates, another measures")


def _samples(options: SampleOptions, size: int) -> Samples:
    """Samples for a network whose input has this size, evenly taken from all there are.

    Raises:
        DataError: a file or folder is missing or broken.
    """
    from cmirnet_cli.export.preprocessing import COMPARED, Samples, halves, spread

    source, readers = _readers(options, size)
    if not options.int8:
        return Samples(source, tuple(read() for read in spread(readers, COMPARED)))
    calibrating, compared = halves(readers, options.calibrate)
    return Samples(source, tuple(read() for read in compared), tuple(read() for read in calibrating))


def _readers(options: SampleOptions, size: int) -> tuple[str, Sequence[Callable[[], ExportSample]]]:
    """Where the samples are, in words, and what reads each of them."""
    from functools import partial

    from cmirnet_cli.export.preprocessing import COMPARED, ExportSample

    if options.cache:
        from cmirnet_cli.cache.folder import find_cache
        from cmirnet_cli.cache.reader import Cache

        cache = Cache.open(find_cache(options.cache))

        def read_sample(row: int) -> ExportSample:
            sample = cache.sample(row, 0, size)
            return ExportSample(sample.image, sample.text)

        rows = cache.referent_rows(options.cache_split).tolist()
        return f"{cache.folder.name}, split {options.cache_split}", [partial(read_sample, row) for row in rows]
    if options.images:
        from cmirnet_cli.engine.prediction.photos import read_photo

        def read_pair(path: Path, expression: str) -> ExportSample:
            return ExportSample(read_photo(path).pixels, expression)

        pairs = _photo_pairs(options)
        source = f"{len({path for path, _ in pairs}):,} photographs, {len(options.expressions):,} expressions"
        return source, [partial(read_pair, *pair) for pair in pairs]
    from cmirnet_cli.scenes import drawn_pairs

    return "drawn scenes", [partial(ExportSample, *scene) for scene in drawn_pairs(COMPARED, DRAWN_SIZE)]


def _photo_pairs(options: SampleOptions) -> list[tuple[Path, str]]:
    """Every photograph with every expression, each pair once."""
    from cmirnet_cli.engine.prediction.photo_files import find_photos
    from cmirnet_cli.engine.prediction.queries import PredictRequest, image_queries

    queries = image_queries(PredictRequest(find_photos(options.images).photos, options.expressions))
    return [(query.photo.path, expression) for query in queries for expression in query.expressions]


def _show(out: Path, options: ExportOptions, exported: Exported) -> None:
    """Print the files, and how they compare: batches of equal shape in a row each."""
    from dataclasses import asdict

    parity = exported.parity
    rows = []
    for alike in parity.alike():
        first = alike.batches[0]
        measured = f"{alike.logits_error:.1e} std", f"{alike.equal_pixels:.3%}", f"{100 * alike.mean_iou:.2f}"
        rows.append((f"{len(alike.batches)} of {first.batch}", f"{first.height} × {first.width}", *measured))
    columns = ["batches", "size", "logits differ by", "equal pixels", "mean IoU"]
    cost = (
        f"{options.precision} costs: its masks have a mean IoU of {100 * parity.mean_iou:.2f} and an overall IoU of "
        f"{100 * parity.overall_iou:.2f} with those of fp32, in {parity.comparisons} comparisons over {parity.distinct} samples"
    )
    files = ", ".join(f"{name} ({size / 1e6:,.1f} MB)" for name, size in exported.files.items())
    console.result(
        {"out": out, **asdict(options), "files": exported.files, "parity": parity.described()},
        console.table(f"Beside freshly loaded fp32 weights, on {parity.samples}", columns, rows),
        *([] if options.precision == "fp32" else [cost]),
        f"{out}: {files}",
    )
