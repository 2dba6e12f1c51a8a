"""Groups of sentences, by hand."""

from __future__ import annotations

import pytest

from cmirnet_cli.metrics.breakdown import ATTRIBUTES, groups, groups_of
from cmirnet_cli.metrics.sentences import Overlap, ReferentStats, SentenceScore

CUP = ReferentStats(area=2000, category="cup", distractors=1)


def said(text: str, ref_id: int = 0) -> SentenceScore:
    return SentenceScore(ref_id, 0, "1", text, {"paper": Overlap(1, 2, 1)})


@pytest.mark.parametrize(
    ("area", "size"), [(0, "small"), (1, "small"), (1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")]
)
def test_sizes_are_cocos_by_pixels_of_the_image_itself(area: int, size: str) -> None:
    assert groups_of("cup", ReferentStats(area, "cup", 0))["size"] == (size,)
    assert groups_of("cup", ReferentStats(area, "cup", 0, no_target=True))["size"] == ("no target",)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", "1-2"),
        ("left cup", "1-2"),
        ("the man's red-hot cup!", "3-5"),
        ("one two three four five six", "6-10"),
        ("a b c d e f g h i j k", "11 or more"),
    ],
)
def test_lengths_count_words_and_no_punctuation(text: str, length: str) -> None:
    assert groups_of(text, None)["length"] == (length,)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("cup", ("none of these",)),
        ("Left cup", ("left or right",)),
        ("right-most cup", ("left or right",)),
        ("the bright tired cupboard", ("none of these",)),
        ("GREY cat", ("a colour",)),
        ("second from the left", ("left or right", "an ordinal")),
        ("2nd blue one", ("a colour", "an ordinal")),
        ("the 11th and the 20th", ("an ordinal",)),
        ("row 2", ("none of these",)),
    ],
)
def test_kinds_of_words_are_whole_words_in_any_case(text: str, kinds: tuple[str, ...]) -> None:
    assert groups_of(text, None)["words"] == kinds


@pytest.mark.parametrize(("number", "name"), [(0, "0"), (2, "2"), (3, "3 or more"), (9, "3 or more")])
def test_many_distractors_are_one_group(number: int, name: str) -> None:
    assert groups_of("cup", ReferentStats(5, "cup", number))["distractors"] == (name,)


def test_data_without_categories_have_neither_categories_nor_distractors() -> None:
    assert set(groups_of("cup", ReferentStats(5, "", 3))) == {"size", "length", "words"}


def test_every_sentence_is_in_one_group_of_each_attribute_but_words() -> None:
    sentences = [said("cup"), said("red cup left", 1), said("the man on the far left side", 2)]
    found = groups(sentences, {0: CUP, 1: ReferentStats(50, "cup", 0), 2: ReferentStats(10_000, "person", 4)})
    assert list(found) == list(ATTRIBUTES)
    for attribute in ("size", "length", "category", "distractors"):
        assert sorted(one.ref_id for members in found[attribute].values() for one in members) == [0, 1, 2]
    assert {name: [one.ref_id for one in members] for name, members in found["words"].items()} == {
        "left or right": [1, 2],
        "a colour": [1],
        "none of these": [0],
    }


def test_groups_come_in_their_own_order_and_categories_in_the_alphabets() -> None:
    facts = {
        place: ReferentStats(area, name, place, no_target=not area)
        for place, (area, name) in enumerate([(9999, "zebra"), (0, "ant"), (5, "large dog"), (1500, "cup")])
    }
    found = groups([said("cup", ref_id) for ref_id in facts], facts)
    assert list(found["size"]) == ["no target", "small", "medium", "large"]
    assert list(found["distractors"]) == ["0", "1", "2", "3 or more"]
    assert list(found["category"]) == ["ant", "cup", "large dog", "zebra"]


def test_sentences_of_unknown_referents_are_grouped_by_their_words() -> None:
    assert set(groups([said("cup")], {})) == {"length", "words"}
