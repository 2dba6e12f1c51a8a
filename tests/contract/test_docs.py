"""What README and docs/ name is there: commands as they can be typed, tests, files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from cmirnet_cli.app import COMMANDS, build

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^    (?:torchrun --nproc-per-node \d -m cmirnet_cli|cmirnet) (.+)$", re.MULTILINE)
USAGE_ERROR = typer.BadParameter.__mro__[1]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def commands(page: Path) -> list[list[str]]:
    """Command lines that stand in blocks of their own."""
    return [shlex.split(line) for line in COMMAND.findall(page.read_text(encoding="utf-8"))]


def parse(words: list[str]) -> None:
    """Read a command line without running it."""
    command, names = typer.main.get_command(build()), {name for name, _ in COMMANDS}
    own = 2 if " ".join(words[:2]) in names else 1
    assert " ".join(words[:own]) in names
    for word in words[:own]:
        command = command.commands[word]
    command.make_context(words[0], words[own:])


@by_page
def test_every_command_line_is_one_that_the_program_understands(page):
    for words in commands(page):
        parse(words)


def test_command_lines_are_found():
    assert {words[0] for page in PAGES for words in commands(page)} == {name.split()[0] for name, _ in COMMANDS}


@pytest.mark.parametrize("words", ["predict weights/ photos/ --expresion cup", "train --epochs none", "preparedata refcoco"])
def test_a_command_line_that_is_wrong_is_noticed(words):
    with pytest.raises((AssertionError, USAGE_ERROR)):
        parse(words.split())


@by_page
def test_tests_that_a_page_names_are_there(page):
    named = re.findall(r"`(tests/[\w/.-]+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (PROJECT / name).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, PROJECT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_files_that_a_page_links_to_are_there(page):
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [name for name in linked if not (page.parent / name).exists()] == []
