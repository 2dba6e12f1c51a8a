"""All printing: the result goes to stdout, everything else to stderr; as text, or as JSON with `--json`."""

from __future__ import annotations

import json
import math
import os
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Protocol

from rich.box import ROUNDED
from rich.console import Console as Terminal
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cmirnet_cli.errors import CmirnetError

SCHEMA_VERSION = 1
"""Of every JSON object that a command prints; grows when a field changes its meaning or goes away."""

PLAIN_WIDTH = 240
"""Columns where the output is not a terminal: wide enough that a row of a table stays one line."""

GAP, SHORTEST_BAR, LONGEST_BAR = 2, 13, 24
"""Columns: between two parts of a line of progress, and of its bar."""

PROGRESS_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
_DIRECTIONS = {code: f"\\u{code:x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_SURROGATES = {code: f"\\u{code:x}" for code in range(0xD800, 0xE000)}
_ESCAPES = _CONTROL | _DIRECTIONS | _SURROGATES

_NUMBER = re.compile(r"[-+]?[\d.,]+ ?%?|[-–—]")


class Advance(Protocol):
    """Tell a progress display that `n` more items are done; `fields` are shown beside the count, such as `loss=0.31`."""

    def __call__(self, n: int = 1, **fields: object) -> None:
        """Move on by `n` items."""


class Console:
    """The command's one way to speak. The application configures it before the command's body runs."""

    def __init__(self) -> None:
        self._json = self._quiet = self._traceback = self._mute = False

    def configure(self, *, json: bool = False, quiet: bool = False, traceback: bool = False) -> None:
        """Set what `--json`, `--quiet` and `--traceback` ask for.

        Where a launcher such as torchrun started several processes, only the first one speaks; errors are reported by all.
        """
        self._mute = os.environ.get("RANK", "0") != "0"
        self._json, self._quiet, self._traceback = json, quiet, traceback

    @property
    def quiet(self) -> bool:
        """Whether nothing but the result is to be printed."""
        return self._quiet or self._mute

    def result(self, data: Mapping[str, object], *renderables: RenderableType) -> None:
        """Print what the command is for: `data` as one JSON object with `--json`, otherwise the renderables.

        Text in `renderables` is printed as it stands, whatever brackets it holds (names in it may be a stranger's: what would steer a
        terminal, or is not Unicode, is escaped); tables lose their frame in a pipe.
        In JSON paths become text, NaN and infinity null.
        """
        if self._mute:
            return
        if self._json:
            self._print_json(data)
            return
        stdout = _terminal()
        for renderable in renderables:
            if isinstance(renderable, Table) and not stdout.is_terminal:
                renderable.box, renderable.pad_edge = None, False
            shown = _visible(renderable) if isinstance(renderable, str) else renderable
            stdout.print(shown, markup=False, soft_wrap=isinstance(renderable, (str, Text)))

    def notice(self, message: str) -> None:
        """Say something that is worth knowing and needs no action."""
        if not self._mute:
            self._say(Text(_visible(message)))

    def warn(self, message: str, *, failure: bool = False) -> None:
        """Say something that the user may want to act on; a `failure` of a part of the work with `--quiet` too."""
        if not self._mute:
            (self._print if failure else self._say)(Text.assemble(("warning:", "bold yellow"), " ", _visible(message)))

    def error(self, error: CmirnetError, cause: BaseException | None = None) -> None:
        """Report why the command ends, with `--quiet` too, but then without the hint; `cause` is what `--traceback` shows the origin of."""
        if self._traceback:
            self._print(Text("".join(traceback.format_exception(cause or error)).rstrip()))
        if self._json and not self._mute:
            self._print_json({"error": _described(error)})
            return
        self._print(Text.assemble(("error:", "bold red"), " ", _visible(error.message)))
        if error.hint:
            self._say(Text.assemble(("hint:", "bold cyan"), " ", _visible(error.hint)))

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """Show how far a loop is: a bar on a terminal, else a plain line every ten seconds.

        Args:
            label: what is being done, such as "train, epoch 3".
            total: how many items there are, where that is known.
        """
        stderr = _terminal(stderr=True)
        if self.quiet:
            yield lambda n=1, **fields: None
        elif stderr.is_terminal:
            with _bar(stderr, label, total) as advance:
                yield advance
        else:
            lines = ProgressLines(label, total, self.notice)
            yield lines
            lines.close()

    def table(self, title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
        """A table for `result`: columns of numbers are aligned right; a cell may be a styled `Text`."""
        cells = [[cell if isinstance(cell, Text) else Text(_visible(str(cell))) for cell in row] for row in rows]
        table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=ROUNDED)
        for index, column in enumerate(columns):
            numeric = bool(cells) and all(_NUMBER.fullmatch(row[index].plain) for row in cells)
            table.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in cells:
            table.add_row(*row)
        return table

    def _say(self, message: Text) -> None:
        if not self._quiet:
            self._print(message)

    def _print(self, message: Text) -> None:
        _terminal(stderr=True).print(message, soft_wrap=True)

    def _print_json(self, data: Mapping[str, object]) -> None:
        _terminal().out(json.dumps({"schema_version": SCHEMA_VERSION, **_plain(data)}, indent=2))


class ProgressLines:
    """Progress where there is no terminal: one line every ten seconds, and a last one if there was any."""

    def __init__(self, label: str, total: int | None, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._label, self._total, self._write, self._clock = label, total, write, clock
        self._since = self._reached = self._last = clock()
        self._done = self._written = self._first = 0
        self._fields: dict[str, object] = {}

    def __call__(self, n: int = 1, **fields: object) -> None:
        """Move on by `n` items; writes a line if the last one is ten seconds old."""
        if self._done and not self._first:  # from here on its speed is known without the start, which may be long
            self._since, self._first = self._reached, self._done
        self._done += n
        self._reached = self._clock()
        self._fields.update(fields)
        if self._clock() - self._last >= PROGRESS_EVERY:
            self._write_line()

    def close(self) -> None:
        """Write where it ended, unless nothing was written or nothing happened since."""
        if self._written not in (0, self._done):
            self._write_line()

    def _write_line(self) -> None:
        self._last, self._written = self._clock(), self._done
        self._write(f"{self._label}: {', '.join([self._count(), *_shown(self._fields)])}")

    def _count(self) -> str:
        rate = (self._done - self._first) / max(self._last - self._since, 1e-9)
        speed = f"{rate:.1f}/s" if rate >= 1 or not rate else f"{1 / rate:.0f} s each"
        if self._total is None:
            return f"{self._done:,} done, {speed}"
        left = (self._total - self._done) / max(rate, 1e-9)
        return f"{self._done:,} of {self._total:,} ({self._done / max(self._total, 1):.0%}), {speed}, {_clock_time(left)} left"


@contextmanager
def _bar(stderr: Terminal, label: str, total: int | None) -> Iterator[Advance]:
    from rich.progress import Progress, ProgressColumn, Task

    class Line(ProgressColumn):
        """All of it, as much as fits."""

        def render(self, task: Task) -> Text:
            state = Progressed(label, int(task.completed), total, task.elapsed or 0.0, task.time_remaining, task.fields["shown"])
            return progress_line(state, stderr.width)

    with Progress(Line(), console=stderr) as progress:
        task = progress.add_task("", total=total, shown={})

        def advance(n: int = 1, **fields: object) -> None:
            progress.update(task, advance=n, **({"shown": fields} if fields else {}))  # type: ignore[arg-type]

        yield advance


@dataclass(frozen=True)
class Progressed:
    """How far something is.

    Attributes:
        label: what is being done.
        done: items that are done.
        total: of how many; None where that is not known.
        elapsed: seconds so far.
        left: seconds to go; None where that is not known yet.
        fields: what else there is to say, the most important first.
    """

    label: str
    done: int
    total: int | None
    elapsed: float
    left: float | None
    fields: Mapping[str, object]


def progress_line(state: Progressed, width: int) -> Text:
    """What, how much of how much, and how long it will take; then a bar and the fields, as many as fit into `width` columns."""
    if state.total is None:
        facts = [f"{state.done:,} done", _clock_time(state.elapsed)]
    else:
        left = f"took {_clock_time(state.elapsed)}" if state.done >= state.total else f"{_clock_time(state.left)} left"
        facts = [f"{state.done:,}/{state.total:,}", left]
    room = width - sum(len(fact) + GAP for fact in facts)
    label = _visible(state.label)
    label = label if len(label) <= room else f"{label[: max(room - 1, 0)]}…"
    line = Text.assemble((label, "bold"), *(" " * GAP + fact for fact in facts))
    if state.total is not None and width - len(line) > GAP + SHORTEST_BAR:
        length = min(LONGEST_BAR, width // 6)
        filled = round(length * min(1.0, state.done / max(state.total, 1)))
        line.append(" " * GAP).append("━" * filled, "green").append("━" * (length - filled), "bright_black")
    for field in map(_visible, _shown(state.fields)):
        if len(line) + GAP + len(field) > width:
            break
        line.append(" " * GAP + field)
    return line


def _terminal(stderr: bool = False) -> Terminal:
    """A fresh one each time, so that a redirected `sys.stdout` is honoured."""
    terminal = Terminal(stderr=stderr, highlight=False, emoji=False)
    if not terminal.is_terminal:
        terminal.width = PLAIN_WIDTH
    return terminal


def _visible(text: str) -> str:
    return text.translate(_ESCAPES)


def _described(error: CmirnetError) -> dict[str, object]:
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}


def _plain(value: Any) -> Any:
    """The value as JSON has it: paths as text, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _shown(fields: Mapping[str, object]) -> list[str]:
    return [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in fields.items()]


def _clock_time(seconds: float | None) -> str:
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


console = Console()
"""The one that the application configures and every command speaks through."""
