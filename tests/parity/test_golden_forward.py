"""Every head and every inner output of a forward pass, against the official code's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"
TOLERANCE = 1e-3
"""Of a tensor's standard deviation, as the golden files' own README sets it."""


def named(prefix: str, suffix: str = "") -> list[tuple[str, str]]:
    """(case, name) of every golden entry with this prefix and suffix."""
    return [
        (case, key.removeprefix(prefix).removesuffix(suffix))
        for case in ("swin-b-224", "resnet50-224")
        for key in np.load(FIXTURES / f"{case}.npz").files
        if key.startswith(prefix) and key.endswith(suffix)
    ]


@pytest.mark.parametrize(("case", "name"), named("act.", ".sample"))
def test_inner_output_is_the_official_one(run: Callable, case: str, name: str):
    golden, ours = run(case).golden, run(case).outputs[name]
    mean, std = golden[f"act.{name}.mean_std"]
    assert ours.shape == tuple(golden[f"act.{name}.shape"])
    assert np.abs(ours.sample - golden[f"act.{name}.sample"]).max() <= TOLERANCE * std
    assert ours.mean == pytest.approx(mean, abs=TOLERANCE * std)
    assert ours.std == pytest.approx(std, rel=TOLERANCE)


@pytest.mark.parametrize(("case", "head"), named("logits."))
def test_logits_of_a_head_are_the_official_ones(run: Callable, case: str, head: str):
    expected = run(case).golden[f"logits.{head}"]
    assert np.abs(run(case).heads[head][:, :, ::8, ::8].numpy() - expected).max() <= TOLERANCE * expected.std()


@pytest.mark.parametrize(("case", "head"), named("mask."))
def test_mask_of_a_head_is_the_official_one_on_more_than_999_pixels_of_a_thousand(run: Callable, case: str, head: str):
    ours = np.packbits(run(case).heads[head].argmax(dim=1).numpy().astype(bool))
    differing = np.unpackbits(ours ^ run(case).golden[f"mask.{head}"]).mean()
    assert differing < 1e-3
