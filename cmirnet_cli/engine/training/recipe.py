"""The published optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cmirnet_cli.config import OptimizerConfig, ScheduleConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW over everything that is trained, one weight decay on all of it; default betas and eps.

    The fused form computes the same in one pass over all parameters.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate_factor(config: ScheduleConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """What the base learning rate is multiplied with once `step` optimiser steps were taken.

    A straight line down for `warm_epochs` (with its end), then `decay_start` times a polynomial that reaches 0 at the end.
    """
    warm = config.warm_epochs * steps_per_epoch
    rest = (config.epochs - config.warm_epochs) * steps_per_epoch

    def factor(step: int) -> float:
        if step <= warm:
            return 1 - config.warm_slope * (step / steps_per_epoch)
        return float(config.decay_start * max(0.0, 1 - (step - warm) / rest) ** config.power)

    return factor


def make_schedule(optimizer: Optimizer, config: ScheduleConfig, steps_per_epoch: int, taken: int = 0) -> LambdaLR:
    """The schedule, to be stepped once after every optimiser step.

    Args:
        optimizer: whose learning rate it sets.
        config: the curve.
        steps_per_epoch: the curve's unit.
        taken: steps that an optimiser, whose state was loaded, has taken already.
    """
    return LambdaLR(optimizer, learning_rate_factor(config, steps_per_epoch), last_epoch=taken - 1)
