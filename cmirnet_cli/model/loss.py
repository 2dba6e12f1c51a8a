"""The published loss: weighted cross-entropy on every head, averaged over the heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.config.published import IGNORED
from cmirnet_cli.model.features import Logits

BACKGROUND, REFERENT = 0, 1
"""The labels of a target, beside `IGNORED`."""


class SegmentationLoss(nn.Module):
    """Cross-entropy with class weights (weighted mean over the pixels not labelled 255), the same for every head.

    A batch that is computed in pieces has the loss of the whole when each piece is given the whole's `weight`, and the losses of
    the pieces are added up.

    Args:
        class_weights: of background and referent; published (0.9, 1.1).
    """

    weights: Tensor

    def __init__(self, class_weights: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The scalar loss, in fp32.

        Args:
            logits: of all heads, each (B, 2, H, W).
            target: int64 (B, H, W) with labels 0, 1 and 255 (ignored).
            weight: what the weighted sum over the pixels is divided by; by default the weight of `target`.
        """
        heads = [logits.main, *logits.auxiliary]
        sums = [F.cross_entropy(head.float(), target, self.weights, ignore_index=IGNORED, reduction="sum") for head in heads]
        return torch.stack(sums).mean() / (self.weight(target) if weight is None else weight)

    def weight(self, target: Tensor) -> Tensor:
        """The sum of the class weights over all labelled pixels of a target (B, H, W), a scalar."""
        pixels = torch.stack([(target == label).sum() for label in (BACKGROUND, REFERENT)])
        return (self.weights * pixels).sum()
