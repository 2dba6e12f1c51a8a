"""What is printed where: results on stdout, the rest on stderr, in text and in JSON."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from cmirnet_cli.console import Console, Progressed, ProgressLines, progress_line
from cmirnet_cli.errors import ImageError


@pytest.fixture
def console():
    return Console()


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def on_a_terminal(code: str, stream: str) -> str:
    """What a process writes to one stream when that stream is a terminal."""
    ours, theirs = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", f"from cmirnet_cli.console import console\n{code}"], check=True, env=environment, **streams)
    os.close(theirs)
    written = b""
    while chunk := _read(ours):
        written += chunk
    os.close(ours)
    return written.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def test_names_of_strangers_cannot_steer_the_terminal(console, capsys):
    hostile = "a\x1b[2J\x07\r\x9b2J\u202eb"
    visible = r"a\x1b[2J\x07\x0d\x9b2J\u202eb"
    console.notice(hostile)
    console.warn(hostile)
    console.error(ImageError(hostile, hint=hostile))
    console.result({}, hostile, console.table(None, ["name"], [[hostile]]))
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines()] == [visible, "name", visible]
    assert err == f"{visible}\nwarning: {visible}\nerror: {visible}\nhint: {visible}\n"


def test_names_that_are_no_unicode_are_printed(console, capfd):
    console.result({}, "a\udcffb")
    console.notice("a\udcffb — café")
    assert capfd.readouterr() == ("a\\udcffb\n", "a\\udcffb — café\n")


def test_the_result_is_all_that_stdout_gets(console, capsys):
    console.notice("reading")
    console.warn("2 images are missing")
    console.result({"count": 3}, "3 images")
    assert capsys.readouterr() == ("3 images\n", "reading\nwarning: 2 images are missing\n")


def test_json_is_one_object_with_a_schema_version(console, capsys):
    console.configure(json=True)
    console.result({"count": 3, "files": (Path("a") / "b",), "iou": float("nan"), "nested": {1: [float("inf")]}}, "3 images")
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "count": 3,
        "files": [str(Path("a") / "b")],
        "iou": None,
        "nested": {"1": [None]},
    }


def test_an_error_is_two_lines_on_stderr(console, capsys):
    console.error(ImageError("cannot read [red]a.jpg", hint="replace it"))
    assert capsys.readouterr() == ("", "error: cannot read [red]a.jpg\nhint: replace it\n")


def test_an_error_without_a_hint_is_one_line(console, capsys):
    console.error(ImageError("cannot read a.jpg"))
    assert capsys.readouterr() == ("", "error: cannot read a.jpg\n")


def test_an_error_in_json_goes_to_stdout(console, capsys):
    console.configure(json=True)
    console.error(ImageError("cannot read a.jpg", hint="replace it"))
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "schema_version": 1,
        "error": {"kind": "ImageError", "message": "cannot read a.jpg", "hint": "replace it", "exit_code": 3},
    }
    assert err == ""


def test_quiet_silences_stderr_but_for_failures_and_errors_and_keeps_the_result(console, capsys):
    console.configure(quiet=True)
    console.notice("reading")
    console.warn("careful")
    console.warn("1 image is missing", failure=True)
    console.error(ImageError("broken", hint="replace it"))
    with console.progress("reading", total=2) as advance:
        advance(2, loss=0.5)
    console.result({}, "done")
    assert capsys.readouterr() == ("done\n", "warning: 1 image is missing\nerror: broken\n")


def test_text_is_printed_as_it_stands(console, capsys):
    line = "[bold]/a/[b]/c:smile:" + "x" * 300
    console.result({}, line)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_table_in_a_pipe_has_no_frame_and_one_line_a_row(console, capsys):
    console.result({}, console.table(None, ["split", "sentences"], [("val", "10,834"), ("x" * 150, 5)]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["split", "sentences"], ["val", "10,834"], ["x" * 150, "5"]]
    assert lines[2].endswith("        5")


def test_a_hand_made_table_loses_its_frame_in_a_pipe_too(console, capsys):
    table = Table("split")
    table.add_row("val")
    console.result({}, table)
    assert capsys.readouterr().out.split() == ["split", "val"]


def test_cells_are_not_read_as_markup(console, capsys):
    console.result({}, console.table(None, ["sentence"], [("[red]cup",), (Text("styled", style="green"),)]))
    assert capsys.readouterr().out.split() == ["sentence", "[red]cup", "styled"]


def test_a_table_on_a_terminal_has_a_frame():
    assert "╭" in on_a_terminal("console.result({}, console.table('t', ['a'], [[1]]))", "stdout")


def test_progress_on_a_terminal_is_a_bar_that_counts():
    shown = on_a_terminal("with console.progress('epoch [1]', 4) as advance:\n    advance(3, loss=0.51234)\n    advance()", "stderr")
    assert "epoch [1]" in shown
    assert "━" in shown
    assert "4/4" in shown
    assert "loss 0.5123" in shown


STEP = {"loss": 0.3477, "lr": "9.90e-04", "samples/s": "108.2", "GiB": "21.1", "waiting for data": "0%"}


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, "train  61,234/159,000  1:17:21 left"),
        (80, f"train  61,234/159,000  1:17:21 left  {'━' * 13}  loss 0.3477  lr 9.90e-04"),
        (100, f"train  61,234/159,000  1:17:21 left  {'━' * 16}  loss 0.3477  lr 9.90e-04  samples/s 108.2"),
        (140, f"train  61,234/159,000  1:17:21 left  {'━' * 23}  loss 0.3477  lr 9.90e-04  samples/s 108.2  GiB 21.1  waiting for data 0%"),
    ],
)
def test_progress_says_what_and_how_far_first_and_then_as_much_as_fits(width, shown):
    line = progress_line(Progressed("train", 61234, 159000, 3000.0, 4641.0, STEP), width)
    assert line.plain == shown
    assert len(line) <= width


def test_progress_that_ends_says_how_long_it_took_and_a_long_name_is_cut():
    assert progress_line(Progressed("draw", 4, 4, 65.0, 0.0, {}), 38).plain == "draw  4/4  took 0:01:05"
    assert progress_line(Progressed("read", 1500, None, 65.0, None, {}), 40).plain == "read  1,500 done  0:01:05"
    assert progress_line(Progressed("score a/very/long/path", 1, 4, 1.0, None, {}), 30).plain == "score a/ve…  1/4  -:--:-- left"


def test_short_progress_in_a_pipe_says_nothing(console, capsys):
    with console.progress("reading", total=2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_pipe_is_a_line_every_ten_seconds():
    clock, lines = Clock(), []
    progress = ProgressLines("train", 1000, lines.append, clock)
    for _ in range(25):
        clock.now += 1
        progress(10, loss=0.25, split="val")
    progress.close()
    assert lines == [
        "train: 100 of 1,000 (10%), 10.0/s, 0:01:30 left, loss 0.25, split val",
        "train: 200 of 1,000 (20%), 10.0/s, 0:01:20 left, loss 0.25, split val",
        "train: 250 of 1,000 (25%), 10.0/s, 0:01:15 left, loss 0.25, split val",
    ]


def test_progress_without_a_total_counts():
    clock, lines = Clock(), []
    progress = ProgressLines("reading", None, lines.append, clock)
    clock.now += 10
    progress(1500)
    progress.close()
    assert lines == ["reading: 1,500 done, 150.0/s"]


def test_slow_progress_in_a_pipe_says_how_long_each_takes():
    clock, lines = Clock(), []
    progress = ProgressLines("export and compare", 2, lines.append, clock)
    for _ in range(2):
        clock.now += 25
        progress(1)
    progress.close()
    assert lines == [
        "export and compare: 1 of 2 (50%), 25 s each, 0:00:25 left",
        "export and compare: 2 of 2 (100%), 25 s each, 0:00:00 left",
    ]


def test_a_long_start_does_not_make_the_estimate_longer():
    clock, lines = Clock(), []
    progress = ProgressLines("predict", 1000, lines.append, clock)
    for waited in (60, 10, 10):
        clock.now += waited
        progress(10)
    assert lines == [
        "predict: 10 of 1,000 (1%), 6 s each, 1:39:00 left",
        "predict: 20 of 1,000 (2%), 1.0/s, 0:16:20 left",
        "predict: 30 of 1,000 (3%), 1.0/s, 0:16:10 left",
    ]


def test_the_traceback_is_that_of_the_cause(console, capsys):
    console.configure(traceback=True)
    try:
        {}["mask"]
    except KeyError as cause:
        console.error(ImageError("broken"), cause)
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert err.endswith("KeyError: 'mask'\nerror: broken\n")
