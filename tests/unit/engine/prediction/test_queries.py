"""From photos, expressions and pairs to queries, one for each photo."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.engine.prediction.photo_files import PhotoFile, listed_photo
from cmirnet_cli.engine.prediction.queries import ImageQuery, PredictRequest, image_queries
from cmirnet_cli.errors import UsageError


def photo(path: str, name: str = "") -> PhotoFile:
    return PhotoFile(Path(path), Path(name or Path(path).name))


def test_every_expression_is_asked_about_every_photo_once():
    queries = image_queries(PredictRequest(photos=[photo("a.jpg"), photo("b.jpg"), photo("a.jpg")], expressions=["cup", "person", "cup"]))
    assert queries == [ImageQuery(photo("a.jpg"), ("cup", "person")), ImageQuery(photo("b.jpg"), ("cup", "person"))]


def test_scattered_pairs_are_gathered_photo_by_photo():
    pairs = [(photo("b.jpg"), "cup"), (photo("a.jpg"), "dog"), (photo("b.jpg"), "left one"), (photo("b.jpg"), "cup")]
    queries = image_queries(PredictRequest(pairs=pairs))
    assert [(str(each.photo.path), each.expressions) for each in queries] == [("b.jpg", ("cup", "left one")), ("a.jpg", ("dog",))]


def test_pairs_add_to_what_is_asked_about_all():
    queries = image_queries(PredictRequest(photos=[photo("a.jpg")], expressions=["cup"], pairs=[(photo("a.jpg"), "dog")]))
    assert queries == [ImageQuery(photo("a.jpg"), ("cup", "dog"))]


def test_photos_of_one_name_are_told_apart_by_their_paths_whatever_stands_beside_them():
    first = image_queries(PredictRequest(photos=[photo("x/cup.jpg"), photo("y/cup.jpg"), photo("z.jpg")], expressions=["cup"]))
    second = image_queries(PredictRequest(photos=[photo("y/cup.jpg"), photo("x/cup.jpg")], expressions=["cup"]))
    names = {each.photo.path: each.photo.name for each in first}
    assert len(set(names.values())) == 3
    assert names[Path("z.jpg")] == Path("z.jpg")
    assert all(names[each.photo.path] == each.photo.name for each in second)
    assert str(names[Path("x/cup.jpg")]).startswith("cup-")


def test_names_that_differ_in_capitals_only_are_told_apart():
    queries = image_queries(PredictRequest(photos=[photo("in/Cup.jpg"), photo("in/cup.JPG")], expressions=["cup"]))
    assert len({str(each.photo.name).casefold() for each in queries}) == 2


@pytest.mark.parametrize("text", ["", "  ", "\n", "\u3000"])
def test_an_empty_expression_is_refused(text: str):
    with pytest.raises(UsageError, match="an expression is empty"):
        image_queries(PredictRequest(photos=[photo("a.jpg")], expressions=["cup", text]))


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(UsageError, match="not Unicode text"):
        image_queries(PredictRequest(photos=[photo("a.jpg")], expressions=["caf\udce9"]))


@pytest.mark.parametrize(
    ("written", "name"), [("in/a.jpg", "in/a.jpg"), ("/data/a.jpg", "a.jpg"), ("../a.jpg", "a.jpg"), ("./a.jpg", "a.jpg")]
)
def test_a_listed_photo_is_filed_as_written_but_never_outside(written: str, name: str):
    assert listed_photo(Path("/lists") / written, Path(written)).name == Path(name)
