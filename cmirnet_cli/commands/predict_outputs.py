"""What `cmirnet predict` writes, and what it says in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.commands.exported import export_device, exported_model, require_as_exported
from cmirnet_cli.commands.slow_format import warn_if_slow
from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.prediction.predictor import Predictor
    from cmirnet_cli.engine.prediction.queries import ImageQuery
    from cmirnet_cli.engine.shards import Shard
    from cmirnet_cli.options import Precision
    from cmirnet_cli.reports.predictions.index import Lines


@dataclass(frozen=True)
class OutputOptions:
    """What is written, and when something may stand there already.

    Raises:
        UsageError: an earlier run is to be continued and replaced at once.
    """

    out: Path
    kinds: Sequence[str]
    coco: Path | None
    gallery: bool
    fail_fast: bool
    skip_existing: bool
    overwrite: bool

    def __post_init__(self) -> None:
        if self.skip_existing and self.overwrite:
            raise UsageError("--skip-existing goes on with an earlier run and --overwrite replaces it", hint="give one of them")


@dataclass(frozen=True)
class ModelOptions:
    """The weights that are asked, where and how they are computed."""

    weights: str
    device: str
    precision: Precision
    optimizations: str
    photos_at_once: int

    def predictor(self, shard: Shard) -> Predictor[Any]:
        """Load them, on this process's device; an export without torch."""
        if export := exported_model(self.weights):
            from cmirnet_cli.export.runtime import ExportedModel

            require_as_exported(self.weights, usual=(self.precision, self.optimizations) == ("fp32", "auto"))
            return ExportedModel.open(export, export_device(self.device, shard), self.photos_at_once)
        from cmirnet_cli.engine.inference import Inference, optimizations_named
        from cmirnet_cli.engine.prediction.segmenter import Segmenter
        from cmirnet_cli.weights.source import load_weights

        inference, device = Inference(self.precision, optimizations_named(self.optimizations)), shard.device(self.device)
        warn_if_slow(self.precision, device)
        return Segmenter(inference.prepare(load_weights(self.weights), device), device, photos_at_once=self.photos_at_once)

    def described(self) -> dict[str, object]:
        """What must be the same where an earlier run is continued."""
        if export := exported_model(self.weights):
            from cmirnet_cli.export.spec import fingerprint as export_fingerprint
            from cmirnet_cli.export.spec import read_spec

            return {"weights": export_fingerprint(export), "precision": read_spec(export).precision}
        from cmirnet_cli.weights.source import fingerprint

        return {"weights": fingerprint(self.weights), "precision": self.precision}


@dataclass(frozen=True)
class PredictionSummary:
    """What one process did of its part: photos that were finished before, and those that cannot be read, with the reason."""

    skipped: int
    problems: Sequence[tuple[str, str]]


def kinds_of(*, overlay: bool, cutout: bool, soft: bool) -> Sequence[str]:
    """The kinds of pictures that are written."""
    from cmirnet_cli.reports.predictions.folder import CUTOUTS, MASKS, OVERLAYS, PROBABILITIES

    return [MASKS, *([OVERLAYS] if overlay else []), *([CUTOUTS] if cutout else []), *([PROBABILITIES] if soft else [])]


def begin(chosen: ModelOptions, rule: MaskRule, wanted: OutputOptions) -> None:
    """Refuse what cannot be written, before the first image is read.

    Raises:
        UsageError: something stands there that may not be replaced, or was made with other settings.
        CmirnetError: nothing can be written there.
    """
    from cmirnet_cli.files import require_writable
    from cmirnet_cli.reports.predictions.folder import begin_folder

    if wanted.coco:
        require_writable(wanted.coco.parent)
    settings = {**chosen.described(), "threshold": rule.threshold, "largest_component": rule.largest_component}
    taken_over = {"skip_existing": wanted.skip_existing, "overwrite": wanted.overwrite}
    begin_folder(wanted.out, settings, wanted.coco, gallery=wanted.gallery, **taken_over)


def finish(questions: Sequence[ImageQuery], wanted: OutputOptions, ended: Sequence[PredictionSummary]) -> None:
    """Put together what all processes wrote, and report."""
    from cmirnet_cli.reports.predictions.folder import sweep_all
    from cmirnet_cli.reports.predictions.index import INDEX, unite

    problems = _in_order([problem for each in ended for problem in each.problems], questions)
    broken = {image for image, _ in problems}
    read = [each for each in questions if str(each.photo.path) not in broken]
    lines = unite(wanted.out, [(each.photo.name.as_posix(), expression) for each in read for expression in each.expressions])
    sweep_all(wanted.out)
    made = _write_pages(lines, wanted)
    for _, problem in problems:
        console.warn(problem)
    counts = {"images": len(questions), "masks": len(lines), "skipped": sum(each.skipped for each in ended)}
    listed = [{"image": image, "problem": problem} for image, problem in problems]
    console.result(
        {"out": wanted.out, **counts, "predictions": wanted.out / INDEX, **made, "problems": listed},
        f"{len(lines):,} masks of {len(read):,} images in {wanted.out / 'masks'}",
        *([f"{counts['skipped']:,} images were finished before"] if counts["skipped"] else []),
        *([f"{len(problems):,} images could not be read"] if problems else []),
        *(f"{name}: {path}" for name, path in made.items() if path),
    )


def _write_pages(lines: Lines, wanted: OutputOptions) -> dict[str, Path | None]:
    from cmirnet_cli.reports.predictions.coco import write_coco
    from cmirnet_cli.reports.predictions.folder import GALLERY
    from cmirnet_cli.reports.predictions.gallery import write_gallery

    if wanted.coco:
        write_coco(wanted.coco, lines)
    if wanted.gallery and (shown := write_gallery(wanted.out, lines)) < len(lines):
        console.notice(f"{GALLERY} shows {shown:,} of {len(lines):,} masks: more would be too much for a browser")
    return {"coco": wanted.coco, "gallery": wanted.out / GALLERY if wanted.gallery else None}


def _in_order(problems: Sequence[tuple[str, str]], questions: Sequence[ImageQuery]) -> Sequence[tuple[str, str]]:
    places = {str(question.photo.path): place for place, question in enumerate(questions)}
    return sorted(problems, key=lambda problem: places[problem[0]])
