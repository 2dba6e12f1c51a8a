"""The left/right-aware flip: an image is mirrored together with the words that name a side.

Words that name a side, as REFER's expressions write them, change for their partners, whole words only and case kept. "Right" is also an
adverb ("right behind the sofa") and "left" also means "remaining" ("the slice left on the plate"): before a word such as "behind",
"next" or "on" they count as sides only after a word such as "the", "to" or "far". Where that, a compound ("topleft") or an abbreviation
("rt") leaves it in doubt which sides a sentence names, its item is not mirrored at all: no augmentation is better than a wrong target.

What it cannot do: writing, digits and clock faces in an image are mirrored too, which no word can follow; "the last slice left" is not
told from "person left" and becomes "the last slice right"; a misspelt side that looks like no side ("rihgt") is not seen.
"""

from __future__ import annotations

import re
from dataclasses import replace

from cmirnet_cli.cache.reader import Sample

PAIRS = (
    ("left", "right"),
    ("leftmost", "rightmost"),
    ("lefthand", "righthand"),
    ("lefthanded", "righthanded"),
    ("leftside", "rightside"),
    ("leftward", "rightward"),
    ("leftwards", "rightwards"),
    ("lefty", "righty"),
)
"""Words that a mirror turns into each other; parts of hyphenated words ("left-most") count as words."""

_CASES = (str.lower, str.capitalize, str.upper)
_PARTNER = {case(one): case(other) for pair in PAIRS for one, other in (pair, pair[::-1]) for case in _CASES}
_WORD = re.compile(r"\w+")
_NO_SIDE = re.compile("bright(er|est|ly)?|upright|leftovers?")
_NAMES_A_SIDE = re.compile(r"\w*(left|right)\w*|[lr]|[lr]t|lft|rgh?t|(anti|counter)?clockwise")
_LOOSE = re.compile(
    "above|after|alone|at|before|behind|below|beneath|beside|by|here|in|inside|near|next|now|on|outside|over|there|under|up|where"
)
"""Words before which "right" may be an adverb and "left" may mean "remaining"."""
_FIRM = re.compile(
    "the|to|on|at|from|far|furthest|farthest|bottom|lower|top|upper|back|front|middle|center|centre|her|his|its|my|our|s|their|your"
)
"""Words after which they are sides all the same; "s" is what follows an apostrophe."""


def mirrored(sample: Sample) -> Sample:
    """The sample with image, mask and sentence mirrored; the sample itself where the sentence leaves the sides in doubt."""
    text = mirrored_text(sample.text)
    if text is None:
        return sample
    return replace(sample, text=text, image=sample.image[:, ::-1].copy(), mask=sample.mask[:, ::-1].copy())


def mirrored_text(text: str) -> str | None:
    """The sentence as it is said of the mirrored image; mirrored again it is itself. None where its sides are in doubt."""
    words = _WORD.findall(text)
    neighbours = zip(["", *words], words, [*words[1:], ""], strict=False)
    if any(_in_doubt(before.lower(), word, after.lower()) for before, word, after in neighbours):
        return None
    return _WORD.sub(lambda word: _PARTNER.get(word[0], word[0]), text)


def _in_doubt(before: str, word: str, after: str) -> bool:
    """Whether it is unclear if a word names a side, or what its partner is; the same answer for the word's partner."""
    side = word.lower()
    if word in _PARTNER:
        return side in PAIRS[0] and bool(_LOOSE.fullmatch(after)) and not _FIRM.fullmatch(before)
    return bool(_NAMES_A_SIDE.fullmatch(side)) and not _NO_SIDE.fullmatch(side)
