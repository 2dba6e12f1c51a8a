"""One optimiser step as published: optimiser, schedule, and the loss on a batch that may be cut into pieces and spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
from accelerate import Accelerator
from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cmirnet_cli.batches.batch import Batch, normalise
from cmirnet_cli.config import OptimizerConfig, ScheduleConfig, Settings
from cmirnet_cli.engine.training.checkpoints import TrainingState
from cmirnet_cli.errors import ConfigError, did_you_mean, first_line
from cmirnet_cli.model.loss import SegmentationLoss
from cmirnet_cli.model.referring import ReferringModel

FUSED = ("adam", "adamw")
"""Optimisers that PyTorch also has in a form which computes the same in one pass over all parameters."""


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """The optimiser of everything that is trained. Published: AdamW with one weight decay on all of it; default betas and eps.

    Raises:
        ConfigError: timm has no such optimiser, or it does not take these options.
    """
    require_optimizer(config.name)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    grouped = config.layer_decay is not None or not config.decay_all
    options = ({"fused": True} if config.name in FUSED else {}) | config.options
    try:
        optimizer: Optimizer = create_optimizer_v2(
            model if grouped else trained,
            opt=config.name,
            lr=config.lr,
            weight_decay=config.weight_decay,
            filter_bias_and_bn=not config.decay_all,
            layer_decay=config.layer_decay,
            **options,
        )
    except (TypeError, ValueError, AssertionError, ImportError, RuntimeError) as problem:
        raise ConfigError(f"the optimiser {config.name} cannot be made: {first_line(problem)}", hint="see optimizer.options") from problem
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("lr_scale", 1)  # so that every schedule scales it, timm's or not
    return optimizer


def require_optimizer(name: str) -> None:
    """Refuse an optimiser that timm does not have, or that needs more than gradients.

    Raises:
        ConfigError: the hint names the nearest one.
    """
    known = list_optimizers()
    if name not in known:
        raise ConfigError(f"timm has no optimiser {name!r}", hint=did_you_mean(name, known))
    if get_optimizer_info(name).second_order:
        raise ConfigError(f"the optimiser {name} needs second derivatives, which training does not compute", hint="choose another one")


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


class Schedule:
    """The learning rate of every step, to be stepped once after every optimiser step, also after one that fp16's scaler skipped.

    Args:
        optimizer: whose learning rate is set.
        set_rate: sets it for the step after so many.
        taken: steps that an optimiser, whose state was loaded, has taken already.
    """

    def __init__(self, optimizer: Optimizer, set_rate: Callable[[int], object], taken: int) -> None:
        self._optimizer, self._set_rate, self._taken = optimizer, set_rate, taken
        set_rate(taken)

    def step(self) -> None:
        """Advance by one step."""
        self._taken += 1
        self._set_rate(self._taken)

    @property
    def lr(self) -> float:
        """The learning rate of the next step: with layer decay that of the layers which learn fastest."""
        return max(float(group["lr"]) for group in self._optimizer.param_groups)


def make_schedule(optimizer: Optimizer, config: ScheduleConfig, steps_per_epoch: int, taken: int = 0) -> Schedule:
    """The published schedule, or the one of timm's that the settings name: a pure function of the step, so it follows a run that grows.

    Args:
        optimizer: whose learning rate it sets.
        config: the curve.
        steps_per_epoch: the curve's unit.
        taken: steps that an optimiser, whose state was loaded, has taken already.

    Raises:
        ConfigError: timm's schedule does not take these options.
    """
    if config.name == "published":
        return Schedule(optimizer, _published_rates(optimizer, learning_rate_factor(config, steps_per_epoch)), taken)
    updates = {"step_on_epochs": False, "updates_per_epoch": steps_per_epoch}
    try:
        schedule, _ = create_scheduler_v2(optimizer, config.name, num_epochs=config.epochs, **updates, **config.options)
        schedule.step_update(0)  # some options fail only when they are used
    except (TypeError, ValueError, AssertionError, ArithmeticError) as problem:
        raise ConfigError(f"the schedule {config.name} cannot be made: {first_line(problem)}", hint="see schedule.options") from problem
    return Schedule(optimizer, schedule.step_update, taken)


def _published_rates(optimizer: Optimizer, factor: Callable[[int], float]) -> Callable[[int], None]:
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])

    def set_rate(step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor(step)

    return set_rate


class Stepper:
    """Model, loss, optimiser and schedule, driven one step at a time.

    However a batch is cut, its gradient is that of the whole: the pieces share one divisor. What differs is batch norm, which
    sees one piece at a time.

    Args:
        model: what is trained, on its device after construction.
        settings: the recipe.
        steps_per_epoch: optimiser steps of one epoch, for the schedule.
        accelerator: devices, precision, processes.
    """

    def __init__(self, model: ReferringModel, settings: Settings, steps_per_epoch: int, accelerator: Accelerator) -> None:
        self.taken = 0
        self._module = model
        self._averaged: AveragedModel | None = None
        self._settings, self._steps_per_epoch, self._accelerator = settings, steps_per_epoch, accelerator
        loss = settings.loss
        self._loss = SegmentationLoss(loss.class_weights, loss.terms, loss.head_weights).to(accelerator.device)
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(model, settings.optimizer)
        self._model, self._optimizer = accelerator.prepare(model, optimizer)
        self._schedule = make_schedule(optimizer, settings.schedule, steps_per_epoch)
        if settings.loop.ema_decay is not None:
            self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.loop.ema_decay))  # type: ignore[no-untyped-call]

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self._schedule.lr

    @property
    def result(self) -> ReferringModel:
        """The model that is validated and kept: the average where there is one, else the trained one."""
        return self._module if self._averaged is None else cast(ReferringModel, self._averaged.module)

    def train(self) -> None:
        """Switch to training."""
        self._model.train()

    def gradients(self, pieces: Sequence[Batch]) -> Tensor:
        """Compute the gradients of a batch from this process's pieces of it; its share of the batch's loss, a scalar."""
        targets = [piece.target.to(self._accelerator.device, non_blocking=True).long() for piece in pieces]
        divisors = torch.stack([torch.stack([self._loss.weight(target), self._loss.rows(target)]) for target in targets]).sum(dim=0)
        weight, rows = self._accelerator.reduce(divisors, reduction="sum")
        losses = []
        for piece, target in zip(pieces, targets, strict=True):
            with nullcontext() if target is targets[-1] else self._accelerator.no_sync(self._model):
                loss = self._loss(self._logits(piece), target, weight, rows)
                self._accelerator.backward(loss * self._accelerator.num_processes)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def update(self) -> None:
        """Take the step that the gradients ask for."""
        if self._settings.loop.clip_norm is not None:
            self._accelerator.clip_grad_norm_(self._trained, self._settings.loop.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()
        self.taken += 1
        if self._averaged is not None:
            self._averaged.update_parameters(self._module)

    def share_statistics(self) -> None:
        """Give every process the batch norms' running statistics of the first, whose weights are the ones that are kept."""
        if self._accelerator.num_processes > 1:
            for buffer in self.result.buffers():
                torch.distributed.broadcast(buffer, 0)

    def state(self) -> dict[str, Any]:
        """The part of a `TrainingState` that belongs here."""
        scaler = self._accelerator.scaler
        return {
            "step": self.taken,
            "optimizer": self._optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "averaged": None if self._averaged is None else self._averaged.state_dict(),
        }

    def restore(self, state: TrainingState) -> None:
        """Continue from a checkpoint."""
        self.taken = state.step
        self._optimizer.load_state_dict(state.optimizer)
        self._schedule = make_schedule(self._optimizer.optimizer, self._settings.schedule, self._steps_per_epoch, taken=state.step)
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state.scaler)
        if self._averaged is not None:
            self._averaged.load_state_dict(cast(Mapping[str, Any], state.averaged))

    def _logits(self, piece: Batch) -> Any:
        device = self._accelerator.device
        image = normalise(piece.image.to(device, non_blocking=True))
        tokens, words = piece.tokens.to(device), None if piece.words is None else piece.words.to(device, non_blocking=True)
        return self._model(image, tokens.ids, tokens.keep, words)
