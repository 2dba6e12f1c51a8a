"""The left/right-aware flip: words and pixels change sides together, or neither does."""

from __future__ import annotations

import numpy as np
import pytest

from cmirnet_cli.batches.mirror import mirrored, mirrored_text
from cmirnet_cli.cache.reader import Sample

SIDES = ["left", "right", "Left", "RIGHT", "leftmost", "rightmost", "left-most", "righthand", "lefty", "Rightside", "leftwards"]
OTHERS = ["the", "to", "on", "far", "in", "behind", "next", "above", "her", "man's", "bright", "upright", "cup", "2nd", ",", "(", "-"]
DOUBTFUL = ["topleft", "rt", "L", "LeFt", "counterclockwise"]


def sample(text: str) -> Sample:
    rng = np.random.default_rng(0)
    pixels, mask = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), rng.integers(0, 2, (4, 6), dtype=np.uint8)
    return Sample(1, "2", 3, text, pixels, mask)


def sentences(words: list[str], count: int) -> list[str]:
    """Sentences of one to eight of these words at random."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, size=rng.integers(1, 9))) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("person on the left", "person on the right"),
        ("right guy", "left guy"),
        ("the rightmost zebra, left of the tree", "the leftmost zebra, right of the tree"),
        ("left-most cup in the right-hand corner", "right-most cup in the left-hand corner"),
        ("Left one. RIGHT ONE. Leftmost", "Right one. LEFT ONE. Rightmost"),
        ("lefthand donut, rightside dog, lefty batter", "righthand donut, leftside dog, righty batter"),
        ("lady looking rightward", "lady looking leftward"),
        ("her right arm", "her left arm"),
        ("the brightest shirt, upright, beside the leftovers", "the brightest shirt, upright, beside the leftovers"),
        ("the red cup", "the red cup"),
        ("", ""),
    ],
)
def test_words_that_name_a_side_change_for_their_partners(text: str, expected: str):
    assert mirrored_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a giraffe looking right behind another giraffe",
        "a young man standing right next to a stop sign",
        "the piece of broccoli that is right in the center",
        "a portion of cake left on a plate",
        "Right behind her",
        "topleft pizza",
        "guy on rt",
        "the letter L",
        "LeFt one",
        "clockwise from the fork",
    ],
)
def test_sentence_that_leaves_its_sides_in_doubt_is_not_mirrored(text: str):
    given = sample(text)
    assert mirrored_text(text) is None
    assert mirrored(given) is given


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bus on the left next to the red car", "bus on the right next to the red car"),
        ("the chair on the right behind facing forward", "the chair on the left behind facing forward"),
        ("motorcycle furthest left in picture", "motorcycle furthest right in picture"),
        ("the man's right in the photo", "the man's left in the photo"),
    ],
)
def test_side_that_a_word_before_it_makes_sure_is_mirrored(text: str, expected: str):
    assert mirrored_text(text) == expected


def test_sentence_mirrored_twice_is_itself():
    found = [(text, mirrored_text(text)) for text in sentences(SIDES + OTHERS, 3000)]
    sure = [(text, mirror) for text, mirror in found if mirror is not None]
    assert all(mirrored_text(mirror) == text for text, mirror in sure)
    assert len(sure) > 1000
    assert sum(mirror != text for text, mirror in sure) > 500


def test_no_sentence_with_a_doubtful_word_is_mirrored():
    found = [text for text in sentences(SIDES + OTHERS + DOUBTFUL, 1000) if mirrored_text(text) is not None]
    assert not [text for text in found if set(text.split()) & set(DOUBTFUL)]


def test_image_and_mask_are_mirrored_with_the_sentence():
    given = sample("the left cup")
    found = mirrored(given)
    np.testing.assert_array_equal(found.image, np.fliplr(given.image))
    np.testing.assert_array_equal(found.mask, np.fliplr(given.mask))
    assert (found.text, found.ref_id, found.image_id, found.sent_id) == ("the right cup", 1, "2", 3)


def test_sample_mirrored_twice_is_itself():
    given = sample("the left cup")
    twice = mirrored(mirrored(given))
    np.testing.assert_array_equal(twice.image, given.image)
    np.testing.assert_array_equal(twice.mask, given.mask)
    assert twice.text == given.text
