"""What every gallery page promises: it needs nothing but itself, and text from outside stays text."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.reports.pages.cards import Card, Entry, Layer, Meter, jpeg, png, token
from cmirnet_cli.reports.pages.gallery import Choice, Gallery, Order

HOSTILE = """"><script>alert('x')</script><img src=x onerror="alert(1)"> & {{ cards }} {% raw %} {# ${script}"""
RED = jpeg(Image.new("RGB", (30, 20), (200, 10, 10)))
GREEN = Image.new("RGBA", (30, 20), (0, 255, 0, 64))
CLEAR = png(GREEN)
GALLERY = Gallery("Cups", "cups", "words", [Order("as found"), Order("largest first", "area", falling=True), Order("by name", "name")])


def card(sentence="the red cup", *, picture=RED, layers=(), marks=(), notes=("ref 1",), area=0.5, name="a"):
    return Card(Entry([sentence], notes, {"area": area, "name": name}, marks), picture, layers)


def test_the_picture_travels_inside_the_page(read_page):
    (picture,) = read_page(GALLERY.html([card()])).pictures()

    assert picture.format == "JPEG"
    assert picture.size == (30, 20)
    assert picture.getpixel((15, 10)) == pytest.approx((200, 10, 10), abs=4)


def test_large_pictures_are_reduced_and_the_card_keeps_its_own(read_page):
    large = Image.new("RGBA", (2000, 1000))

    (picture,) = read_page(GALLERY.html([card(picture=jpeg(large))])).pictures()

    assert picture.size == (640, 320)
    assert large.size == (2000, 1000)


def test_a_layer_lies_over_its_picture_with_every_pixel_and_its_transparency(read_page):
    page = read_page(GALLERY.html([card(layers=[Layer("mask", CLEAR), Layer("truth", CLEAR)])]))

    assert len(page.pictures()) == 3
    (layer,) = page.pictures(**{"class": "layer", "data-layer": "mask"})
    assert np.array_equal(np.asarray(layer), np.asarray(GREEN))


def test_there_is_one_switch_for_all_layers_of_a_name(read_page):
    cards = [card(layers=[Layer("mask", CLEAR), Layer("truth", CLEAR)]), card(layers=[Layer("mask", CLEAR)]), card()]

    page = read_page(GALLERY.html(cards))

    switches = [box["value"] for box in page.attributes("input") if box["type"] == "checkbox"]
    assert switches == ["mask", "truth"]
    assert page.text("kbd") == ["m", "t"]


def test_cards_can_be_chosen_by_their_marks_which_are_counted(read_page):
    page = read_page(GALLERY.html([card(marks=["tiny", "odd"]), card(marks=["odd"]), card()]))

    assert page.text("li") == ["tiny", "odd", "odd"]
    assert page.text("option")[:3] == ["all", "tiny", "odd"]


def test_without_layers_and_marks_their_controls_are_absent(read_page):
    page = read_page(GALLERY.html([card()]))

    assert [control["id"] for control in page.attributes("input") + page.attributes("select")] == ["filter", "order"]
    assert [button["id"] for button in page.attributes("button")] == ["further"]


def test_every_order_finds_its_value_on_every_card(read_page):
    page = read_page(GALLERY.html([card(area=0.000123456), card(name=HOSTILE)]))

    keys = [option["value"] for option in page.attributes("option")]
    assert keys == ["", "area", "name"]
    assert [float(figure["data-area"]) for figure in page.attributes("figure")] == [0.000123456, 0.5]
    assert [figure["data-name"] for figure in page.attributes("figure")] == ["a", HOSTILE]


def test_nothing_is_loaded_from_anywhere(read_page):
    read_page(GALLERY.html([card(), card("see https://example.org//x", layers=[Layer("mask", CLEAR)])])).assert_loads_nothing()


