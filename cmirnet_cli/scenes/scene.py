"""A scene: a few coloured shapes that don't touch, many of them alike in shape or colour, and how they are painted."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

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


_PAPERS: tuple[Color, ...] = (
    (250, 240, 224),
    (226, 238, 246),
    (230, 242, 230),
    (240, 232, 246),
    (250, 232, 228),
    (236, 236, 232),
    (214, 224, 232),
    (238, 228, 208),
)
PAPER_GRAIN, PHOTOGRAPH_GRAIN = 1.2, 16.0
"""Grain of smooth paper, and one that makes a JPEG file about as heavy as a photograph of COCO's."""
_SUPERSAMPLING = 4
_SHADOW = 0.28
_GLOSS = 90.0

Pixels = NDArray[np.float32]


def paint(scene: Scene, frame: Frame, grain: float) -> Image.Image:
    """The scene as an RGB image of the frame's size; `grain` is the spread of the paper's grey levels."""
    cover = _cover(scene.things, frame)
    soft = cover.filter(ImageFilter.GaussianBlur(frame.side / 45))
    paper = _paper(scene.backdrop, frame, grain) * (1 - _SHADOW * _moved(soft, frame.side / 55))
    shapes = _tints(scene.things, frame) + _GLOSS * (_moved(soft, -frame.side / 64) - _moved(soft, frame.side / 64))
    pixels = paper + _plane(cover) * (shapes - paper)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _cover(things: tuple[Thing, ...], frame: Frame) -> Image.Image:
    """How much of each pixel the shapes cover, 0 to 255."""
    fine = Frame(_SUPERSAMPLING * frame.width, _SUPERSAMPLING * frame.height)
    canvas = Image.new("L", (fine.width, fine.height))
    draw = ImageDraw.Draw(canvas)
    for thing in things:
        draw.polygon([fine.place(x, y) for x, y in thing.outline()], fill=255, outline=128)
    return canvas.reduce(_SUPERSAMPLING)


def _tints(things: tuple[Thing, ...], frame: Frame) -> Pixels:
    """Every thing's tint on a disc a little larger than the thing, out of which the cover cuts the shape."""
    canvas = Image.new("RGB", (frame.width, frame.height))
    draw = ImageDraw.Draw(canvas)
    for thing in things:
        draw.circle(frame.place(thing.x, thing.y), frame.side * (thing.reach + 0.012), fill=thing.tint)
    return np.asarray(canvas, dtype=np.float32)


def _moved(mask: Image.Image, down: float) -> Pixels:
    """The mask as fractions, moved down by so many pixels."""
    moved = Image.new("L", mask.size)
    moved.paste(mask, (0, round(down)))
    return _plane(moved)


def _plane(mask: Image.Image) -> Pixels:
    return np.asarray(mask, dtype=np.float32)[..., None] / np.float32(255)


def _paper(seed: int, frame: Frame, grain: float) -> Pixels:
    """A gradient between two pale colours in a random direction, slightly clouded, with fine grain."""
    rng = np.random.default_rng(seed)
    first, second = (np.array(_PAPERS[index], np.float32) for index in rng.choice(len(_PAPERS), 2, replace=False))
    angle = rng.uniform(0, 2 * np.pi)
    across, down = (np.linspace(-0.5, 0.5, steps, dtype=np.float32) / np.sqrt(2, dtype=np.float32) for steps in (frame.width, frame.height))
    ramp = 0.5 + np.float32(np.cos(angle)) * across[None, :, None] + np.float32(np.sin(angle)) * down[:, None, None]
    grains = rng.standard_normal((frame.height, frame.width, 1), np.float32) * np.float32(grain)
    pixels: Pixels = first + (second - first) * ramp + (_clouds(rng, frame) + grains)
    return pixels


def _clouds(rng: np.random.Generator, frame: Frame) -> Pixels:
    """Soft light and dark spots of a few grey levels."""
    coarse = Image.fromarray(rng.standard_normal((5, 5), np.float32) * np.float32(4))
    return np.asarray(coarse.resize((frame.width, frame.height), Image.Resampling.BICUBIC), dtype=np.float32)[..., None]
