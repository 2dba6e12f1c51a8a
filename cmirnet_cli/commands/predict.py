"""`cmirnet predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.commands import predict_options as options
from cmirnet_cli.commands.predict_inputs import PredictRequest, queries_of
from cmirnet_cli.commands.predict_outputs import ModelOptions, OutputOptions, PredictionSummary, begin, finish, kinds_of
from cmirnet_cli.console import console
from cmirnet_cli.errors import ImageError, UsageError
from cmirnet_cli.options import Device, Optimizations, Overwrite, Precision, Weights

if TYPE_CHECKING:
    from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction
    from cmirnet_cli.engine.prediction.predictor import Predictor
    from cmirnet_cli.engine.prediction.queries import ImageQuery
    from cmirnet_cli.engine.shards import Shard
    from cmirnet_cli.reports.predictions.folder import MaskToWrite, PredictionFolder

SHOWN_LETTERS = 60


def predict(
    weights: Weights,
    inputs: options.Inputs = None,
    expression: options.Expression = None,
    expressions: options.Expressions = None,
    pairs: options.Pairs = None,
    recursive: options.Recursive = False,
    threshold: options.Threshold = 0.5,
    largest_component: options.LargestComponent = False,
    out: options.Out = Path("predictions"),
    coco: options.Coco = None,
    overlay: options.Overlay = False,
    cutout: options.Cutout = False,
    soft: options.Soft = False,
    gallery: options.GalleryPage = False,
    fail_fast: options.FailFast = False,
    skip_existing: options.SkipExisting = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: Precision = "fp32",
    optimizations: Optimizations = "auto",
    batch_size: options.PhotosAtOnce = 1,
) -> int:
    """Write a mask for every image and expression; what cannot be read is reported at the end.

    Example: cmirnet predict weights/ photos/ -e "the red cup"
    """
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.shards import joined

    chosen = ModelOptions(weights, device, precision, optimizations, batch_size)
    asked = PredictRequest(inputs or [], expression or [], expressions, pairs, recursive)
    kinds = kinds_of(overlay=overlay or gallery, cutout=cutout, soft=soft)
    wanted = OutputOptions(out, kinds, coco, gallery, fail_fast, skip_existing, overwrite)
    with joined() as shard:
        return _predict(chosen, asked, MaskRule(threshold, largest_component, soft), wanted, shard)


def _predict(chosen: ModelOptions, asked: PredictRequest, rule: MaskRule, wanted: OutputOptions, shard: Shard) -> int:
    """All that one of several processes does; the first one alone refuses, begins, puts together and reports."""
    if asked.reads_standard_input and shard.count > 1:
        raise UsageError(f"{shard.count} processes cannot share standard input (-)", hint="write the list to a file")
    questions = queries_of(asked, wanted.out)
    predictor = chosen.predictor(shard)
    _tell_cut(predictor, questions)
    if shard.first:
        begin(chosen, rule, wanted)
    shard.wait()
    ended = shard.gather([_answer(predictor, questions, rule, wanted, shard)])
    if shard.first:
        finish(questions, wanted, ended)
    shard.wait()  # a launcher ends all processes as soon as one of them ends badly
    return ImageError.exit_code if shard.first and any(each.problems for each in ended) else 0


def _tell_cut(predictor: Predictor[Any], questions: Sequence[ImageQuery]) -> None:
    asked = list(dict.fromkeys(expression for question in questions for expression in question.expressions))
    if cut := predictor.too_long(asked):
        shown = cut[0] if len(cut[0]) <= SHOWN_LETTERS else f"{cut[0][:SHOWN_LETTERS]}…"
        counted = f"{len(cut):,} of {len(asked):,} expressions were cut at {predictor.tokens} tokens"
        console.notice(f"{counted}, as the network reads no more: {shown}")


def _answer(
    predictor: Predictor[Any], questions: Sequence[ImageQuery], rule: MaskRule, wanted: OutputOptions, shard: Shard
) -> PredictionSummary:
    """Answer this process's part of the questions, as far as that was not done before."""
    from cmirnet_cli.files import SMALLEST_FILE, require_room
    from cmirnet_cli.reports.predictions.folder import PredictionFolder
    from cmirnet_cli.reports.predictions.index import mend, part_file

    folder = PredictionFolder(wanted.out, wanted.kinds)
    own = shard.part(questions)
    left = _unanswered(own, folder)
    require_room(wanted.out, SMALLEST_FILE * len(wanted.kinds) * sum(len(each.expressions) for each in left))
    part = part_file(wanted.out, shard.rank, shard.count)
    mend(part)
    return PredictionSummary(len(own) - len(left), _write_all(predictor, left, rule, folder, part, fail_fast=wanted.fail_fast))


def _unanswered(questions: Sequence[ImageQuery], folder: PredictionFolder) -> Sequence[ImageQuery]:
    from cmirnet_cli.reports.predictions.index import Index

    index = Index.read(folder.folder)
    return [each for each in questions if not folder.holds(index, each.photo.name, each.expressions)]


def _write_all(
    predictor: Predictor[Any], questions: Sequence[ImageQuery], rule: MaskRule, folder: PredictionFolder, part: Path, *, fail_fast: bool
) -> Sequence[tuple[str, str]]:
    """Write every answer as it comes; the photos that cannot be read, with the reason."""
    from cmirnet_cli.engine.prediction.predictor import predict_photos
    from cmirnet_cli.reports.predictions.folder import PredictedPhoto

    problems = []
    with console.progress("predict", len(questions)) as advance:
        for answer in predict_photos(predictor, questions, rule, advance):
            photo = answer.question.photo
            if answer.problem and fail_fast:
                raise answer.problem
            if answer.pixels is None:
                problems.append((str(photo.path), str(answer.problem)))
            else:
                folder.add(PredictedPhoto(photo.name, photo.path, answer.pixels), map(_found, answer.predictions), part)
    return problems


def _found(prediction: Prediction) -> MaskToWrite:
    from cmirnet_cli.reports.predictions.folder import MaskToWrite

    return MaskToWrite(prediction.expression, prediction.mask, prediction.score, prediction.rle(), prediction.probability)
