"""Scenes with what is said about them; in memory too, where there is no photograph to ask about."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.refer.scenes.expressions import refer, refer_exactly
from cmirnet_cli.refer.scenes.picture import PHOTOGRAPH_GRAIN, paint
from cmirnet_cli.refer.scenes.world import Frame, Scene, Thing, compose


def described_scene(rng: Random, sentences: Sequence[int] | None) -> tuple[Scene, dict[Thing, tuple[str, ...]]]:
    """A scene with referents; how many sentences each of them has may be given."""
    while True:
        scene = compose(rng)
        referents = refer(scene.things, rng) if sentences is None else refer_exactly(scene.things, sentences, rng)
        if referents:
            return scene, referents


def drawn_questions(count: int, size: int) -> list[tuple[NDArray[np.uint8], str]]:
    """So many scenes, uint8 (size, size, 3), each with a sentence about one of its things; always the same ones."""
    return [_question(Random(f"question/{number}"), Frame(size, size)) for number in range(count)]


def _question(rng: Random, frame: Frame) -> tuple[NDArray[np.uint8], str]:
    scene, referents = described_scene(rng, None)
    return np.asarray(paint(scene, frame, PHOTOGRAPH_GRAIN)), next(iter(referents.values()))[0]
