"""The published loss, against a loop over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.features import Logits
from cmirnet_cli.model.loss import SegmentationLoss, dice, focal

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


def probabilities(head: torch.Tensor) -> np.ndarray:
    scores = np.exp(head.numpy().astype(np.float64))
    return scores[:, 1] / scores.sum(axis=1)


def test_dice_is_the_overlap_of_probabilities_and_mask(heads: list[torch.Tensor], target: torch.Tensor):
    labels, by_hand = target.numpy(), []
    for probability, label in zip(probabilities(heads[0]), labels, strict=True):
        known = label != 255
        p, t = probability[known], label[known].astype(float)
        by_hand.append(1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
    np.testing.assert_allclose(dice(heads[0], target), by_hand, rtol=1e-5)


def test_focal_is_torchvisions(heads: list[torch.Tensor], target: torch.Tensor):
    for head, labels in zip(heads[0], target, strict=True):
        known = labels != 255
        margin, right = (head[1] - head[0])[known], labels[known].float()
        expected = sigmoid_focal_loss(margin, right, alpha=-1, gamma=2, reduction="mean")
        torch.testing.assert_close(focal(head[None], labels[None])[0], expected, rtol=1e-5, atol=1e-7)


def squared(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A term of one's own."""
    return ((torch.softmax(logits, dim=1)[:, 1] - (target == 1).float()) ** 2).mean(dim=(1, 2))


def scalar(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return logits.mean()


OWN = f"{__name__}:squared"


def nothing(logits: torch.Tensor, target: torch.Tensor) -> None:
    return None


def errors(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (logits.argmax(dim=1) != target).float().mean(dim=(1, 2))


def test_terms_are_added_up_by_weight(heads: list[torch.Tensor], target: torch.Tensor):
    logits = Logits(heads[0], heads[1:])
    parts = {name: SegmentationLoss(WEIGHTS, {name: 1.0})(logits, target) for name in ("cross_entropy", "dice", "focal", OWN)}
    both = SegmentationLoss(WEIGHTS, {"cross_entropy": 1.0, "dice": 0.5, "focal": 2.0, OWN: 3.0})(logits, target)
    expected = parts["cross_entropy"] + 0.5 * parts["dice"] + 2 * parts["focal"] + 3 * parts[OWN]
    torch.testing.assert_close(both, expected)
    torch.testing.assert_close(parts["dice"], torch.stack([dice(head, target).mean() for head in heads]).mean())


def test_pieces_of_a_batch_add_up_to_its_loss_whatever_its_terms_are(heads: list[torch.Tensor], target: torch.Tensor):
    """The last row of the third piece is there to fill up the batch: it has no label."""
    heads = [torch.cat([head, head.flip(0)]) for head in heads]
    target = torch.cat([target, torch.where(torch.arange(2)[:, None, None] == 1, 255, target)])
    loss = SegmentationLoss(WEIGHTS, {"cross_entropy": 1.0, "dice": 1.0, OWN: 1.0})
    whole = loss(Logits(heads[0][:3], [head[:3] for head in heads[1:]]), target[:3])
    pieces = [
        loss(Logits(heads[0][row], [head[row] for head in heads[1:]]), target[row], loss.weight(target), loss.rows(target))
        for row in (slice(0, 1), slice(1, 2), slice(2, 4))
    ]
    assert loss.rows(target) == 3
    torch.testing.assert_close(torch.stack(pieces).sum(), whole)


def test_heads_are_weighed(heads: list[torch.Tensor], target: torch.Tensor):
    each = [loop_over_pixels(head, target) for head in heads]
    loss = SegmentationLoss(WEIGHTS, head_weights=(4, 1, 0))
    assert loss(Logits(heads[0], heads[1:]), target).item() == pytest.approx((4 * each[0] + each[1]) / 5, rel=1e-6)
    with pytest.raises(ConfigError, match=r"loss\.head_weights has 3 weights, the network has 2 heads"):
        loss(Logits(heads[0], heads[1:2]), target)


def test_a_term_that_is_not_there_or_gives_something_else_is_named(heads: list[torch.Tensor], target: torch.Tensor):
    with pytest.raises(ConfigError, match=r"loss\.terms = nowhere:loss: nowhere cannot be imported"):
        SegmentationLoss(WEIGHTS, {"nowhere:loss": 1.0})
    with pytest.raises(ConfigError, match=f"loss.terms = {__name__}:lost: {__name__} has no function lost"):
        SegmentationLoss(WEIGHTS, {f"{__name__}:lost": 1.0})
    with pytest.raises(ConfigError, match=r"gives the shape \(\) for 2 rows"):
        SegmentationLoss(WEIGHTS, {f"{__name__}:scalar": 1.0})(Logits(heads[0], heads[1:]), target)
    with pytest.raises(ConfigError, match="gives a NoneType for 2 rows"):
        SegmentationLoss(WEIGHTS, {f"{__name__}:nothing": 1.0})(Logits(heads[0], heads[1:]), target)


def test_a_term_without_a_gradient_is_refused_in_training_alone(heads: list[torch.Tensor], target: torch.Tensor):
    loss = SegmentationLoss(WEIGHTS, {"cross_entropy": 1.0, f"{__name__}:errors": 1.0})
    assert loss(Logits(heads[0], []), target) > 0
    with pytest.raises(ConfigError, match=f"{__name__}:errors gives a loss without a gradient"):
        loss(Logits(heads[0].requires_grad_(), []), target)
