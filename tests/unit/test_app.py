"""How a command line becomes an exit code: every way a command can end, through the whole application."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import typer

from cmirnet_cli import __version__
from cmirnet_cli.app import as_user_error, run
from cmirnet_cli.errors import AnnotationError, CmirnetError, ConfigError, ExportError, UsageError, WeightsError

WORKER_HINT = "use --workers 0, or give it more memory (also /dev/shm)"
BUG_HINT = "this is a bug in cmirnet; please report it with what --traceback shows"


def spoken(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


def process(*statements: str) -> subprocess.CompletedProcess:
    """A fresh process with one more command, `try`, whose body is the last statement."""
    *before, body = statements
    code = f"""
import sys
from cmirnet_cli import app
{chr(10).join(before)}
def attempt() -> None:
    '''Try.'''
    {body}
app.COMMANDS = (("try", attempt), ("other", attempt))
app.main()
"""
    return subprocess.run([sys.executable, "-c", code, "try"], capture_output=True, text=True, check=False)


def test_no_words_show_the_help(capsys):
    assert run([]) == 0
    assert "Usage: cmirnet" in spoken(capsys)[0]


def test_version_prints_the_package_version(capsys):
    assert run(["--version"]) == 0
    assert spoken(capsys) == (f"cmirnet {__version__}\n", "")


def test_what_is_common_to_all_commands_is_understood_before_them_and_with_version(capsys):
    for words in (["--version", "--json"], ["--json", "--version", "-q"]):
        assert run(words) == 0
        assert json.loads(spoken(capsys)[0]) == {"schema_version": 1, "version": __version__}
    assert run(["--json", "-q", "presets", "show", "nothing"]) == 2
    out, err = spoken(capsys)
    assert (json.loads(out)["error"]["exit_code"], err) == (2, "")
    assert run(["--json", "presets", "ls"]) == 0
    assert json.loads(spoken(capsys)[0])["presets"]


def test_an_unknown_command_ends_with_2_and_a_suggestion(capsys):
    assert run(["preset", "ls"]) == 2
    out, err = spoken(capsys)
    assert out == ""
    assert err.startswith("error: No such command 'preset'. Did you mean 'presets'")
    assert err.endswith("\nhint: see cmirnet --help\n")


def test_a_group_without_a_command_ends_with_2(capsys):
    assert run(["presets"]) == 2
    assert spoken(capsys)[1] == "error: Missing command.\nhint: see cmirnet presets --help\n"


def test_a_missing_argument_is_named_with_its_command(capsys):
    assert run(["presets", "show"]) == 2
    assert spoken(capsys)[1] == "error: Missing argument 'NAME'.\nhint: see cmirnet presets show --help\n"


def test_an_unknown_option_as_json_is_one_object_on_stdout(capsys):
    assert run(["presets", "ls", "--json", "--colour"]) == 2
    out, err = spoken(capsys)
    error = json.loads(out)["error"]
    assert (error["kind"], error["exit_code"], error["hint"]) == ("UsageError", 2, "see cmirnet presets ls --help")
    assert "--colour" in error["message"]
    assert err == ""


def test_a_command_error_ends_with_its_own_code(capsys):
    assert run(["presets", "show", "refcoco-swinb"]) == 2
    assert spoken(capsys)[1] == "error: there is no preset 'refcoco-swinb'\nhint: did you mean refcoco-swin-b?\n"


def test_quiet_leaves_an_error_s_one_line(capsys):
    assert run(["presets", "show", "nothing", "-q"]) == 2
    assert run(["presets", "show", "--quiet"]) == 2
    assert spoken(capsys) == ("", "error: there is no preset 'nothing'\nerror: Missing argument 'NAME'.\n")


def test_traceback_shows_where_an_error_arose(capsys):
    assert run(["presets", "show", "nothing", "--traceback"]) == 2
    err = spoken(capsys)[1]
    assert "Traceback (most recent call last)" in err
    assert "load_preset" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [(CmirnetError, 1), (UsageError, 2), (ConfigError, 2), (AnnotationError, 3), (WeightsError, 4), (ExportError, 5)],
)
def test_our_errors_are_reported_as_they_are(error, code):
    raised = error("what", hint="what now")
    assert as_user_error(raised) is raised
    assert raised.exit_code == code


@pytest.mark.parametrize(
    ("problem", "message", "hint"),
    [
        (ValueError("seven"), "ValueError: seven", BUG_HINT),
        (EOFError(), "EOFError", BUG_HINT),
        (MemoryError(), "out of memory: none left", "use a smaller batch, smaller images or fewer workers"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.h5"),
            "no space left to write a.h5",
            "free some space, or write to another disk",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "b"),
            "Permission denied: b",
            "check the path and its permissions; --traceback shows where it was used",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "a process that loads data died: DataLoader worker (pid 7) is killed by signal: Killed.",
            WORKER_HINT,
        ),
        (
            RuntimeError("[pair.cc:545] gloo/transport/tcp/pair.cc: Read error [127.0.0.1]:921: Connection reset by peer."),
            "another process of this command has ended: "
            "[pair.cc:545] gloo/transport/tcp/pair.cc: Read error [127.0.0.1]:921: Connection reset by peer.",
            "look for its own error above; --resume continues a run from its last checkpoint",
        ),
        (typer.BadParameter("not a device"), "Invalid value: not a device", "see cmirnet --help"),
    ],
)
def test_other_exceptions_become_one_clear_line(problem, message, hint):
    error = as_user_error(problem)
    assert (error.message, error.hint) == (message, hint)


def test_an_unexpected_exception_shows_no_traceback_and_ends_with_1():
    ended = process("{}['mask']")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: KeyError: 'mask'\nhint: {BUG_HINT}\n"


def test_a_file_that_ends_early_is_not_taken_for_an_interruption():
    ended = process("raise EOFError('Ran out of input')")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: EOFError: Ran out of input")


def test_ctrl_c_ends_with_130():
    ended = process("import os, signal", "os.kill(os.getpid(), signal.SIGINT)")
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


def test_a_command_may_end_with_a_code_of_its_own():
    assert process("import typer", "raise typer.Exit(3)").returncode == 3
    assert process("return 3").returncode == 3
    assert process("sys.exit(None)").returncode == 0
    assert process("sys.exit('no')").returncode == 1


def test_more_memory_than_there_is_is_no_bug():
    ended = process("import torch", "torch.empty(1 << 60, dtype=torch.uint8)")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: out of memory: ")
    assert ended.stderr.endswith("hint: use a smaller batch, smaller images or fewer workers\n")


def test_a_killed_loader_process_is_no_bug():
    kill = "class Killed(list):\n    def __getitem__(self, item): os.kill(os.getpid(), 9)"
    load = "list(DataLoader(Killed([1]), num_workers=1))"
    ended = process("import os", "from torch.utils.data import DataLoader", kill, load)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: a process that loads data died: DataLoader worker (pid")
    assert ended.stderr.endswith(f"hint: {WORKER_HINT}\n")


def test_sigterm_ends_with_143_after_cleaning_up(tmp_path):
    left = tmp_path / "left"
    code = f"""