def test_hostile_text_stays_text_wherever_it_stands(read_page):
    hostile = token("split", HOSTILE)
    gallery = Gallery(HOSTILE, HOSTILE, HOSTILE, [Order(HOSTILE, "name")], [Choice(HOSTILE, "split", [HOSTILE])], about=HOSTILE)
    entry = Entry([HOSTILE], [HOSTILE], {"name": HOSTILE}, [HOSTILE], [Meter(HOSTILE, 0.5, HOSTILE)], [hostile], hostile)

    page = read_page(gallery.html([Card(entry, RED, [Layer(HOSTILE, CLEAR)])], [entry]))

    for place, times in {"sentence": 2, "bdi": 2, "li": 2, "h1": 1, "title": 1, "section": 1}.items():
        assert page.text(place) == [HOSTILE] * times
    assert [image["alt"] for image in page.attributes("img")] == [HOSTILE, ""]
    assert [box["placeholder"] for box in page.attributes("input") if box["type"] == "search"] == [HOSTILE]
    assert [figure["data-name"] for figure in page.attributes("figure")] == [HOSTILE]
    assert len(page.attributes("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.open == [], "every element is closed"


@pytest.mark.parametrize("text", ["", "红色的杯子", "الكأس الأحمر", "🎉", "word " * 500])
def test_text_of_any_script_and_length_arrives_unchanged_and_in_its_own_direction(read_page, text):
    page = read_page(GALLERY.html([card(text)]))

    assert "".join(page.text("sentence")) == text
    assert [paragraph["dir"] for paragraph in page.attributes("p") if paragraph.get("class") == "sentence"] == ["auto"]


def test_a_page_knows_both_colour_schemes(read_page):
    assert "prefers-color-scheme: dark" in read_page(GALLERY.html([])).text("style")[0]


def test_groups_have_tokens_without_spaces_that_tell_any_two_apart():
    names = ["hot dog", "hot%20dog", "a:b", "", "\udce9", 'x" onclick="', "红"]

    tokens = [token("category", name) for name in names]

    assert len(set(tokens)) == len(names)
    assert all(each.startswith("category:") and not set(each) & set(" \"'<>&") for each in tokens)
    assert token("category", "hot dog") == "category:hot%20dog"


def test_cards_and_lines_name_the_groups_they_are_in_and_their_marks(read_page):
    entry = Entry(["a"], (), {}, ["odd one"], groups=[token("size", "small"), token("split", "val")])

    page = read_page(GALLERY.html([Card(entry, RED)], [Entry(["a"], (), {}, ["odd one"])]))

    (figure,), (line,) = page.attributes("figure"), [item for item in page.attributes("li") if item.get("class") == "line"]
    assert figure["data-in"] == "size:small split:val mark:odd%20one"
    assert line["data-in"] == "mark:odd%20one"
    assert [option["value"] for option in page.attributes("option")][:2] == ["", "mark:odd%20one"]


def test_meters_and_parts_are_bound_to_a_choice(read_page):
    gallery = Gallery("x", "cups", "words", [Order("by iou", "iou")], choices=[Choice("Protocol", "protocol", ["a b", "c"], sorts=True)])
    meters = [Meter("IoU", 0.7, token("protocol", "a b")), Meter("IoU", 0.2, token("protocol", "c"), good=False)]

    page = read_page(gallery.html([Card(Entry(["x"], (), {"iou0": 0.7, "iou1": 0.2}, meters=meters), RED)]))

    shown = [(part["class"], part["data-when"]) for part in page.attributes("p") if part.get("class", "").startswith("meter")]
    assert shown == [("meter", "protocol:a%20b"), ("meter bad", "protocol:c")]
    assert [option["value"] for option in page.attributes("option")] == ["protocol:a%20b", "protocol:c", "iou"]
    assert page.text("option")[:2] == ["a b", "c"]


def test_a_line_leads_to_the_card_of_the_same_name(read_page):
    pictured = Entry(["pictured"], ("ref 1",), {}, meters=[Meter("IoU", 0.5)], anchor="val:1")
    lines = [pictured, Entry(["not"], (), {}, meters=[Meter("IoU", 0.25)], anchor="val:2"), Entry(["nameless"], (), {})]

    page = read_page(GALLERY.html([Card(pictured, RED), card("other")], lines))

    assert [figure.get("id") for figure in page.attributes("figure")] == ["val:1", None]
    assert [link["href"] for link in page.attributes("a")] == ["#val%3A1"]
    assert (page.text("a"), page.text("number")) == (["50.0"], ["25.0"])
    assert page.text("sentence") == ["pictured", "other", "pictured", "not", "nameless"]
    assert page.open == []


def test_a_list_has_a_switch_and_a_page_without_lines_none(read_page):
    kinds = [[box["data-kind"] for box in read_page(html).attributes("input") if box["type"] == "checkbox"]
             for html in (GALLERY.html([card()], [Entry(["a"], (), {})]), GALLERY.html([card()]))]  # fmt: skip
    assert kinds == [["list"], []]


def test_the_switch_of_a_layer_shows_its_colour(read_page):
    page = read_page(GALLERY.html([card(layers=[Layer("mask", CLEAR, (230, 159, 0)), Layer("truth", CLEAR)])]))

    assert [swatch["style"] for swatch in page.attributes("i")] == ["background: rgb(230, 159, 0)"]
