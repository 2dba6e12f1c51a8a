"""Tables for the terminal: their common look, and what a data set holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Counted:
    """Referents, images and sentences of a split; `None` where no number is known."""

    refs: int | None
    images: int | None
    sentences: int | None


UNKNOWN = Counted(None, None, None)
DIFFERS = "bold yellow"
PUBLISHED = "published"


@dataclass(frozen=True)
class CountRow:
    """One line of a table of counts: what was found in a split, and what was published about it."""

    split: str
    found: Counted
    published: Counted | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether every published number is the one that was found; None where nothing was published."""
        known = [
            (ours, theirs)
            for ours, theirs in zip(_numbers(self.found), _numbers(self.published or UNKNOWN), strict=True)
            if theirs is not None
        ]
        return all(ours == theirs for ours, theirs in known) if known else None


@dataclass(frozen=True)
class CountCell:
    """One number of a table of counts as text; `differs` from what was published, or not."""

    text: str
    differs: bool = False


@dataclass(frozen=True)
class CountGrid:
    """A table of counts for any medium: the columns' heads, and a line of as many cells for each split."""

    columns: tuple[str, ...]
    lines: tuple[tuple[CountCell, ...], ...]


def count_grid(rows: Sequence[CountRow]) -> CountGrid:
    """Referents, images and sentences of each split; where anything was published, the published numbers and whether they agree."""
    compare = any(row.published for row in rows)
    published = (PUBLISHED,) if compare else ()
    columns = ("split", "referents", *published, "images", *published, "sentences", *published, *(("agrees",) if compare else ()))
    lines = (_compared_cells(row) if compare else [CountCell(_number(number)) for number in _numbers(row.found)] for row in rows)
    return CountGrid(columns, tuple((CountCell(row.split), *cells) for row, cells in zip(rows, lines, strict=True)))


def count_table(rows: Sequence[CountRow], *, title: str | None = None) -> Table:
    """The grid of the counts for the terminal."""
    grid = count_grid(rows)
    table = bare_table(title, *grid.columns)
    for line in grid.lines:
        table.add_row(*(Text(cell.text, style=DIFFERS if cell.differs else "") for cell in line))
    return table


@dataclass(frozen=True)
class OddMasks:
    """One line of a table of odd masks: how many of a split's masks are odd in one way, and the first of them."""

    split: str
    kind: str
    count: int
    masks: int
    examples: Sequence[str]


def odd_masks_table(rows: Sequence[OddMasks]) -> Table:
    """The odd masks of a data set for the terminal."""
    table = bare_table(None, "odd masks", "split", "masks", "of")
    table.add_column("examples", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, (row.kind, row.split, f"{row.count:,}", f"{row.masks:,}", "; ".join(row.examples))))
    return table


def bare_table(title: str | None, label: str, *columns: str) -> Table:
    """An empty table without a frame: `label` heads the first column, the others hold numbers."""
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column(label)
    for column in columns:
        table.add_column(column, justify="right", style="dim" if column == PUBLISHED else None, no_wrap=True, overflow="fold")
    return table


def _numbers(counted: Counted) -> tuple[int | None, int | None, int | None]:
    return counted.refs, counted.images, counted.sentences


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _compared_cells(row: CountRow) -> list[CountCell]:
    pairs = zip(_numbers(row.found), _numbers(row.published or UNKNOWN), strict=True)
    cells = [
        cell
        for ours, theirs in pairs
        for cell in (CountCell(_number(ours), differs=theirs is not None and ours != theirs), CountCell(_number(theirs)))
    ]
    return [*cells, {True: CountCell("yes"), False: CountCell("no", differs=True), None: CountCell("-")}[row.agrees]]
