"""The picture at the top of README.md: scenes of the demo's test split, with the masks that the demo's weights find in them.

Run it after `cmirnet demo`: python -m tools.picture
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

from cmirnet_cli import Segmenter
from cmirnet_cli.images.drawing import EXPRESSION_COLOURS, overlays
from cmirnet_cli.images.palette import INK, WHITE
from cmirnet_cli.images.pixels import Pixels
from cmirnet_cli.scenes import drawn_scene

SIDE, GAP, LINE = 320, 14, 26
"""Pixels: a scene, the space between two, a line of text."""
TARGET = Path(__file__).resolve().parents[1] / "docs" / "demo.webp"


def draw(segmenter: Segmenter, numbers: list[int]) -> Image.Image:
    """The scenes side by side, each above the expressions about it; a mask has the colour of the square before its expression."""
    scenes = [drawn_scene(Random(f"0/test/{number}"), SIDE) for number in numbers]
    lines = max(len(expressions) for _, expressions in scenes)
    picture = Image.new("RGB", (len(scenes) * (SIDE + GAP) - GAP, SIDE + GAP + lines * LINE), WHITE)
    for place, (pixels, expressions) in enumerate(scenes):
        _draw_scene(picture, place * (SIDE + GAP), segmenter, pixels, expressions)
    return picture


def _draw_scene(picture: Image.Image, left: int, segmenter: Segmenter, pixels: Pixels, expressions: list[str]) -> None:
    masks = [prediction.mask for prediction in segmenter.predict(np.asarray(pixels), expressions)]
    picture.paste(overlays(pixels, masks), (left, 0))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    for line, (expression, colour) in enumerate(zip(expressions, EXPRESSION_COLOURS, strict=False)):
        top = SIDE + GAP + line * LINE
        pen.rectangle((left, top + 3, left + 14, top + 17), fill=colour, outline=INK)
        pen.text((left + 22, top), expression, fill=INK, font=font)


def main(
    weights: Annotated[Path, typer.Argument(help="The run of a demo.")] = Path("demo/run"),
    number: Annotated[list[int], typer.Option(help="Which test scenes.")] = [3, 4, 5],  # noqa: B006
) -> None:
    """Draw the picture and write it to docs/demo.webp."""
    draw(Segmenter.from_pretrained(str(weights), device="cpu"), number).save(TARGET, quality=85)


if __name__ == "__main__":
    typer.run(main)
