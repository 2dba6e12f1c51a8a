"""What a user reads before anything else: every command and every option says what it does."""

import re
import shlex
import subprocess
import sys

import pytest
import typer

from cmirnet_cli.app import COMMANDS, GROUPS, build, with_common_options

NAMES = [name for name, _ in COMMANDS]


def leaf(name: str):
    command = typer.main.get_command(build())
    for word in name.split():
        command = command.commands[word]
    return command


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_of_help_is_one_sentence(name):
    first = (leaf(name).help or "").split("\n\n")[0].strip()
    assert first.endswith(".")
    assert len(first) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_help_ends_with_an_example_that_the_command_understands(name):
    (example,) = re.findall(r"^Example: (.*)$", leaf(name).help, re.MULTILINE)
    program, *words = shlex.split(example)
    own = len(name.split())
    assert [program, *words[:own]] == ["cmirnet", *name.split()]
    leaf(name).make_context(name, words[own:])


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_says_what_it_does(name):
    silent = [parameter.name for parameter in leaf(name).params if not parameter.help]
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_no_words_of_python(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        leaf(name).main(["--help"], prog_name=name)
    assert re.findall(r"<(?:bool|str|list|int|float|path)\W", capsys.readouterr().out) == []


@pytest.mark.parametrize("name", NAMES)
def test_json_quiet_and_traceback_are_everywhere(name):
    options = {option for parameter in leaf(name).params for option in parameter.opts}
    assert {"--json", "--quiet", "-q", "--traceback"} <= options


def test_groups_are_those_that_commands_name():
    assert {name.split()[0] for name in NAMES if " " in name} == set(GROUPS)


def test_commands_keep_their_own_signature_before_the_common_options():
    def command(first: int, second: str = "x") -> None:
        """Does."""

    assert list(with_common_options(command).__annotations__) == ["first", "second", "json", "quiet", "traceback"]


def test_the_module_runs_as_the_command_does():
    run = subprocess.run([sys.executable, "-m", "cmirnet_cli", "--help"], check=True, capture_output=True, text=True)
    assert all(name.split()[0] in run.stdout for name in NAMES)
