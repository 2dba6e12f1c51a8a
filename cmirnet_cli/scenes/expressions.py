"""What people would say about a scene: expressions with one meaning, checked against everything else in the scene.

An expression describes a head ("red circle") and may add a direction: among all such things ("the left red circle") or from
an anchor ("the red circle left of the square"). These are the three kinds: attribute, position and relation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product, starmap
from random import Random
from typing import TypeVar

from cmirnet_cli.scenes.scene import Thing

_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_LEAD = 0.10
_APART = 0.12
_SLANT = 1.25
_HARDLY = 0.03

# Not every kind is possible for every target: these weights lead to about 55, 25 and 20 percent of the sentences.
_KINDS = {"attribute": 0.7, "position": 0.08, "relation": 0.22}
_SHAPE, _COLORED, _SIZED, _FULL = ("shape",), ("color", "shape"), ("size", "shape"), ("size", "color", "shape")
_COLOR, _SIZE, _NOTHING = ("color",), ("size",), ()
_HEADS: Mapping[str, Mapping[tuple[str, ...], float]] = {
    "attribute": {_COLORED: 6, _FULL: 3, _SIZED: 1, _SHAPE: 1, _COLOR: 2, _SIZE: 1},
    "position": {_COLORED: 4, _COLOR: 4, _SHAPE: 2, _FULL: 1, _NOTHING: 1},
    "relation": {_FULL: 4, _COLORED: 6, _COLOR: 1, _SHAPE: 1},
}
_ANCHORS: Mapping[tuple[str, ...], float] = {_COLORED: 6, _SHAPE: 2, _FULL: 2, _SIZED: 1}

_NOUNS = {
    None: ("shape",),
    "circle": ("circle",),
    "square": ("square",),
    "triangle": ("triangle",),
}
_SIZES = {"small": ("small", "little"), "large": ("big", "large")}
_POSITIONS = {
    "left": ("leftmost {}", "{} on the left"),
    "right": ("rightmost {}", "{} on the right"),
    "up": ("top {}", "{} at the top"),
    "down": ("bottom {}", "{} at the bottom"),
}
_RELATIONS = {
    "left": ("left of",),
    "right": ("right of",),
    "up": ("above",),
    "down": ("below",),
}
_ARTICLE = 0.6

_Choice = TypeVar("_Choice")


@dataclass(frozen=True)
class Description:
    """Attributes of a thing; None leaves one open."""

    shape: str | None = None
    color: str | None = None
    size: str | None = None

    def fits(self, thing: Thing) -> bool:
        """Whether the thing has every attribute that is named."""
        return self.shape in (None, thing.shape) and self.color in (None, thing.color) and self.size in (None, thing.size)


@dataclass(frozen=True)
class Expression:
    """The meaning of a sentence; an anchor comes with a direction."""

    head: Description
    direction: str | None = None
    anchor: Description | None = None


def refer(things: Sequence[Thing], rng: Random) -> dict[Thing, tuple[str, ...]]:
    """Two or three referents, each with 2 or 3 sentences about it; none where the scene does not offer that many.

    A referent shares its shape or its colour with another thing of the scene, so that it takes words to tell it from the rest.
    """
    most = rng.choice((2, 3))
    referents: dict[Thing, tuple[str, ...]] = {}
    for target in rng.sample(things, len(things)):
        sentences = _sentences(target, things, rng.choice((2, 3)), rng) if _has_rival(target, things) else ()
        if len(sentences) >= 2 and len(referents) < most:
            referents[target] = sentences
    return referents if len(referents) >= 2 else {}


def refer_exactly(things: Sequence[Thing], sentences: Sequence[int], rng: Random) -> dict[Thing, tuple[str, ...]]:
    """As `refer`, with one referent for each of `sentences`, which has that many; none where the scene does not offer them."""
    referents: dict[Thing, tuple[str, ...]] = {}
    rivalled = [thing for thing in rng.sample(things, len(things)) if _has_rival(thing, things)]
    for target, count in zip(rivalled, sentences, strict=False):
        referents[target] = _sentences(target, things, count, rng)
    return referents if [len(said) for said in referents.values()] == list(sentences) else {}


def means_only(expression: Expression, target: Thing, things: Sequence[Thing]) -> bool:
    """Whether the expression is a good way to mean the target and nothing else could be meant."""
    if readings(expression, things) != [target]:
        return False
    if expression.direction is None:
        return True
    if expression.anchor is None:
        rivals = sum(expression.head.fits(thing) for thing in things) - 1
        return rivals > 0 and _along(expression.direction, target.x - 0.5, target.y - 0.5) > 0
    return any(expression.anchor.fits(thing) and plain_direction(thing, target) == expression.direction for thing in things)


def readings(expression: Expression, things: Sequence[Thing]) -> list[Thing]:
    """Everything that somebody could take the expression to mean, generously: near ties and slanting relations count."""
    candidates = [thing for thing in things if expression.head.fits(thing)]
    if expression.direction is None or not candidates:
        return candidates
    if expression.anchor is None:
        lead = {thing: _along(expression.direction, thing.x, thing.y) for thing in candidates}
        return [thing for thing in candidates if lead[thing] > max(lead.values()) - _LEAD]
    anchors = [thing for thing in things if expression.anchor.fits(thing)]
    if len(anchors) != 1:
        return []
    x, y = anchors[0].x, anchors[0].y
    return [thing for thing in candidates if _along(expression.direction, thing.x - x, thing.y - y) > _HARDLY]


def plain_direction(start: Thing, end: Thing) -> str | None:
    """The direction in which `end` clearly lies from `start`; None where they are close or on a slant."""
    across, down = end.x - start.x, end.y - start.y
    far, near = sorted((abs(across), abs(down)), reverse=True)
    if far < _APART or far < near * _SLANT:
        return None
    return max(_DIRECTIONS, key=lambda direction: _along(direction, across, down))


def _has_rival(target: Thing, things: Sequence[Thing]) -> bool:
    """Whether something else of the scene has the target's shape or colour."""
    return any(thing.shape == target.shape or thing.color == target.color for thing in things if thing != target)


