"""Pages in a real browser: Chromium without a window, without a network, in a profile of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--window-size=1200,900",
)


@dataclass(frozen=True)
class Visit:
    """What became of a page: its title, what the script kept in `seen`, and every line of the browser's console."""

    title: str
    seen: dict[str, Any]
    console: list[str]


Drive = Callable[..., Visit]


class Dump(HTMLParser):
    """The page's title and its body's `data-seen`."""

    title, seen, _inside = "", "{}", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "title"
        self.seen = dict(attrs).get("data-seen") or self.seen

    def handle_data(self, data: str) -> None:
        self.title += data if self._inside else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture
def visit(chromium: str, tmp_path: Path) -> Drive:
    """Opens a copy of a page that runs one more script once everything is loaded; what it puts into `seen` comes back."""

    def drive(page: str, script: str = "") -> Visit:
        copy = tmp_path / "visited.html"
        late = f"addEventListener('load', () => {{ const seen = {{}}; {script}; document.body.dataset.seen = JSON.stringify(seen); }});"
        copy.write_text(page.replace("</body>", f"<script>{late}</script></body>"), encoding="utf-8")
        words = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()]
        ended = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
        dump = Dump()
        dump.feed(ended.stdout)
        return Visit(dump.title, json.loads(dump.seen), re.findall(r"CONSOLE.*", ended.stderr))

    return drive
