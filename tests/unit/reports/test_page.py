"""The page is parsed as a browser would, by the standard library's parser."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from cmirnet_cli.reports.page import GalleryEntry, gallery_page

HOSTILE = """"><script>alert('x')</script><img src=x onerror="alert(1)"> & $cards ${script}"""
RED = Image.new("RGB", (30, 20), (200, 10, 10))
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


def page(*entries: GalleryEntry, title: str = "Predictions") -> Page:
    return Page(gallery_page(entries, title))


def entry(expression: str = "the red cup", source: str = "photos/a.jpg", score: float = 0.934) -> GalleryEntry:
    return GalleryEntry(RED, expression, source, score)


def test_a_page_shows_each_entry_in_order_with_expression_file_and_score() -> None:
    parsed = page(entry(), entry("left person", "b.png", 0.2))

    assert parsed.text("expression") == ["the red cup", "left person"]
    assert parsed.text("source") == ["photos/a.jpg", "b.png"]
    assert [card["data-score"] for card in parsed.attributes("figure")] == ["0.9340", "0.2000"]
    assert [text.strip() for text in parsed.text("score") if text.strip()] == ["score 93", "score 20"]
    assert parsed.text("output") == ["2 of 2"]


def test_every_element_is_closed() -> None:
    assert page(entry(), entry(HOSTILE)).open == []


def test_the_picture_travels_inside_the_page() -> None:
    (image,) = page(entry()).attributes("img")

    head, data = str(image["src"]).split(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == "data:image/jpeg;base64"
    assert picture.size == (30, 20)
    assert picture.getpixel((15, 10)) == pytest.approx((200, 10, 10), abs=4)


def test_large_pictures_are_reduced_and_the_entry_keeps_its_own() -> None:
    large = GalleryEntry(Image.new("RGBA", (2000, 1000)), "x", "y", 1.0)

    (image,) = page(large).attributes("img")

    assert Image.open(io.BytesIO(base64.b64decode(str(image["src"]).split(",")[1]))).size == (640, 320)
    assert large.picture.size == (2000, 1000)


def test_nothing_is_loaded_from_anywhere() -> None:
    text = gallery_page([entry(), entry(HOSTILE)], "x")
    parsed = Page(text)

    assert {"link", "iframe", "object", "embed", "base", "audio", "video"}.isdisjoint(tag for tag, _ in parsed.elements)
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in parsed.attributes("img"))
    assert all("src" not in script for script in parsed.attributes("script"))
    for word in ("http:", "https:", "//", "url(", "@import", "fetch(", "XMLHttpRequest"):
        assert word not in "".join(text for _, text in parsed.texts)
    (policy,) = [meta["content"] for meta in parsed.attributes("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; img-src data:;")


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    parsed = page(entry(HOSTILE, source=HOSTILE), title=HOSTILE)

    assert parsed.text("expression") == parsed.text("source") == parsed.text("h1") == parsed.text("title") == [HOSTILE]
    assert [image["alt"] for image in parsed.attributes("img")] == [HOSTILE]
    assert len(parsed.attributes("script")) == 1
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)


@pytest.mark.parametrize("text", ["", "红色的杯子", "الكأس الأحمر", "🎉", "word " * 500])
def test_text_of_any_script_and_length_arrives_unchanged(text: str) -> None:
    assert "".join(page(entry(text)).text("expression")) == text


def test_a_file_name_that_is_not_utf_8_can_be_written_to_a_file() -> None:
    gallery_page([entry(source="caf\udce9.jpg")], "x").encode("utf-8")

    assert page(entry(source="caf\udce9.jpg")).text("source") == ["caf?.jpg"]


def test_a_page_has_a_filter_an_order_and_both_colour_schemes() -> None:
    parsed = page(entry())

    assert [control["id"] for control in parsed.attributes("input") + parsed.attributes("select")] == ["filter", "order"]
    orders = [str(option["value"]) for option in parsed.attributes("option")]
    (script,) = parsed.text("script")
    assert len(orders) == 5
    assert all(f"\n  {order}: " in script for order in orders)
    assert "prefers-color-scheme: dark" in parsed.text("style")[0]


def test_a_page_without_entries_is_still_a_page() -> None:
    assert page().text("output") == ["0 of 0"]
