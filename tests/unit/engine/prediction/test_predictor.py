"""How photos and expressions are put together to go through at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from cmirnet_cli.engine.prediction.masks import MaskRule
from cmirnet_cli.engine.prediction.predictor import ImageExpressions, predict_batches


class Brightness:
    """Finds the whole photo, as probable as its first pixel is bright, and counts what goes through at once."""

    tokens, expressions_at_once = 20, 4

    def __init__(self, photos_at_once: int) -> None:
        self.photos_at_once = photos_at_once
        self.photos: list[int] = []
        self.rows: list[int] = []

    def unknown(self, expressions: Sequence[str]) -> list[str]:
        return []

    def too_long(self, expressions: Sequence[str]) -> list[str]:
        return []

    def encode_image(self, photos: Sequence[np.ndarray]) -> list[float]:
        self.photos.append(len(photos))
        return [photo.flat[0] / 255 for photo in photos]

    def probabilities(self, views: Sequence[float], expressions: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Iterator[np.ndarray]:
        assert len(views) == len(expressions)
        self.rows.append(len(views))
        yield from (np.full(size, view, np.float32) for view, size in zip(views, sizes, strict=False))


@pytest.mark.parametrize(
    ("photos_at_once", "photos", "rows"),
    [(1, [1] * 5, [4, 2] * 5), (3, [3, 3], [3] * (6 + 4)), (8, [8], [8] * 4)],
)
def test_as_many_photos_and_rows_go_through_each_time_and_answers_stay_in_order(photos_at_once: int, photos: list[int], rows: list[int]):
    predictor = Brightness(photos_at_once)
    expressions = [f"expression {number}" for number in range(6)]
    images = [ImageExpressions(np.full((2 + number, 3, 3), 50 * number, np.uint8), expressions) for number in range(5)]
    predictions = list(predict_batches(predictor, images, MaskRule(threshold=0)))
    assert (predictor.photos, predictor.rows) == (photos, rows)
    assert [each.expression for each in predictions] == expressions * 5
    assert [each.mask.shape for each in predictions] == [(2 + number, 3) for number in range(5) for _ in expressions]
    assert [each.score for each in predictions] == pytest.approx([50 * number / 255 for number in range(5) for _ in expressions])


def test_of_a_thousand_expressions_no_more_than_a_batch_is_computed_ahead():
    predictor = Brightness(1)
    image = ImageExpressions(np.zeros((4, 4, 3), np.uint8), [f"cup {number}" for number in range(1000)])
    predictions = predict_batches(predictor, [image], MaskRule())
    assert next(predictions).expression == "cup 0"
    assert predictor.rows == [4]
    assert sum(1 for _ in predictions) == 999
