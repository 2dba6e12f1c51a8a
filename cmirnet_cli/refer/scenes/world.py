"""What a scene holds: a few coloured shapes that don't touch, many of them alike in shape or colour.

All lengths are fractions of the scene's side, x grows to the right and y downwards; a `Frame` puts them into an image.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType

Point = tuple[float, float]
Color = tuple[int, int, int]

COLORS: Mapping[str, Color] = MappingProxyType(
    {
        "red": (226, 54, 62),
        "yellow": (252, 220, 44),
        "green": (52, 168, 88),
        "blue": (44, 112, 224),
    }
)
RADII: Mapping[str, tuple[float, float]] = MappingProxyType({"small": (0.1, 0.115), "large": (0.18, 0.21)})

_BORDER = 0.025
_GAP = 0.035
_TRIES = 40
_TILT = math.radians(12)


def _corners(radii: Sequence[float], count: int, start: float = -90.0) -> tuple[Point, ...]:
    """`count` points around the origin at the given radii in turn, the first at `start` degrees (−90 is up)."""
    angles = [math.radians(start + 360.0 * step / count) for step in range(count)]
    return tuple((radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a)) for i, a in enumerate(angles))


def _centred(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The points, moved so that the middle of their bounding box is the origin."""
    middle_x, middle_y = ((min(axis) + max(axis)) / 2 for axis in zip(*points, strict=True))
    return tuple((x - middle_x, y - middle_y) for x, y in points)


OUTLINES: Mapping[str, tuple[Point, ...]] = MappingProxyType(
    {
        "circle": _corners((1.0,), 64),
        "square": _corners((1.28,), 4, start=-45.0),
        "triangle": _centred(_corners((1.25,), 3)),
    }
)
SHAPES = tuple(OUTLINES)
REACH: Mapping[str, float] = MappingProxyType({shape: max(math.hypot(*point) for point in outline) for shape, outline in OUTLINES.items()})


@dataclass(frozen=True)
class Thing:
    """One shape of a scene, around (x, y); `tint` is its own shade of `color`, `tilt` an angle in radians."""

    shape: str
    color: str
    size: str
    x: float
    y: float
    radius: float
    tilt: float
    tint: Color

    @property
    def reach(self) -> float:
        """The radius of the circle around (x, y) that just holds the shape."""
        return self.radius * REACH[self.shape]

    def outline(self) -> tuple[Point, ...]:
        """The corners of the polygon that is drawn and annotated."""
        cos, sin = self.radius * math.cos(self.tilt), self.radius * math.sin(self.tilt)
        return tuple((self.x + x * cos - y * sin, self.y + x * sin + y * cos) for x, y in OUTLINES[self.shape])


@dataclass(frozen=True)
class Frame:
    """An image of `width` × `height` pixels; a scene is a square as large as fits, in its middle."""

    width: int
    height: int

    @property
    def side(self) -> int:
        """Pixels of the scene's side."""
        return min(self.width, self.height)

    def place(self, x: float, y: float) -> Point:
        """Where a point of the scene lies in the image, in pixels."""
        return (self.width - self.side) / 2 + self.side * x, (self.height - self.side) / 2 + self.side * y


@dataclass(frozen=True)
class Scene:
    """The things of one image and the seed of the paper they lie on."""

    things: tuple[Thing, ...]
    backdrop: int


def compose(rng: Random) -> Scene:
    """A scene of 3 or 4 things in 2 or 3 colours and 2 or 3 shapes, so that most things have something in common."""
    while True:
        colors = rng.sample(tuple(COLORS), rng.choice((2, 3, 3)))
        shapes = rng.sample(SHAPES, rng.choice((2, 3, 3)))
        sizes = [rng.choice(tuple(RADII)) for _ in range(rng.choice((3, 3, 4, 4)))]
        things = [_thing(rng.choice(shapes), rng.choice(colors), size, rng) for size in sizes]
        scattered = _scattered(things, rng)
        if scattered:
            return Scene(scattered, rng.getrandbits(32))


def _thing(shape: str, color: str, size: str, rng: Random) -> Thing:
    return Thing(shape, color, size, 0.5, 0.5, rng.uniform(*RADII[size]), rng.uniform(-_TILT, _TILT), _tint(COLORS[color], rng))


def _scattered(things: Sequence[Thing], rng: Random) -> tuple[Thing, ...]:
    """The things at free places inside the image; empty where some found none."""
    placed: list[Thing] = []
    for thing in sorted(things, key=lambda thing: -thing.reach):
        for _ in range(_TRIES):
            low, high = thing.reach + _BORDER, 1 - thing.reach - _BORDER
            x, y = rng.uniform(low, high), rng.uniform(low, high)
            if all(math.hypot(x - other.x, y - other.y) > thing.reach + other.reach + _GAP for other in placed):
                placed.append(replace(thing, x=x, y=y))
                break
        else:
            return ()
    return tuple(rng.sample(placed, len(placed)))


def _tint(color: Color, rng: Random) -> Color:
    """A neighbouring shade: hue within 3 degrees, saturation and brightness within a few percent."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    hue = (hue + rng.uniform(-0.009, 0.009)) % 1
    saturation, value = min(1.0, saturation * rng.uniform(0.92, 1.06)), min(1.0, value * rng.uniform(0.94, 1.06))
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
