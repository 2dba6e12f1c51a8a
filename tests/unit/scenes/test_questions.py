"""Scenes to ask about, in memory."""

from __future__ import annotations

import numpy as np

from cmirnet_cli.scenes import drawn_questions


def test_drawn_questions_are_always_the_same_and_differ_from_each_other():
    first, second = drawn_questions(3, 96), drawn_questions(3, 96)
    assert [pixels.shape for pixels, _ in first] == [(96, 96, 3)] * 3
    assert [text for _, text in first] == [text for _, text in second]
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))
    assert len({text for _, text in first}) == len({pixels.tobytes() for pixels, _ in first}) == 3
