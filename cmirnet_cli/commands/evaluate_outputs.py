"""What `cmirnet eval` writes: scores and sentences for programs, a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.commands.evaluate_task import EvaluationResult, Task
    from cmirnet_cli.metrics.sentences import SplitScores
    from cmirnet_cli.metrics.split_report import Rules
    from cmirnet_cli.reports.evaluation.cards import SentencePictures
    from cmirnet_cli.reports.evaluation.page import Evaluation

MIB = 1 << 20


@dataclass(frozen=True)
class EvaluationOutputs:
    """What is written, and whether it may replace what stands there.

    Attributes:
        out: folder of `scores.json` and `sentences.jsonl`.
        report: the page.
        save_masks: whether each sentence's mask is kept in `sentences.jsonl`.
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
            UsageError: the protocol gives no masks at the image's own size, there is no file to keep them in, or something stands there
                that may not be replaced.
            CmirnetError: nothing can be written there.
        """
        from cmirnet_cli.files import require_free, require_writable
        from cmirnet_cli.reports.evaluation.results import require_place

        if self.save_masks and self.out is None:
            raise UsageError("--save-masks has no folder to keep masks in", hint="add --out DIR: they are kept in its sentences.jsonl")
        if self.masks and protocol == "paper":
            option = "--save-masks" if self.save_masks else "--report"
            raise UsageError(f"{option} needs masks at the image's own size", hint="choose --protocol original or both")
        if self.report and self.report.is_dir():
            raise UsageError(f"--report {self.report} is a folder", hint="name the file that the page is written to")
        if self.out:
            require_place(self.out, overwrite=self.overwrite)
            require_writable(self.out)
        if self.report:
            require_free([self.report], overwrite=self.overwrite)
            require_writable(self.report.parent)

    def require_room(self, task: Task) -> None:
        """Refuse a disk that is too full for the page.

        Raises:
            CmirnetError: it has not that much room.
        """
        from cmirnet_cli.files import require_room
        from cmirnet_cli.reports.evaluation.page import least_bytes

        if self.report:
            require_room(self.report.parent, least_bytes([task.sentences(split) for split in task.splits]))

    def write(self, outcome: EvaluationResult, task: Task, scored: Sequence[SplitScores], rules: Rules) -> None:
        """Write all of it, and say so."""
        from cmirnet_cli.reports.evaluation.page import Evaluation
        from cmirnet_cli.reports.evaluation.results import write_results

        if self.out:
            kept = scored if self.save_masks else [each.without_masks() for each in scored]
            console.notice(f"wrote {', '.join(map(str, write_results(self.out, outcome.data, kept)))}")
        if self.report:
            _write_page(self.report, Evaluation(task.title, scored, outcome.reports, outcome.comparisons, rules, outcome.data), task.cache)


def _write_page(page: Path, evaluation: Evaluation, cache: Cache) -> None:
    from cmirnet_cli.files import write_text
    from cmirnet_cli.reports.evaluation.page import evaluation_page

    write_text(page, evaluation_page(evaluation, _shots(evaluation, cache)))
    console.notice(f"wrote {page} ({page.stat().st_size / MIB:.1f} MiB)")


def _shots(evaluation: Evaluation, cache: Cache) -> Iterator[SentencePictures]:
    """The pictures of the sentences that the page shows, one after the other."""
    examples = evaluation.examples()
    with console.progress("draw", sum(len(each.places) for each in examples.values())) as advance:
        for scored in evaluation.scored:
            rows = {cache.referent(row).ref_id: row for row in cache.referents(scored.split).tolist()}
            for place in examples[scored.split].places:
                sentence = scored.sentences[place]
                yield _shot(cache, rows[sentence.ref_id], sentence.rle)
                advance()


def _shot(cache: Cache, row: int, rle: Mapping[str, Any] | None) -> SentencePictures:
    """The image as the largest network gets it; ground truth and prediction at the image's own size."""
    from cmirnet_cli.images.masks import decode_mask
    from cmirnet_cli.reports.evaluation.cards import SentencePictures

    if rle is None:
        raise ValueError("the sentence was scored without keeping its mask")
    image = cache.image(cache.referent(row).image_row, max(cache.manifest.options.sizes))
    prediction = decode_mask(rle["counts"].encode("ascii"), *rle["size"])
    return SentencePictures(image, cache.mask(row, None) > 0, prediction > 0)
