"""The loss of the network: terms over the logits of every head.

Legend: B batch, H × W the image, p the probability of class 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.config.published import IGNORED
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.features import Logits
from cmirnet_cli.model.own import imported, own_term

BACKGROUND, REFERENT = 0, 1
"""The labels of a target, beside `IGNORED`."""

Term: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A term of the loss for one head: logits float32 (B, 2, H, W) and a target int64 (B, H, W) to the loss of each row, (B,)."""

CROSS_ENTROPY = "cross_entropy"
"""The published term. It alone is a mean over the pixels of a batch, not over its rows."""


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the Dice coefficient of p and the target over the labelled pixels, with 1 added above and below (Milletari et al., 2016).

    Logits (B, 2, H, W) and target (B, H, W) to (B,).
    """
    labelled, referent = (target != IGNORED).float(), (target == REFERENT).float()
    probability = torch.softmax(logits, dim=1)[:, 1] * labelled
    shared, either = ((probability * referent).sum(dim=(1, 2)), (probability + referent).sum(dim=(1, 2)))
    return 1 - (2 * shared + 1) / (either + 1)


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """The cross-entropy times (1 − probability of the right class)^γ, the mean over the labelled pixels (Lin et al., 2017, without α).

    Logits (B, 2, H, W) and target (B, H, W) to (B,).
    """
    entropy = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    pixels = (target != IGNORED).sum(dim=(1, 2)).clamp(min=1)
    return ((1 - torch.exp(-entropy)) ** gamma * entropy).sum(dim=(1, 2)) / pixels


TERMS: Mapping[str, Term] = MappingProxyType({"dice": dice, "focal": focal})
"""The terms besides the cross-entropy that have a name here."""


def term_of(name: str) -> Term:
    """A term by its name, or the user's own by `package.module:function`.

    Raises:
        ConfigError: there is no such function.
    """
    return TERMS[name] if name in TERMS else partial(own_term, imported(name, "loss.terms"), name)


def _labelled_rows(target: Tensor) -> Tensor:
    return (target != IGNORED).flatten(1).any(dim=1)


class SegmentationLoss(nn.Module):
    """A weighted sum of terms, averaged over the heads. Published: cross-entropy with class weights (weighted mean over the pixels not
    labelled 255), the same for every head.

    A batch that is computed in pieces has the loss of the whole when each piece is given the whole's `weight` and `rows`, and the losses
    of the pieces are added up.

    Args:
        class_weights: of background and referent in the cross-entropy; published (0.9, 1.1).
        terms: name → weight.
        head_weights: of the heads, the finest first; None: all the same, as published.

    Raises:
        ConfigError: there is no such term.
    """

    weights: Tensor

    def __init__(
        self,
        class_weights: tuple[float, float],
        terms: Mapping[str, float] = MappingProxyType({CROSS_ENTROPY: 1.0}),
        head_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(class_weights), persistent=False)
        self.terms, self.head_weights = dict(terms), head_weights
        self._by_row = {name: term_of(name) for name in terms if name != CROSS_ENTROPY}

    def forward(self, logits: Logits, target: Tensor, weight: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """The scalar loss, in fp32.

        Args:
            logits: of all heads, each (B, 2, H, W).
            target: int64 (B, H, W) with labels 0, 1 and 255 (ignored).
            weight: what the cross-entropy's weighted sum over the pixels is divided by; by default the weight of `target`.
            rows: what the other terms' sums over the rows are divided by; by default the rows of `target`.

        Raises:
            ConfigError: there are not as many heads as weights of heads.
        """
        heads = [head.float() for head in (logits.main, *logits.auxiliary)]
        total = torch.zeros((), device=target.device)
        for name, factor in self.terms.items():
            if name == CROSS_ENTROPY:
                sums = [F.cross_entropy(head, target, self.weights, ignore_index=IGNORED, reduction="sum") for head in heads]
                loss = self._over_heads(sums) / (self.weight(target) if weight is None else weight)
            else:
                labelled = _labelled_rows(target)
                sums = [self._by_row[name](head[labelled], target[labelled]).sum() for head in heads]
                loss = self._over_heads(sums) / (self.rows(target) if rows is None else rows)
            total = total + (loss if factor == 1 else factor * loss)
        return total

    def rows(self, target: Tensor) -> Tensor:
        """How many rows of a target (B, H, W) have a label, a scalar; the others fill up the last batch of an epoch."""
        return _labelled_rows(target).sum()

    def weight(self, target: Tensor) -> Tensor:
        """The sum of the class weights over all labelled pixels of a target (B, H, W), a scalar."""
        pixels = torch.stack([(target == label).sum() for label in (BACKGROUND, REFERENT)])
        return (self.weights * pixels).sum()

    def _over_heads(self, losses: Sequence[Tensor]) -> Tensor:
        if self.head_weights is None:
            return torch.stack(list(losses)).mean()
        if len(self.head_weights) != len(losses):
            wrong = f"loss.head_weights has {len(self.head_weights)} weights, the network has {len(losses)} heads"
            raise ConfigError(wrong, hint="give one weight for each head, the finest first, or leave it out")
        weights = torch.tensor(self.head_weights, device=losses[0].device)
        return (weights * torch.stack(list(losses))).sum() / weights.sum()
