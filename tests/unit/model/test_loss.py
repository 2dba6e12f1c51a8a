"""The published loss, against a loop over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cmirnet_cli.model.features import Logits
from cmirnet_cli.model.loss import SegmentationLoss

WEIGHTS = (0.9, 1.1)


@pytest.fixture
def heads() -> list[torch.Tensor]:
    return list(torch.randn(3, 2, 2, 4, 5, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def target() -> torch.Tensor:
    labels = torch.randint(0, 2, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    labels[0, 0, :3] = 255
    return labels


def loop_over_pixels(head: torch.Tensor, target: torch.Tensor) -> float:
    total = weight = 0.0
    for row, y, x in np.ndindex(*target.shape):
        label = int(target[row, y, x])
        if label != 255:
            background, referent = head[row, :, y, x].tolist()
            chosen = (background, referent)[label]
            total += WEIGHTS[label] * (math.log(math.exp(background) + math.exp(referent)) - chosen)
            weight += WEIGHTS[label]
    return total / weight


def test_loss_is_the_weighted_mean_over_labelled_pixels_averaged_over_the_heads(heads: list[torch.Tensor], target: torch.Tensor):
    expected = np.mean([loop_over_pixels(head, target) for head in heads])
    assert SegmentationLoss(WEIGHTS)(Logits(heads[0], heads[1:]), target).item() == pytest.approx(expected, rel=1e-6)


def test_logits_under_an_ignored_label_do_not_change_the_loss(heads: list[torch.Tensor], target: torch.Tensor):
    loss = SegmentationLoss(WEIGHTS)
    other = [torch.where((target == 255)[:, None], 100.0, head) for head in heads]
    assert loss(Logits(other[0], other[1:]), target) == loss(Logits(heads[0], heads[1:]), target)


def test_half_precision_logits_are_judged_in_full_precision(heads: list[torch.Tensor], target: torch.Tensor):
    halves = [head.bfloat16() for head in heads]
    fulls = [half.float() for half in halves]
    loss = SegmentationLoss(WEIGHTS)
    assert loss(Logits(halves[0], halves[1:]), target) == loss(Logits(fulls[0], fulls[1:]), target)


def test_loss_adds_nothing_to_a_checkpoint():
    assert SegmentationLoss(WEIGHTS).state_dict() == {}


def test_losses_of_pieces_that_share_the_weight_of_the_whole_add_up_to_its_loss(heads: list[torch.Tensor], target: torch.Tensor):
    loss = SegmentationLoss(WEIGHTS)
    whole = loss(Logits(heads[0], heads[1:]), target)
    pieces = [
        loss(Logits(heads[0][row], [head[row] for head in heads[1:]]), target[row], loss.weight(target))
        for row in (slice(0, 1), slice(1, 2))
    ]
    assert sum(pieces).item() == pytest.approx(whole.item(), rel=1e-6)


def test_weight_of_a_target_counts_every_labelled_pixel_by_its_class(target: torch.Tensor):
    by_hand = sum(WEIGHTS[label] for label in target.flatten().tolist() if label != 255)
    assert SegmentationLoss(WEIGHTS).weight(target).item() == pytest.approx(by_hand, rel=1e-7)
