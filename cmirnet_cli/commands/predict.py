"""`cmirnet predict`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import Device, Overwrite, Weights

if TYPE_CHECKING:
    from cmirnet_cli.engine.segmenter import Answer
    from cmirnet_cli.reports.predictions import PredictionFolder

EXIT_BAD_IMAGES = 3


def predict(
    weights: Weights,
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT…", help="Image files, folders or quoted patterns.", show_default=False)],
    expression: Annotated[list[str], typer.Option("--expression", "-e", metavar="TEXT", help="What to find; can be repeated.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")] = Path("predictions"),
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders below.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw each mask on its photo.")] = False,
    gallery: Annotated[bool, typer.Option("--gallery", help="Also write gallery.html, one page to look through.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first image that cannot be read.")] = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> int:
    """Write a mask for every image and expression; what cannot be read is reported at the end.

    Example: cmirnet predict weights/ photos/ -e "the red cup"
    """
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.photos import find_photos
    from cmirnet_cli.engine.segmenter import Question, Segmenter, answer_all
    from cmirnet_cli.reports.predictions import PredictionFolder
    from cmirnet_cli.weights.source import load_weights

    questions = [Question(photo, tuple(expression)) for photo in find_photos(inputs, recursive=recursive)]
    segmenter = Segmenter(load_weights(weights), pick_device(device))
    folder = PredictionFolder(out, overlays=overlay or gallery, overwrite=overwrite)
    with console.progress("predict", len(questions)) as advance:
        masks, bad = _write_all(answer_all(segmenter, questions, advance), folder, fail_fast=fail_fast)
    page = folder.write_gallery("predictions") if gallery else None
    return _report(len(questions), masks, bad, folder, page)


def _write_all(answers: Iterable[Answer], folder: PredictionFolder, *, fail_fast: bool) -> tuple[int, list[Answer]]:
    """Write every answer as it comes; how many masks there were, and the answers that are problems."""
    from cmirnet_cli.reports.predictions import Found

    masks, bad = 0, []
    for answer in answers:
        if answer.problem and fail_fast:
            raise answer.problem
        if answer.pixels is None:
            bad.append(answer)
            continue
        for each in answer.predictions:
            folder.add(Found(answer.question.photo.name, each.expression, each.mask, each.score, each.rle()), answer.pixels)
            masks += 1
    return masks, bad


def _report(photos: int, masks: int, bad: list[Answer], folder: PredictionFolder, page: Path | None) -> int:
    problems = [{"image": str(answer.question.photo.path), "problem": str(answer.problem)} for answer in bad]
    for problem in problems:
        console.warn(problem["problem"])
    result = {"out": folder.folder, "images": photos, "masks": masks, "predictions": folder.index, "gallery": page, "problems": problems}
    summary = f"{masks:,} masks of {photos - len(bad):,} images in {folder.folder / 'masks'}"
    console.result(result, summary, *([f"{len(bad):,} images could not be read"] if bad else []), *([f"gallery: {page}"] if page else []))
    return EXIT_BAD_IMAGES if bad else 0
