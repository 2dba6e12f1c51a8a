"""Sentences with counts, made by chance or by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cmirnet_cli.metrics.sentences import Overlap, SentenceScore

Maker = Callable[..., list[SentenceScore]]


@pytest.fixture
def drawn() -> Maker:
    """`drawn(images, seed)`: one to five sentences of each image, with an image's own difficulty in all of them."""

    def make(images: int, seed: int) -> list[SentenceScore]:
        chance = np.random.default_rng(seed)
        sentences: list[SentenceScore] = []
        for image in range(images):
            ease = chance.random()
            for _ in range(1 + image % 5):
                union = int(chance.integers(0, 1000))
                inside = int(chance.binomial(union, ease))
                sentences.append(SentenceScore(image, len(sentences), f"{image}", "the cup", {"paper": Overlap(inside, union, inside)}))
        return sentences

    return make
