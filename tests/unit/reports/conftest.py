"""Reads pages as a browser would, with the standard library's parser."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from PIL import Image
from rich.console import Console
from rich.table import Table

VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Every element with its attributes, the text under each class, and whether all elements are closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or tag))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1][1], data))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, where: str) -> list[str]:
        return [text for place, text in self.texts if place == where]

    def pictures(self, **wanted: str) -> list[Image.Image]:
        """The decoded pictures of the `img` elements with these attributes."""
        images = [image for image in self.attributes("img") if wanted.items() <= image.items()]
        return [Image.open(io.BytesIO(base64.b64decode(str(image["src"]).split(",")[1]))) for image in images]

    def assert_loads_nothing(self) -> None:
        """Fails if anything in the page, or its policy, lets a browser ask for another resource."""
        assert {"link", "iframe", "object", "embed", "base", "audio", "video"}.isdisjoint(tag for tag, _ in self.elements)
        assert all(str(image["src"]).startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) for image in self.attributes("img"))
        assert all("src" not in script for script in self.attributes("script"))
        own = "".join(text for place, text in self.texts if place in ("style", "script"))
        for word in ("http:", "https:", "//", "url(", "@import", "fetch(", "XMLHttpRequest"):
            assert word not in own
        (policy,) = [meta["content"] for meta in self.attributes("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert str(policy).startswith("default-src 'none'; img-src data:;")


@pytest.fixture
def read_page() -> Callable[[str], Page]:
    """Parses a page."""
    return Page


def words_of(table: Table, width: int = 80) -> list[list[str]]:
    """The words of each line of a table, as a pipe gets them."""
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    assert "…" not in file.getvalue()
    return [line.split() for line in file.getvalue().splitlines() if line.strip() and "─" not in line]
