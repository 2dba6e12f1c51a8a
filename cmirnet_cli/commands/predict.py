"""`cmirnet predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.commands import predict_options as options
from cmirnet_cli.commands.models import ModelOptions, named_model
from cmirnet_cli.commands.predict_bulk import BulkOutput, InputLists, bulk_request, goes_in_bulk, predict_bulk, refuse_in_bulk
from cmirnet_cli.console import console
from cmirnet_cli.engine.prediction import THRESHOLD
from cmirnet_cli.errors import ImageError, UsageError, counted
from cmirnet_cli.options import Device, Optimizations, Overwrite, Precision, Tokenizer, Weights
from cmirnet_cli.storage.uris import is_uri

if TYPE_CHECKING:
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.prediction.queries import ImageQuery, PredictRequest
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.images.depth import Range

SHOWN_LETTERS = 60
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class OutputOptions:
    """What is written, and when something may stand there already."""

    folder: Path
    kinds: Sequence[str]
    coco: Path | None
    gallery: bool
    fail_fast: bool
    skip_existing: bool
    overwrite: bool


@dataclass(frozen=True)
class _Part:
    """What one process did.

    Attributes:
        skipped: images that were finished before.
        problems: images that cannot be read, each with the reason and what to do.
        scaled: images of 16 bits that use fewer, each with the range that it was scaled by.
    """

    skipped: int
    problems: Sequence[tuple[str, str, str]]
    scaled: Sequence[tuple[str, Range]]


def predict(
    weights: Weights,
    inputs: options.Inputs = None,
    expression: options.Expression = None,
    expressions: options.Expressions = None,
    pairs: options.Pairs = None,
    text: options.Text = None,
    recursive: options.Recursive = False,
    threshold: options.Threshold = THRESHOLD,
    largest_component: options.LargestComponent = False,
    min_score: options.MinScore = 0.0,
    own_range: options.OwnRange = True,
    max_pixels: options.MaxPixels = None,
    out: options.Out = "predictions",
    form: options.Format = "png",
    coco: options.Coco = None,
    overlay: options.Overlay = False,
    cutout: options.Cutout = False,
    soft: options.Soft = False,
    gallery: options.GalleryPage = False,
    chunk: options.ChunkSize = None,
    fail_fast: options.FailFast = False,
    skip_existing: options.SkipExisting = False,
    overwrite: Overwrite = False,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    optimizations: Optimizations = "auto",
    batch_size: options.PhotosAtOnce = 1,
) -> int:
    """Write a mask for every image and expression; images that cannot be read are reported at the end.

    Example: cmirnet predict weights/ photos/ -e "the red cup"
    """
    from cmirnet_cli.engine.bulk.finish import BulkSettings
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.processes import joined
    from cmirnet_cli.images.pixels import limit_pixels
    from cmirnet_cli.reports.predictions.folder import CUTOUTS, MASKS, OVERLAYS, PROBABILITIES
    from cmirnet_cli.storage.place import Place

    if skip_existing and overwrite:
        raise UsageError("--skip-existing continues an earlier run and --overwrite replaces it", hint="give one of them")
    if max_pixels:
        limit_pixels(max_pixels)
    model = ModelOptions(weights, device, precision, optimizations, batch_size, tokenizer)
    mask_rule = MaskRule(threshold, largest_component, min_score)
    with joined() as process:
        lists = _lists(inputs or [], expression or [], expressions, pairs, process, stream=form == "parquet" or is_uri(out), text=text)
        if form == "parquet" or is_uri(out) or lists.in_bulk:
            given = {"--overlay": overlay, "--cutout": cutout, "--soft": soft, "--gallery": gallery, "--coco": coco}
            refuse_in_bulk([name for name, value in given.items() if value], lists)
            place = Place.named(out)
            settings = BulkSettings(mask_rule, own_range, fail_fast, skip_existing)
            bulk = bulk_request(lists, place, recursive=recursive, text=text, chunk_size=chunk)
            return predict_bulk(bulk, model, settings, BulkOutput(place, form, overwrite), process, _tell_of_expressions)
        if chunk or text:
            hint = "it is for inputs or results in storage, archives, parquet files and --format parquet"
            raise UsageError(f"{'--chunk' if chunk else '--text'} means nothing here", hint=hint)
        pictures = {MASKS: True, OVERLAYS: overlay or gallery, CUTOUTS: cutout, PROBABILITIES: soft}
        kinds = [kind for kind, written in pictures.items() if written]
        output = OutputOptions(Path(out), kinds, coco, gallery, fail_fast, skip_existing, overwrite)
        request, left_out = _request(lists, recursive, output.folder, process)
        return _predict(request, model, mask_rule, output, process, own_range=own_range, left_out=left_out)


def _lists(
    inputs: Sequence[str],
    expressions: Sequence[str],
    expression_list: str | None,
    pair_list: str | None,
    process: Process,
    *,
    stream: bool,
    text: str | None,
) -> InputLists:
    """What the command line names, with all lists read; nothing is searched yet. With `stream`, standard input is read as it is taken.

    Raises:
        AnnotationError: a list cannot be read.
        UsageError: there are no images or no expressions, or standard input would be read twice.
    """
    sources = [*inputs, expression_list, pair_list]
    if sources.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read once only", hint="write the other lists to files")
    if not inputs and not pair_list:
        raise UsageError("there is no image", hint="give an INPUT with -e, or --pairs")
    if inputs and not (expressions or expression_list or text):
        raise UsageError("there is no expression", hint="add -e or --expressions")
    if (expressions or expression_list) and not inputs:
        raise UsageError("-e and --expressions need an INPUT", hint="name images, or leave them out with --pairs")
    if STANDARD_INPUT in sources and process.count > 1:
        raise UsageError(f"{process.count} processes cannot share standard input (-)", hint="write the list to a file")
    from cmirnet_cli.refer.pairs import read_lines, read_pairs, streamed_lines

    places = [each for each in inputs if each != STANDARD_INPUT]
    stream = stream or any(map(goes_in_bulk, places))
    return InputLists(
        places,
        ([] if STANDARD_INPUT not in inputs else streamed_lines() if stream else read_lines(STANDARD_INPUT)),
        [*expressions, *(read_lines(expression_list) if expression_list else [])],
        read_pairs(pair_list) if pair_list else [],
    )


def _request(lists: InputLists, recursive: bool, out: Path, process: Process) -> tuple[PredictRequest, Mapping[str, int]]:
    """The request, with all images found but those in `out`; how many files were left out by kind.

    Raises:
        DataError: an input names nothing, or a folder cannot be read.
    """
    from cmirnet_cli.engine.prediction.photo_files import find_photos, listed_photo
    from cmirnet_cli.engine.prediction.queries import PredictRequest
    from cmirnet_cli.reports.predictions.folder import KINDS

    results = [out, *(out / kind for kind in KINDS)]  # these, too, for photographs may lie in `out` itself
    listed = [listed_photo(Path(line), Path(line)) for line in lists.listed]
    found = find_photos(lists.inputs, recursive=recursive, exclude=results)
    if found.left_out and process.first:
        console.notice(found.notice)
    pairs = [(listed_photo(each.path, each.written), each.expression) for each in lists.pairs]
    return PredictRequest([*found.photos, *listed], lists.expressions, pairs), found.left_out


def _predict(
    request: PredictRequest,
    model: ModelOptions,
    mask_rule: MaskRule,
    output: OutputOptions,
    process: Process,
    *,
    own_range: bool,
    left_out: Mapping[str, int],
) -> int:
    """All that one of several processes does; the first one alone refuses, begins, puts together and reports."""
    from cmirnet_cli.engine.prediction.predictor import predict_photos
    from cmirnet_cli.engine.prediction.queries import image_queries
    from cmirnet_cli.files import SMALLEST_FILE, require_room, require_writable
    from cmirnet_cli.reports.predictions.folder import MaskToWrite, PredictedPhoto, PredictionFolder, begin_folder, require_unused
    from cmirnet_cli.reports.predictions.index import Index, mend, part_file

    queries = image_queries(request)
    opened = named_model(model)
    opened.check()
    if process.first:
        require_unused(output.folder, output.coco, gallery=output.gallery, skip_existing=output.skip_existing, overwrite=output.overwrite)
    predictor = opened.predictor(process)
    expressions = list(dict.fromkeys(expression for query in queries for expression in query.expressions))
    unknown = predictor.unknown(expressions)
    if process.first:
        _tell_of_expressions(expressions, predictor.too_long(expressions), unknown, predictor.tokens)

    if process.first:
        if output.coco:
            require_writable(output.coco.parent)
        rule = {"threshold": mask_rule.threshold, "largest_component": mask_rule.largest_component, "min_score": mask_rule.min_score}
        settings = {**opened.identity(), **rule, "own_range": own_range}
        earlier = {"skip_existing": output.skip_existing, "overwrite": output.overwrite}
        begin_folder(output.folder, settings, output.coco, gallery=output.gallery, **earlier)
    process.wait()

    folder, index, part = PredictionFolder(output.folder, output.kinds), Index.read(output.folder), process.part(queries)
    left = [query for query in part if not folder.holds(index, query.photo.name, query.expressions)]
    require_room(output.folder, SMALLEST_FILE * len(output.kinds) * sum(len(query.expressions) for query in left))
    lines = part_file(output.folder, process.rank, process.count)
    mend(lines)
    problems: list[tuple[str, str, str]] = []
    scaled: list[tuple[str, Range]] = []
    with console.progress("predict", len(left)) as advance:
        for result in predict_photos(predictor, left, mask_rule, advance, own_range=own_range):
            photo = result.query.photo
            if result.problem and output.fail_fast:
                raise result.problem
            if result.problem or result.image is None:
                problems.append((str(photo.path), str(result.problem), result.problem.hint or "" if result.problem else ""))
                continue
            if result.image.scaled_by:
                scaled.append((str(photo.path), result.image.scaled_by))
            masks = (
                MaskToWrite(each.expression, each.mask, each.score, each.rle(), each.probability, known=each.known)
                for each in result.predictions
            )
            folder.add(PredictedPhoto(photo.name, photo.path, result.image.pixels), masks, lines)

    parts = process.gather([_Part(len(part) - len(left), problems, scaled)])
    if process.first:
        _report(queries, output, parts, left_out=left_out, unknown=unknown)
    process.wait()  # a launcher ends all processes as soon as one of them ends badly
    return ImageError.exit_code if process.first and any(each.problems for each in parts) else 0


def _tell_of_expressions(expressions: Sequence[str], cut: Sequence[str], unknown: Sequence[str], tokens: int) -> None:
    """Name expressions that the network reads in part, or not at all."""
    for named, what in (
        (cut, f"were cut at {tokens} tokens, as the network reads no more"),
        (unknown, "have no word that the tokenizer knows, so their masks mean nothing"),
    ):
        if named:
            shown = named[0] if len(named[0]) <= SHOWN_LETTERS else f"{named[0][:SHOWN_LETTERS]}…"
            console.notice(f"{len(named):,} of {len(expressions):,} expressions {what}: {shown}")


def _report(
    queries: Sequence[ImageQuery], output: OutputOptions, parts: Sequence[_Part], *, left_out: Mapping[str, int], unknown: Sequence[str]
) -> None:
    """Put together what all processes wrote, and print the result."""
    from cmirnet_cli.reports.predictions.coco import write_coco
    from cmirnet_cli.reports.predictions.folder import GALLERY, MASKS, sweep_all
    from cmirnet_cli.reports.predictions.gallery import write_gallery
    from cmirnet_cli.reports.predictions.index import INDEX, unite

    problem_of = {path: (problem, hint) for part in parts for path, problem, hint in part.problems}
    broken = [path for path in (str(query.photo.path) for query in queries) if path in problem_of]
    read = [query for query in queries if str(query.photo.path) not in problem_of]
    lines = unite(output.folder, [(query.photo.name.as_posix(), expression) for query in read for expression in query.expressions])
    sweep_all(output.folder)
    if output.coco:
        write_coco(output.coco, lines)
    gallery = output.folder / GALLERY if output.gallery else None
    if gallery and (shown := write_gallery(output.folder, lines)) < len(lines):
        console.notice(f"{GALLERY} shows {shown:,} of {len(lines):,} masks: more would be too much for a browser")

    scaled = [(path, by) for part in parts for path, by in part.scaled]
    if scaled:
        path, (low, high) = min(scaled)
        console.notice(
            f"{counted(len(scaled), 'image')} of 16 bits scaled by their own range, as they use fewer: {path} from {low} to {high}; "
            "--no-range takes them as they are"
        )
    for path in broken:
        problem, hint = problem_of[path]
        console.warn(f"{problem}; {hint}", failure=True)
    skipped = sum(part.skipped for part in parts)
    console.result(
        {
            "out": output.folder,
            "images": len(queries),
            "masks": len(lines),
            "skipped": skipped,
            "predictions": output.folder / INDEX,
            "coco": output.coco,
            "gallery": gallery,
            "left_out": dict(left_out),
            "unknown": list(unknown),
            "scaled": [{"image": path, "low": low, "high": high} for path, (low, high) in scaled],
            "problems": [{"image": path, "problem": problem_of[path][0], "hint": problem_of[path][1]} for path in broken],
        },
        f"{counted(len(lines), 'mask')} of {counted(len(read), 'image')} in {output.folder / MASKS}",
        *([f"{counted(skipped, 'image')} finished before"] if skipped else []),
        *([f"{counted(len(broken), 'image')} could not be read"] if broken else []),
        *(f"{name}: {path}" for name, path in (("coco", output.coco), ("gallery", gallery)) if path),
    )
