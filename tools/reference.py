"""The pages and pictures in docs/ that are drawn from the code. `make reference` writes them; a contract test finds those out of date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.commands_page import commands_page
from tools.data_sets_page import data_sets_page
from tools.errors_page import errors_page
from tools.flow_picture import flow_picture
from tools.rooms_picture import rooms_picture
from tools.settings_page import settings_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
DRAWN: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "data_sets.md": data_sets_page,
    "errors.md": errors_page,
    "flow.svg": flow_picture,
    "rooms.svg": rooms_picture,
    "settings.md": settings_page,
}
"""File → what its text should be."""

if __name__ == "__main__":
    for name, draw in DRAWN.items():
        (DOCS / name).write_text(draw(), encoding="utf-8")
