"""The page of predictions."""

from __future__ import annotations

from PIL import Image

from cmirnet_cli.reports.pages.cards import Card
from cmirnet_cli.reports.predictions.gallery import gallery_page, prediction_card

RED = Image.new("RGB", (30, 20), (200, 10, 10))


def card(expression: str = "the red cup", source: str = "photos/a.jpg", score: float = 0.934) -> Card:
    return prediction_card(RED, {"expression": expression, "image": source, "score": score})


def test_a_page_shows_each_prediction_in_order_with_expression_file_and_score(read_page):
    page = read_page(gallery_page([card(), card("left person", "b.png", 0.2)], "1 of 2 <masks>"))

    assert page.text("h1") == ["predictions"]
    assert page.text("section") == ["1 of 2 <masks>"]
    assert page.text("sentence") == ["the red cup", "left person"]
    assert page.text("bdi") == ["photos/a.jpg", "b.png"]
    assert [text.strip() for text in page.text("meter") if text.strip()] == ["score 93 %", "score 20 %"]
    assert page.text("output") == ["2 of 2"]


def test_predictions_can_be_sorted_by_score_expression_and_file(read_page):
    page = read_page(gallery_page([card()]))

    (figure,) = page.attributes("figure")
    orders = [(option["value"], "data-falling" in option) for option in page.attributes("option")]
    assert orders == [("", False), ("score", True), ("score", False), ("expression", False), ("source", False)]
    assert float(figure["data-score"]) == 0.934
    assert (figure["data-expression"], figure["data-source"]) == ("the red cup", "photos/a.jpg")


def test_a_file_name_that_is_not_utf_8_can_be_written_to_a_file(read_page):
    text = gallery_page([card(source="caf\udce9.jpg")])

    text.encode("utf-8")
    assert read_page(text).text("bdi") == ["caf?.jpg"]


def test_a_page_without_predictions_is_still_a_page(read_page):
    page = read_page(gallery_page([]))

    assert page.text("output") == ["0 of 0"]
    assert page.open == []
