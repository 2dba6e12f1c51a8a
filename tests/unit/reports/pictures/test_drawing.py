"""Text is wrapped so that every line fits."""

from __future__ import annotations

import numpy as np
import pytest

from cmirnet_cli.reports.pictures.drawing import rounded, text_width, wrapped

LONG = "the small blue square that lies to the left of the large red circle and above the green star"


@pytest.mark.parametrize("width", [60, 100, 220])
def test_no_line_is_wider_than_allowed_and_no_word_is_lost(width: int) -> None:
    lines = wrapped(LONG, 15, width, 30)

    assert all(text_width(line, 15) <= width for line in lines)
    assert " ".join(lines) == LONG


def test_too_long_a_text_ends_in_an_ellipsis_within_the_width() -> None:
    lines = wrapped(LONG, 15, 120, 2)

    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert text_width(lines[-1], 15) <= 120


@pytest.mark.parametrize("text", ["x" * 100, "x" * 5_000_000, "红色的杯子" * 30])
def test_a_word_longer_than_a_line_is_broken(text: str) -> None:
    lines = wrapped(text, 15, 100, 3)

    assert len(lines) == 3
    assert all(text_width(line, 15) <= 100 for line in lines)


def test_white_space_is_one_space_and_accents_are_left_off() -> None:
    assert wrapped("  le\tcafé\n à  gauche ", 15, 400, 2) == ["le cafe a gauche"]


def test_an_empty_text_has_no_lines() -> None:
    assert wrapped(" \n ", 15, 100, 3) == []


def test_round_corners_are_open_and_smooth_and_the_middle_is_full() -> None:
    mask = np.asarray(rounded((30, 20), 6))

    assert mask.shape == (20, 30)
    assert mask[0, 0] == mask[-1, -1] == 0
    assert mask[10, 15] == mask[0, 15] == 255
    assert ((mask > 0) & (mask < 255)).any()
