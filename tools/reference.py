"""The pages in docs/ that are drawn from the code. `make reference` writes them; a contract test finds those out of date."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from cmirnet_cli.app import build
from tools.data_sets_page import data_sets_page
from tools.errors_page import errors_page
from tools.formats_page import formats_page
from tools.settings_page import settings_page

DOCS = Path(__file__).resolve().parents[1] / "docs"


def commands_page() -> str:
    """docs/commands.md, as Typer writes it; each command's example is a block of code."""
    command = typer.main.get_command(build())
    page = get_docs_for_click(obj=command, ctx=typer.Context(command), name="cmirnet", title="Commands")
    return re.sub(r"^Example: (.*)$", r"Example:\n\n    \1", page, flags=re.MULTILINE).strip() + "\n"


DRAWN: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "data_sets.md": data_sets_page,
    "errors.md": errors_page,
    "formats.md": formats_page,
    "settings.md": settings_page,
}
"""File → what its text should be."""

if __name__ == "__main__":
    for name, draw in DRAWN.items():
        (DOCS / name).write_text(draw(), encoding="utf-8")
