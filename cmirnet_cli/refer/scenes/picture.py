"""A scene as an image: soft coloured paper, and shapes that lie on it with smooth edges and a faint shadow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cmirnet_cli.refer.scenes.world import Color, Frame, Scene, Thing

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


def paint(scene: Scene, frame: Frame, grain: float = PAPER_GRAIN) -> Image.Image:
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
