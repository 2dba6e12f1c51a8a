"""Interpolation and softmax in NumPy, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cmirnet_cli.export.preprocessing import enlarged, referent_probability


@pytest.mark.parametrize(("height", "width"), [(480, 640), (97, 33), (64, 64), (7, 5), (1, 1), (200, 1)])
def test_enlarged_logits_are_torchs_to_a_hundred_thousandth(height: int, width: int):
    logits = np.random.default_rng(height).standard_normal((2, 64, 64)).astype(np.float32)
    expected = F.interpolate(torch.from_numpy(logits)[None], size=(height, width), mode="bilinear", align_corners=False)[0]
    found = enlarged(logits, height, width)
    assert found.dtype == np.float32
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_a_single_cell_is_the_same_everywhere():
    assert np.array_equal(enlarged(np.full((2, 1, 1), 3, np.float32), 4, 5), np.full((2, 4, 5), 3, np.float32))


def test_the_referents_probability_is_torchs_softmax():
    logits = 30 * np.random.default_rng(0).standard_normal((2, 40, 50)).astype(np.float32)
    expected = torch.softmax(torch.from_numpy(logits), dim=0)[1].numpy()
    assert np.abs(referent_probability(logits) - expected).max() < 1e-6
