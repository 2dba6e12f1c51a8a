"""Groups of sentences that are alike, to see where a model is good: a sentence with what is known of its referent → its groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cmirnet_cli.metrics.sentences import ReferentStats, SentenceScore

SMALL, MEDIUM = 32**2, 96**2
"""Where COCO's small objects end and its large ones begin, in pixels of the image's own size."""

NO_TARGET = "no target"
"""The size of what sentences refer to that refer to nothing."""

ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "size": "the target's pixels in the image's own size, by COCO's bounds: small < 32², medium < 96², large from there on",
        "length": "words of the sentence: runs of letters, digits and apostrophes",
        "category": "the referent's category, where the data set has any; a comma joins those of several objects",
        "distractors": (
            "other objects of the same category in the image, among those that any split of the data set refers to;"
            " objects that no sentence refers to are not counted"
        ),
        "words": "sentences that hold a word of that kind; one sentence may be in several of these groups",
    }
)
"""What sentences are grouped by, in words."""

SIDES = frozenset(("left", "right", "leftmost", "rightmost", "lefthand", "righthand", "leftside", "rightside", "lefty", "righty"))
COLOURS = frozenset(
    (
        *("beige", "black", "blond", "blonde", "blue", "brown", "gold", "golden", "gray", "green", "grey", "maroon", "navy"),
        *("orange", "pink", "purple", "red", "silver", "tan", "teal", "turquoise", "violet", "white", "yellow"),
    )
)
ORDINALS = frozenset(("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "last"))

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBERED = re.compile(r"\d*(1st|2nd|3rd|\dth)")
_LENGTHS = ((2, "1-2"), (5, "3-5"), (10, "6-10"))
_MANY_DISTRACTORS = 3
_ORDER = (
    *(NO_TARGET, "small", "medium", "large"),
    *("1-2", "3-5", "6-10", "11 or more"),
    *("0", "1", "2", "3 or more"),
    *("left or right", "a colour", "an ordinal", "none of these"),
)


def groups(sentences: Sequence[SentenceScore], stats: Mapping[int, ReferentStats]) -> dict[str, dict[str, list[SentenceScore]]]:
    """Attribute → group → its sentences, for the attributes that are known of any; categories in alphabetical order.

    Args:
        sentences: in any order.
        stats: `ref_id` → what is known of the referent; where one is missing, only the sentence itself is looked at.
    """
    members: dict[str, dict[str, list[SentenceScore]]] = {attribute: {} for attribute in ATTRIBUTES}
    for sentence in sentences:
        for attribute, names in groups_of(sentence.text, stats.get(sentence.ref_id)).items():
            for name in names:
                members[attribute].setdefault(name, []).append(sentence)

    def place(group: tuple[str, object]) -> tuple[int, str]:
        return (_ORDER.index(group[0]), "") if group[0] in _ORDER else (len(_ORDER), group[0])

    return {attribute: dict(sorted(parts.items(), key=place)) for attribute, parts in members.items() if parts}


def groups_of(text: str, stats: ReferentStats | None) -> dict[str, tuple[str, ...]]:
    """Attribute → the groups that a sentence is in."""
    words = [word.lower() for word in _WORD.findall(text)]
    length = next((name for most, name in _LENGTHS if len(words) <= most), "11 or more")
    names = {"length": (length,), "words": _kinds(words)}
    if stats is None:
        return names
    size = "small" if stats.area < SMALL else "medium" if stats.area < MEDIUM else "large"
    names["size"] = (NO_TARGET if stats.no_target else size,)
    if stats.category:
        names["category"] = (stats.category,)
        names["distractors"] = (str(stats.distractors) if stats.distractors < _MANY_DISTRACTORS else "3 or more",)
    return names


def _kinds(words: Sequence[str]) -> tuple[str, ...]:
    kinds = {
        "left or right": any(word in SIDES for word in words),
        "a colour": any(word in COLOURS for word in words),
        "an ordinal": any(word in ORDINALS or _NUMBERED.fullmatch(word) for word in words),
    }
    return tuple(name for name, holds in kinds.items() if holds) or ("none of these",)
