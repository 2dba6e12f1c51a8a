"""`cmirnet predict` on image files on this machine: pictures of all kinds, and one index of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.commands.models import ModelOptions, RemoteModel, named_model
from cmirnet_cli.commands.predict_notices import lines_of_result, tell_of_expressions, tell_of_ranges
from cmirnet_cli.console import console
from cmirnet_cli.errors import CmirnetError, ImageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from cmirnet_cli.engine.on_ray.cluster import RayOptions
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.prediction.predictor import Predictor
    from cmirnet_cli.engine.prediction.queries import ImageQuery, PredictRequest
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.images.depth import Range
    from cmirnet_cli.reports.predictions.mask_files import PredictionFolder

AT_ONCE = 16
"""Images that an actor of Ray takes as one piece; what it has written of them stays if it dies, but all of them are computed again."""


@dataclass(frozen=True)
class OutputOptions:
    """What is written, and when something may stand there already."""

    folder: Path
    kinds: Sequence[str]
    coco: Path | None
    gallery: bool
    skip_existing: bool
    overwrite: bool


@dataclass(frozen=True)
class MaskOptions:
    """How masks are made of photographs.

    Attributes:
        rule: how probabilities become masks.
        own_range: whether an image of 16 bits that uses fewer is scaled by its own range.
        fail_fast: whether the first image that cannot be read ends it all.
    """

    rule: MaskRule
    own_range: bool
    fail_fast: bool


@dataclass(frozen=True)
class FolderPart:
    """What one process did.

    Attributes:
        skipped: images that were finished before.
        problems: images that cannot be read, each with the reason and what to do.
        scaled: images of 16 bits that use fewer, each with the range that it was scaled by.
    """

    skipped: int
    problems: Sequence[tuple[str, str, str]]
    scaled: Sequence[tuple[str, Range]]


def predict_folder(
    request: PredictRequest,
    model: ModelOptions,
    masks: MaskOptions,
    output: OutputOptions,
    process: Process,
    ray: RayOptions | None,
    *,
    left_out: Mapping[str, int],
) -> int:
    """All that one of several processes does; the first one alone refuses, begins, puts together and reports.

    Args:
        request: what to predict on.
        model: which weights.
        masks: how masks are made.
        output: what is written, and where to.
        process: this one of those that share the work.
        ray: the cluster that does the work in place of this process, if one does.
        left_out: how many files were left out, by kind.
    """
    from cmirnet_cli.engine.prediction.queries import image_queries
    from cmirnet_cli.files.checks import SMALLEST_FILE, require_room, require_writable
    from cmirnet_cli.reports.predictions.folder import begin_folder, require_unused
    from cmirnet_cli.reports.predictions.index import Index, mend, part_file
    from cmirnet_cli.reports.predictions.mask_files import PredictionFolder

    queries = image_queries(request)
    opened = named_model(model)
    opened.check()
    if process.first:
        require_unused(output.folder, output.coco, gallery=output.gallery, skip_existing=output.skip_existing, overwrite=output.overwrite)
    predictor = None if ray else opened.predictor(process)
    reader = predictor or opened.vocabulary()
    expressions = list(dict.fromkeys(expression for query in queries for expression in query.expressions))
    unknown = reader.unknown(expressions)
    if process.first:
        tell_of_expressions(expressions, reader.too_long(expressions), unknown, reader.tokens)

    if process.first and output.coco:
        require_writable(output.coco.parent)

    def begin() -> None:
        rule = {"threshold": masks.rule.threshold, "largest_component": masks.rule.largest_component, "min_score": masks.rule.min_score}
        settings = {**opened.identity(), **rule, "own_range": masks.own_range}
        earlier = {"skip_existing": output.skip_existing, "overwrite": output.overwrite}
        begin_folder(output.folder, settings, output.coco, gallery=output.gallery, **earlier)

    folder, part = PredictionFolder(output.folder, output.kinds), process.part(queries)
    index = Index.of(()) if output.overwrite else Index.read(output.folder)
    left = [query for query in part if not folder.holds(index, query.photo.name, query.expressions)]
    require_room(output.folder, SMALLEST_FILE * len(output.kinds) * sum(len(query.expressions) for query in left))
    if process.first and not (ray and left):
        begin()
    process.wait()
    done = [FolderPart(len(part) - len(left), (), ())]
    with console.progress("predict", len(left)) as advance:
        if predictor:
            lines = part_file(output.folder, process.rank, process.count)
            mend(lines)
            done.append(_write_masks(predictor, folder, masks, lines, left, advance))
        elif ray and left:
            from cmirnet_cli.engine.on_ray.run import run_on_ray

            work = FolderWork(RemoteModel.of(opened), folder, masks)
            run_on_ray(partial(_pieces, left), work, ray, done.append, advance, begin)

    parts = process.gather(done)
    if process.first:
        _report(queries, output, parts, left_out=left_out, unknown=unknown)
    process.wait()  # a launcher ends all processes as soon as one of them ends badly
    return ImageError.exit_code if process.first and any(each.problems for each in parts) else 0


def _pieces(queries: Sequence[ImageQuery]) -> Generator[Sequence[ImageQuery], None, None]:
    for first in range(0, len(queries), AT_ONCE):
        yield queries[first : first + AT_ONCE]


@dataclass(frozen=True)
class FolderWork:
    """What an actor of Ray does: the pictures of a few images, and their lines in an index of its own."""

    model: RemoteModel
    folder: PredictionFolder
    masks: MaskOptions

    def begin(self, device: str) -> Callable[..., FolderPart]:
        """Load the model."""
        from cmirnet_cli.reports.predictions.index import own_part

        predictor, lines = self.model.load(device), own_part(self.folder.folder)

        def write(queries: Sequence[ImageQuery], advance: Callable[[int], object], *, again: bool) -> FolderPart:
            return _write_masks(predictor, self.folder, self.masks, lines, queries, advance)

        return write

    def describe(self, piece: Sequence[ImageQuery]) -> str:
        """The images."""
        return ", ".join(str(query.photo.path) for query in piece)


def _write_masks(
    predictor: Predictor[Any],
    folder: PredictionFolder,
    masks: MaskOptions,
    lines: Path,
    queries: Sequence[ImageQuery],
    advance: Callable[[int], object],
) -> FolderPart:
    """Predict and write image after image; their lines go to the end of the index `lines`."""
    from cmirnet_cli.engine.prediction.predictor import predict_photos
    from cmirnet_cli.reports.predictions.mask_files import MaskToWrite, PredictedPhoto

    problems: list[tuple[str, str, str]] = []
    scaled: list[tuple[str, Range]] = []
    for result in predict_photos(predictor, queries, masks.rule, advance, own_range=masks.own_range):
        photo = result.query.photo
        if result.problem and masks.fail_fast:
            raise result.problem
        if result.problem or result.image is None:
            problems.append((str(photo.path), str(result.problem), result.problem.hint or "" if result.problem else ""))
            continue
        if result.image.scaled_by:
            scaled.append((str(photo.path), result.image.scaled_by))
        found = (
            MaskToWrite(each.expression, each.mask, each.score, each.rle(), each.probability, known=each.known)
            for each in result.predictions
        )
        folder.add(PredictedPhoto(photo.name, photo.path, result.image.pixels), found, lines)
    return FolderPart(0, problems, scaled)


def _report(
    queries: Sequence[ImageQuery],
    output: OutputOptions,
    parts: Sequence[FolderPart],
    *,
    left_out: Mapping[str, int],
    unknown: Sequence[str],
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
    wanted = {(query.photo.name, expression) for query in read for expression in query.expressions}
    if len(lines) < len(wanted):
        hint = "a network disk may show what other machines wrote a little later: run the command again with --skip-existing"
        raise CmirnetError(f"{output.folder / INDEX} lacks {len(wanted) - len(lines):,} of {len(wanted):,} masks", hint=hint)
    if output.coco:
        write_coco(output.coco, lines)
    gallery = output.folder / GALLERY if output.gallery else None
    if gallery and (shown := write_gallery(output.folder, lines)) < len(lines):
        console.notice(f"{GALLERY} shows {shown:,} of {len(lines):,} masks: more would be too much for a browser")

    range_of = dict(each for part in parts for each in part.scaled)
    scaled = [(path, range_of[path]) for path in (str(query.photo.path) for query in queries) if path in range_of]
    if scaled:
        tell_of_ranges(len(scaled), min(scaled))
    for path in broken:
        problem, hint = problem_of[path]
        console.warn(f"{problem}; {hint}", failure=True)
    empty, skipped = sum(not line["area"] for line in lines), sum(part.skipped for part in parts)
    console.result(
        {
            "out": output.folder,
            "images": len(queries),
            "masks": len(lines),
            "empty": empty,
            "skipped": skipped,
            "predictions": output.folder / INDEX,
            "coco": output.coco,
            "gallery": gallery,
            "left_out": dict(left_out),
            "unknown": list(unknown),
            "scaled": [{"image": path, "low": low, "high": high} for path, (low, high) in scaled],
            "problems": [{"image": path, "problem": problem_of[path][0], "hint": problem_of[path][1]} for path in broken],
        },
        *lines_of_result(len(lines), empty, len(read), output.folder / MASKS, skipped=skipped, broken=len(broken)),
        *(f"{name}: {path}" for name, path in (("coco", output.coco), ("gallery", gallery)) if path),
    )