import time
from pathlib import Path
from cmirnet_cli import app
def wait() -> None:
    '''Wait.'''
    try:
        Path({str(tmp_path / "ready")!r}).touch()
        time.sleep(300)
    finally:
        Path({str(left)!r}).touch()
app.COMMANDS = (("wait", wait), ("other", wait))
app.main()
"""
    with subprocess.Popen([sys.executable, "-c", code, "wait"]) as running:
        deadline = time.monotonic() + 120
        while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=120) == 143
    assert left.exists()


@pytest.mark.parametrize("words", ["--help", "presets ls", "presets ls --json"])
def test_a_reader_that_leaves_early_causes_no_traceback(words):
    ended = subprocess.run(["bash", "-c", f"{sys.executable} -m cmirnet_cli {words} | true"], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")


def test_a_reader_that_leaves_while_lines_are_printed_is_not_an_error():
    ended = process("import os; reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)", "print('x' * 100_000)")
    assert (ended.returncode, ended.stderr) == (1, "")
    ended = process("import os", "raise BrokenPipeError(32, 'Broken pipe')")
    assert ended.stderr.startswith("error: [Errno 32] Broken pipe")


def test_presets_are_listed_shown_and_copied(tmp_path, capsys):
    assert run(["presets", "ls", "--json"]) == 0
    names = [preset["name"] for preset in json.loads(spoken(capsys)[0])["presets"]]
    assert {"demo", "refcoco-swin-b", "smoke"} <= set(names)
    assert run(["presets", "show", "demo"]) == 0
    shown = spoken(capsys)[0]
    assert run(["presets", "cp", "demo", str(tmp_path)]) == 0
    copied = (tmp_path / "demo.yaml").read_text()
    assert shown.startswith(copied[: copied.index("model:")])
    assert len(shown) > len(copied), "every setting, not only those that differ"
    assert spoken(capsys) == (f"{tmp_path / 'demo.yaml'}\n", f"use it with: cmirnet train --preset {tmp_path / 'demo.yaml'}\n")


def test_copying_a_preset_replaces_nothing_by_itself(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text("mine")
    assert run(["presets", "cp", "demo", str(mine)]) == 2
    assert f"error: {mine} exists already\n" in spoken(capsys)[1]
    assert mine.read_text() == "mine"
    assert run(["presets", "cp", "demo", str(mine), "--overwrite"]) == 0
    assert mine.read_text().startswith("# Purpose:")
    assert list(tmp_path.iterdir()) == [mine]


def test_copying_a_preset_into_a_missing_folder_says_how_to_make_it(tmp_path, capsys):
    assert run(["presets", "cp", "demo", str(tmp_path / "no" / "demo.yaml")]) == 2
    assert spoken(capsys)[1].endswith(f"hint: create it: mkdir -p {tmp_path / 'no'}\n")


@pytest.mark.parametrize("words", [["--rewrites", "none"], ["--rewrites=none"]])
def test_an_option_that_was_renamed_goes_on_working_and_says_so(words, tmp_path, capsys):
    told = run(["app", str(tmp_path / "missing"), *words])
    old = capsys.readouterr().err
    assert "--rewrites is called --optimizations now" in old
    assert told == run(["app", str(tmp_path / "missing"), *(word.replace("rewrites", "optimizations") for word in words)])
    assert capsys.readouterr().err == old.split("\n", 1)[1]


def test_the_shell_completes_commands_and_options():
    environment = {**os.environ, "_CMIRNET_COMPLETE": "complete_bash", "COMP_WORDS": "cmirnet presets s", "COMP_CWORD": "2"}
    ended = subprocess.run([sys.executable, "-m", "cmirnet_cli"], env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["show"]