def _along(direction: str, across: float, down: float) -> float:
    """How far the step (across, down) leads in the direction."""
    x, y = _DIRECTIONS[direction]
    return x * across + y * down


def _sentences(target: Thing, things: Sequence[Thing], count: int, rng: Random) -> tuple[str, ...]:
    """Up to `count` different sentences that mean the target and nothing else in the scene."""
    sentences: dict[str, None] = {}
    for _ in range(count):
        expression = next((option for option in _options(target, things, rng) if means_only(option, target, things)), None)
        if expression is not None:
            sentences[_say(expression, rng)] = None
    return tuple(sentences)


def _options(target: Thing, things: Sequence[Thing], rng: Random) -> Iterator[Expression]:
    """Expressions that are true of the target, kind after kind, in random order."""
    for kind in _shuffled(_KINDS, rng):
        heads = [_describe(target, named) for named in _shuffled(_HEADS[kind], rng)]
        if kind == "attribute":
            yield from map(Expression, heads)
        elif kind == "position":
            yield from starmap(Expression, product(heads, rng.sample(tuple(_DIRECTIONS), len(_DIRECTIONS))))
        else:
            yield from (Expression(head, *anchor) for head, anchor in product(heads, _anchors(target, things, rng)))


def _anchors(target: Thing, things: Sequence[Thing], rng: Random) -> list[tuple[str, Description]]:
    """Things from which the target lies in a clear direction: that direction, and the thing's description."""
    directions = ((thing, plain_direction(thing, target)) for thing in rng.sample(things, len(things)))
    return [(direction, _describe(thing, named)) for thing, direction in directions if direction for named in _shuffled(_ANCHORS, rng)]


def _describe(thing: Thing, named: Sequence[str]) -> Description:
    return Description(**{attribute: getattr(thing, attribute) for attribute in named})


def _shuffled(shares: Mapping[_Choice, float], rng: Random) -> list[_Choice]:
    """All keys in random order; the larger its share, the likelier a key comes early."""
    return sorted(shares, key=lambda choice: rng.random() ** (1 / shares[choice]), reverse=True)


def _say(expression: Expression, rng: Random) -> str:
    """The expression in lower-case words without punctuation."""
    words = _name(expression.head, rng)
    if expression.direction is not None and expression.anchor is not None:
        words = f"{words} {rng.choice(_RELATIONS[expression.direction])} the {_name(expression.anchor, rng)}"
    elif expression.direction is not None:
        words = rng.choice(_POSITIONS[expression.direction]).format(words)
    return f"the {words}" if rng.random() < _ARTICLE else words


def _name(description: Description, rng: Random) -> str:
    size = rng.choice(_SIZES[description.size]) if description.size else None
    return " ".join(word for word in (size, description.color, rng.choice(_NOUNS[description.shape])) if word)
