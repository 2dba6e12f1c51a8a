"""A prediction draws itself, saves itself, and shows itself where a notebook looks for it; IPython itself is asked."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.engine.prediction.prediction import NOTEBOOK_SIDE, Prediction, Predictions
from cmirnet_cli.errors import UsageError
from cmirnet_cli.images.palette import BLUE, ORANGE

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
MASK = np.zeros((30, 40), bool)
MASK[5:20, 8:30] = True


def prediction(expression: str = "the red cup", image: np.ndarray = IMAGE, mask: np.ndarray = MASK) -> Prediction:
    return Prediction(expression, 0.8125, mask, image)


def test_an_overlay_marks_the_mask_and_a_cutout_keeps_nothing_else():
    assert (np.asarray(prediction().overlay())[5, 8:30] == ORANGE).all()
    assert (np.asarray(prediction().overlay(BLUE))[5, 8:30] == BLUE).all()
    cut = np.asarray(prediction().cutout())
    assert np.array_equal(cut[MASK][:, :3], IMAGE[MASK])
    assert not cut[~MASK].any()


@pytest.mark.parametrize("name", ["mask.png", "folder/mask.PNG"])
def test_a_saved_mask_is_read_again(tmp_path: Path, name: str):
    prediction().save(tmp_path / name)
    assert np.array_equal(np.asarray(Image.open(tmp_path / name)), MASK * 255)


@pytest.mark.parametrize("name", ["mask.jpg", "mask"])
def test_a_format_that_loses_parts_of_the_mask_is_refused(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match="saved as PNG"):
        prediction().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_the_overlay_and_a_large_one_smaller():
    formatters = pytest.importorskip("IPython.core.formatters", reason="ipython is not installed; it is one of the dev extras")
    shown = formatters.PNGFormatter()(prediction())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), np.asarray(prediction().overlay()))
    large = prediction(image=np.zeros((900, 1800, 3), np.uint8), mask=np.zeros((900, 1800), bool))
    assert Image.open(io.BytesIO(large._repr_png_())).size == (NOTEBOOK_SIDE, NOTEBOOK_SIDE // 2)


def test_a_list_is_a_row_of_pictures_and_text_in_it_stays_text():
    formatters = pytest.importorskip("IPython.core.formatters", reason="ipython is not installed; it is one of the dev extras")
    several = Predictions([prediction(), prediction("<script>alert(1)</script>", mask=~MASK & MASK)])
    html = formatters.HTMLFormatter()(several)
    assert html.count("<img") == html.count("data:image/png;base64,") == 2
    assert "the red cup, score 81 %" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, nothing found" in html
    assert "<script" not in html


def test_printed_it_says_what_it_is_and_no_pixels():
    assert repr(prediction()) == "Prediction(expression='the red cup', score=0.8125, known=True)"
