"""The published loss: weighted cross-entropy on every head, averaged over the heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.features import Logits

IGNORED_LABEL = 255


class SegmentationLoss(nn.Module):
    """Cross-entropy with class weights (weighted mean over the pixels not labelled 255), the same for every head.

    Args:
        class_weights: of background and referent; published (0.9, 1.1).
    """

    weights: Tensor

    def __init__(self, class_weights: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(class_weights), persistent=False)

    def forward(self, logits: Logits, target: Tensor) -> Tensor:
        """The scalar loss for a target of int64 (B, H, W) with labels 0, 1 and 255 (ignored). Computed in fp32."""
        heads = [logits.main, *logits.auxiliary]
        losses = [F.cross_entropy(head.float(), target, self.weights, ignore_index=IGNORED_LABEL) for head in heads]
        return torch.stack(losses).mean()
