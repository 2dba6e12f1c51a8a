"""What `cmirnet eval` writes: scores and sentences for programs, a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.evaluation.run import EvaluatedModel, EvaluationRequest, EvaluationResult
    from cmirnet_cli.images.pixels import Mask, Pixels
    from cmirnet_cli.metrics.sentences import SplitScores
    from cmirnet_cli.reports.evaluation.comparison import Comparison
    from cmirnet_cli.reports.evaluation.groups_page import GroupsPage
    from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin

MIB = 1 << 20


@dataclass(frozen=True)
class EvaluationOutputs:
    """What is written, and whether it may replace what stands there.

    Attributes:
        out: folder of `scores.json` and `sentences.jsonl`.
        report: the page.
        save_masks: whether each sentence's mask is kept in `sentences.jsonl`.
        overwrite: whether earlier files may be replaced.
    """

    out: Path | None
    report: Path | None
    save_masks: bool
    overwrite: bool

    @property
    def masks(self) -> bool:
        """Whether masks are needed at all."""
        return self.save_masks or self.report is not None

    def require_places(self, protocol: str) -> None:
        """Refuse what cannot be written, before anything is scored.

        Raises:
            UsageError: the page needs masks at the image's own size, there is no file to keep them in, or something stands there
                that may not be replaced.
            CmirnetError: nothing can be written there.
        """
        from cmirnet_cli.files.checks import require_free, require_writable
        from cmirnet_cli.reports.evaluation.results import require_place

        if self.save_masks and self.out is None:
            raise UsageError("--save-masks has no folder to keep masks in", hint="add --out DIR: they are kept in its sentences.jsonl")
        if self.report and protocol == "paper":
            raise UsageError("--report needs masks at the image's own size", hint="choose --protocol original or both")
        if self.report and self.report.is_dir():
            raise UsageError(f"--report {self.report} is a folder", hint="name the file that the page is written to")
        if self.out:
            require_place(self.out, overwrite=self.overwrite)
            require_writable(self.out)
        if self.report:
            require_free([self.report], overwrite=self.overwrite)
            require_writable(self.report.parent)

    def require_room(self, cache: Cache, splits: Sequence[str]) -> None:
        """Refuse a disk that is too full for the page.

        Raises:
            CmirnetError: it has not that much room.
        """
        from cmirnet_cli.files.checks import require_room
        from cmirnet_cli.reports.evaluation.page import least_bytes

        if self.report:
            sentences = [int(cache.sentence_counts(cache.referent_rows(split)).sum()) for split in splits]
            require_room(self.report.parent, least_bytes(sentences))

    def write(self, result: EvaluationResult, comparisons: Sequence[Comparison], data: dict[str, object]) -> None:
        """Write all of it, and say so."""
        from cmirnet_cli.reports.evaluation.cards import SentencePictures
        from cmirnet_cli.reports.evaluation.page import Evaluation, evaluation_page
        from cmirnet_cli.reports.evaluation.results import write_results

        if self.out:
            kept = result.scores if self.save_masks else [each.without_masks() for each in result.scores]
            console.notice(f"wrote {', '.join(map(str, write_results(self.out, data, kept)))}")
        if self.report:
            evaluation = Evaluation(title(result), result.scores, result.reports, comparisons, result.request.scoring, data)
            drawn = _pictures(result.cache, result.scores, [each.places for each in evaluation.examples().values()])
            pictures = (SentencePictures(image, target, _predicted(result.scores[split], place)) for image, target, split, place in drawn)
            self._write_page(evaluation_page(evaluation, pictures))

    def write_groups(self, page: GroupsPage, cache: Cache) -> None:
        """Write the page of runs side by side, and say so."""
        from cmirnet_cli.reports.evaluation.groups_page import ComparedPictures, groups_page

        drawn = _pictures(cache, page.splits, page.pictured())
        pictures = (
            ComparedPictures(image, target, [_predicted(splits[split], place) for splits in page.shown.values()])
            for image, target, split, place in drawn
        )
        self._write_page(groups_page(page, pictures))

    def _write_page(self, text: str) -> None:
        from cmirnet_cli.files import write_text

        assert self.report
        write_text(self.report, text)
        console.notice(f"wrote {self.report} ({self.report.stat().st_size / MIB:.1f} MiB)")


def title(result: EvaluationResult) -> str:
    """The data set."""
    return f"{result.cache.manifest.dataset} ({result.cache.manifest.split_by})"


def origin(model: EvaluatedModel, cache: Cache, request: EvaluationRequest) -> ScoresOrigin:
    """What must agree for a comparison."""
    from cmirnet_cli.reports.evaluation.results import ScoresOrigin

    fingerprint = cache.manifest.fingerprint.key
    return ScoresOrigin(model.source, model.sha256, fingerprint, model.image_size, request.splits, request.protocols)


def described(result: EvaluationResult) -> dict[str, object]:
    """The scores, what they are scores of, and what computed them, as plain data."""
    from cmirnet_cli import __version__
    from cmirnet_cli.engine.environment import library_versions
    from cmirnet_cli.reports.evaluation.results import describe

    model, manifest, evaluator = result.model, result.cache.manifest, result.model.evaluator
    return {
        "program": __version__,
        "libraries": library_versions(),
        "weights": {"source": model.source, "sha256": model.sha256},
        "data": {"dataset": manifest.dataset, "split_by": manifest.split_by, "fingerprint": manifest.fingerprint.key},
        "settings": {
            "image_size": model.image_size,
            "tokens": evaluator.tokens,
            "batch_size": evaluator.batch_size,
            "device": model.device,
            "precision": model.precision,
            "optimizations": list(model.optimizations),
            "text_features": evaluator.features.manifest.facts.dtype if evaluator.features else None,
        },
        **describe(result.reports, result.request.scoring),
    }


def as_results(result: EvaluationResult) -> Results:
    """The scores in the form that is compared."""
    from cmirnet_cli.reports.evaluation.results import Results

    sentences = {each.split: each.sentences for each in result.scores}
    no_targets = frozenset(ref_id for each in result.scores for ref_id in each.no_targets)
    controls = {name: {each.split: each.controls[name] for each in result.scores} for name in result.request.controls}
    return Results(origin(result.model, result.cache, result.request), sentences, no_targets, controls)


def _pictures(cache: Cache, splits: Sequence[SplitScores], places: Sequence[Sequence[int]]) -> Iterator[tuple[Pixels, Mask, int, int]]:
    """Of the sentences that a page shows, one after the other: the image as the largest network gets it, ground truth at the image's own
    size, the number of the split, the place in it."""
    size = max(cache.manifest.options.sizes)
    with console.progress("draw", sum(map(len, places))) as advance:
        for number, split in enumerate(splits):
            rows = {cache.referent(row).ref_id: row for row in cache.referent_rows(split.split).tolist()}
            for place in places[number]:
                row = rows[split.sentences[place].ref_id]
                yield cache.image(cache.referent(row).image_row, size), cache.mask(row, None) > 0, number, place
                advance()


def _predicted(split: SplitScores, place: int) -> Mask:
    """The mask that was predicted for a sentence."""
    from cmirnet_cli.images.masks import decode_mask

    rle = split.sentences[place].rle
    if rle is None:
        raise ValueError("the sentence was scored without keeping its mask")
    return decode_mask(rle["counts"].encode("ascii"), *rle["size"]) > 0
