"""Where bulk prediction writes, what came of it, and how that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from cmirnet_cli.commands.predict_notices import lines_of_result, tell_of_ranges
from cmirnet_cli.console import console
from cmirnet_cli.errors import counted
from cmirnet_cli.storage.uris import shown

if TYPE_CHECKING:
    from cmirnet_cli.engine.bulk.chunk import Chunk
    from cmirnet_cli.engine.bulk.finish import BulkSettings, ChunkReport, MaskRow, Problem
    from cmirnet_cli.images.depth import Range
    from cmirnet_cli.reports.predictions.parquet import ParquetChunks
    from cmirnet_cli.reports.predictions.pictures import PngChunks
    from cmirnet_cli.storage.place import Place


@dataclass(frozen=True)
class BulkOutput:
    """Where results go, and as what.

    Attributes:
        place: the folder.
        form: png or parquet.
        overwrite: whether an earlier run's results are replaced.
    """

    place: Place
    form: str
    overwrite: bool

    def writer(self) -> PngChunks | ParquetChunks:
        """What writes the results of a chunk."""
        from cmirnet_cli.reports.predictions.parquet import ParquetChunks
        from cmirnet_cli.reports.predictions.pictures import PngChunks

        return ParquetChunks(self.place) if self.form == "parquet" else PngChunks(self.place)


@dataclass
class Replacing:
    """Writes chunks, and counts the finished chunks of earlier runs in whose place others are written.

    Attributes:
        writer: what does it.
        replaced: how many of them.
    """

    writer: PngChunks | ParquetChunks
    replaced: int = 0

    def finished(self, chunk: Chunk) -> Mapping[str, int] | None:
        """As the writer's."""
        return self.writer.finished(chunk)

    def write(self, chunk: Chunk, rows: Iterable[MaskRow]) -> None:
        """As the writer's."""
        from cmirnet_cli.reports.predictions.chunks import Mark

        earlier = self.writer.mark(chunk.number)
        self.writer.write(chunk, rows)
        self.replaced += earlier is not None and Mark.counts(earlier, chunk) is None


@dataclass
class BulkTotal:
    """What one process did, and how many chunks there are for all."""

    chunks: int = 0
    images: int = 0
    masks: int = 0
    empty: int = 0
    broken: int = 0
    skipped: int = 0
    replaced: int = 0
    scaled: int = 0
    scaled_first: tuple[int, tuple[str, Range]] | None = None
    problems: list[tuple[int, Problem]] = field(default_factory=list)

    def add(self, report: ChunkReport, replaced: int) -> None:
        """Count what came of a chunk, and how many finished ones of an earlier run it replaced."""
        self.replaced += replaced
        self.images += report.images
        self.masks += report.masks
        self.empty += report.empty
        self.broken += report.broken
        self.skipped += report.skipped
        self.scaled += report.scaled
        if report.scaled_first:
            self.scaled_first = min(self.scaled_first or (report.number, report.scaled_first), (report.number, report.scaled_first))
        self.problems += [(report.number, problem) for problem in report.problems]
        self.problems = _first_named(self.problems)


def _first_named(problems: Iterable[tuple[int, Problem]]) -> list[tuple[int, Problem]]:
    """The problems of the first chunks: as many as a report names."""
    from cmirnet_cli.engine.bulk.finish import MOST_NAMED

    return sorted(problems, key=itemgetter(0))[:MOST_NAMED]


def show_result(
    output: BulkOutput,
    totals: Sequence[BulkTotal],
    settings: BulkSettings,
    *,
    from_list: bool,
    left_out: Mapping[str, int],
    unknown: Sequence[str],
) -> None:
    """Take away chunks and masks that the inputs no longer have, and print the result.

    Args:
        output: where results are.
        totals: what each process did.
        settings: how masks were made.
        from_list: whether inputs came from standard input or --pairs, which nobody compares with those of an earlier run.
        left_out: how many files were left out, by kind.
        unknown: expressions without a word that the tokenizer knows.
    """
    from cmirnet_cli.engine.prediction.photo_files import left_out_notice
    from cmirnet_cli.reports.predictions.chunk_files import remove_stale_masks, retire_chunks

    removed = retire_chunks(output.place, totals[0].chunks) if settings.skip_existing else 0
    remove_stale_masks(output.place, totals[0].chunks)
    replaced = sum(each.replaced for each in totals)
    if from_list and (replaced or removed):
        lost = counted(replaced + removed, "chunk")
        console.warn(
            f"{lost} of an earlier run held other images or expressions and were replaced; give each list its own --out to keep both"
        )
    elif removed:
        console.notice(f"{counted(removed, 'chunk')} of an earlier run removed: the inputs have fewer images now")
    if left_out:
        console.notice(left_out_notice(left_out))
    images, masks, empty, broken, skipped, scaled = (
        sum(getattr(each, name) for each in totals) for name in ("images", "masks", "empty", "broken", "skipped", "scaled")
    )
    first = min((each.scaled_first for each in totals if each.scaled_first), default=None)
    if first:
        tell_of_ranges(scaled, first[1])
    problems = [problem for _, problem in _first_named(problem for each in totals for problem in each.problems)]
    for problem in problems:
        console.warn(f"{problem.problem}; {problem.hint}", failure=True)
    parquet = output.form == "parquet"
    rows = output.place.at("predictions-*.parquet" if parquet else "predictions-*.jsonl")
    if (more := broken - len(problems)) > 0:
        console.warn(
            f"{counted(more, 'more image' if problems else 'image')} could not be read: see the rows with an error in {shown(rows)}",
            failure=True,
        )
    where = shown(rows) if parquet else f"{output.place.shown}/masks"
    console.result(
        {
            "out": output.place.shown,
            "images": images,
            "masks": masks,
            "empty": empty,
            "skipped": skipped,
            "replaced": replaced,
            "broken": broken,
            "chunks": totals[0].chunks,
            "predictions": shown(rows),
            "left_out": dict(left_out),
            "unknown": list(unknown),
            "scaled": [{"image": path, "low": low, "high": high} for _, (path, (low, high)) in ([first] if first else [])],
            "problems": [{"image": each.image, "problem": each.problem, "hint": each.hint} for each in problems],
        },
        *lines_of_result(masks, empty, images - broken, where, skipped=skipped, broken=broken),
    )
