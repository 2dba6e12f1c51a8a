"""The training loop: published loss, optimiser and schedule over the batches of a cache, validated on every sentence of val."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from cmirnet_cli.batches.batch import Batch
from cmirnet_cli.batches.sets import Collate, EvaluationSet, TrainingSet, training_batches
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.evaluation import Judge, evaluate
from cmirnet_cli.engine.recipe import make_optimizer, make_schedule
from cmirnet_cli.engine.run_directory import EpochReport, RunDirectory, StepReport
from cmirnet_cli.errors import CmirnetError, DataError, UsageError
from cmirnet_cli.metrics.scored import summarise
from cmirnet_cli.metrics.scores import Scores
from cmirnet_cli.model.loss import SegmentationLoss
from cmirnet_cli.weights.bundle import Bundle, save_bundle

TRAIN_SPLIT, VALIDATION_SPLIT = "train", "val"


class Listener(Protocol):
    """Hears how the training goes, to show it to somebody."""

    def step(self, report: StepReport) -> None:
        """An optimiser step was taken."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch ended."""


@dataclass(frozen=True)
class Trial:
    """What one step showed: its loss, its time, the hours all epochs would take (validation aside), memory at its peak."""

    loss: float
    seconds_a_step: float
    hours_in_all: float
    steps_an_epoch: int
    parameters: int
    trained_parameters: int
    peak_memory_gib: float


@dataclass
class Stopwatch:
    """Splits the time of a step into waiting for data and computing."""

    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0

    def data_arrived(self) -> None:
        """The batch is here."""
        self.waited = time.perf_counter() - self.started

    def lap(self) -> tuple[float, float]:
        """Seconds since the last lap and the share of them spent waiting; starts the next lap."""
        now = time.perf_counter()
        seconds, waited = now - self.started, self.waited
        self.started, self.waited = now, 0.0
        return seconds, waited / seconds


class Trainer:
    """One training run on one device.

    Args:
        bundle: the model to train, its tokenizer and what describes them.
        settings: the whole recipe.
        cache: prepared data with the splits `train` and `val`.
        device: where to run.

    Raises:
        DataError: a split is missing, holds less than one batch, or was not prepared at the sizes the recipe needs.
        UsageError: the precision is not to be had on the device.
    """

    def __init__(self, bundle: Bundle, settings: Settings, cache: Cache, device: torch.device) -> None:
        _check_splits(cache, settings)
        _check_sizes(cache, settings)
        self.bundle, self.settings, self.cache = bundle, settings, cache
        self.accelerator = _accelerator(settings, device)
        self.collate = Collate(bundle.tokenizer, settings.text.tokens)
        self.steps_per_epoch = len(cache.referents(TRAIN_SPLIT)) // settings.loop.batch_size
        self.loss = SegmentationLoss(settings.loss.class_weights).to(self.accelerator.device)
        optimizer = make_optimizer(bundle.model, settings.optimizer)
        self.schedule = make_schedule(optimizer, settings.schedule, self.steps_per_epoch)
        self.model, self.optimizer = self.accelerator.prepare(bundle.model, optimizer)
        self.best = -math.inf

    def run(self, directory: RunDirectory, listener: Listener) -> list[EpochReport]:
        """Train all epochs; writes metrics, `weights/last` after every epoch and `weights/best` whenever validation improves.

        Raises:
            CmirnetError: the loss is no longer a number.
        """
        history: list[EpochReport] = []
        for epoch in range(self.settings.schedule.epochs):
            started = time.perf_counter()
            losses = []
            for step in self._epoch(epoch):
                losses.append(step.loss)
                directory.record_step(step)
                listener.step(step)
            scores = self._validate() if self._validates(epoch) else None
            report = self._epoch_report(epoch, losses, scores, time.perf_counter() - started)
            self._save(directory, best=report.best)
            directory.record_epoch(report)
            listener.epoch(report)
            history.append(report)
        return history

    def try_one_step(self) -> Trial:
        """Take one step of the first epoch, to see that everything fits and what it will cost."""
        started = time.perf_counter()
        report = next(self._epoch(0))
        seconds = time.perf_counter() - started
        parameters = [parameter.numel() for parameter in self.bundle.model.parameters()]
        trained = [parameter.numel() for parameter in self.bundle.model.parameters() if parameter.requires_grad]
        hours = seconds * self.steps_per_epoch * self.settings.schedule.epochs / 3600
        return Trial(
            report.loss, seconds, hours, self.steps_per_epoch, sum(parameters), sum(trained), _peak_memory(self.accelerator.device)
        )

    def _epoch(self, epoch: int) -> Iterator[StepReport]:
        """The optimiser steps of an epoch, one report each."""
        self.model.train()
        samples = TrainingSet(self.cache, TRAIN_SPLIT, self.settings.data, seed=self.settings.loop.seed, epoch=epoch)
        watch = Stopwatch()
        for number, batch in enumerate(training_batches(samples, self.collate, self.settings.loop.batch_size), start=1):
            watch.data_arrived()
            loss = self._step(batch)
            seconds, waited = watch.lap()
            step = epoch * self.steps_per_epoch + number
            yield StepReport(epoch + 1, step, loss, self._lr, len(batch) / seconds, waited)

    def _step(self, batch: Batch) -> float:
        """One optimiser step; the batch's loss."""
        loss = self._loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise CmirnetError(
                f"the loss is {value} on the batch with the sentences {', '.join(map(str, batch.sent_ids))}",
                hint="lower --lr, or use a wider precision (fp32, bf16)",
            )
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        return value

    def _loss(self, batch: Batch) -> Tensor:
        device = self.accelerator.device
        image = normalise(batch.image.to(device, non_blocking=True))
        logits = self.model(image, batch.tokens.ids.to(device), batch.tokens.keep.to(device))
        loss: Tensor = self.loss(logits, batch.target.to(device).long())
        return loss

    @property
    def _lr(self) -> float:
        return float(self.schedule.get_last_lr()[0])

    def _validates(self, epoch: int) -> bool:
        return (epoch + 1) % self.settings.loop.validate_every == 0 or epoch + 1 == self.settings.schedule.epochs

    def _validate(self) -> Scores:
        judge = Judge(self.bundle.model, self.bundle.tokenizer, self.settings.text.tokens, self.accelerator.device)
        samples = EvaluationSet(self.cache, VALIDATION_SPLIT, self.settings.data.image_size)
        return summarise(evaluate(judge, samples, ["paper"]), "paper")

    def _epoch_report(self, epoch: int, losses: list[float], scores: Scores | None, seconds: float) -> EpochReport:
        selected = -math.inf if scores is None else getattr(scores, self.settings.loop.select)
        best = selected > self.best
        self.best = max(self.best, selected)
        return EpochReport(
            epoch=epoch + 1,
            loss=math.fsum(losses) / len(losses),
            lr=self._lr,
            seconds=seconds,
            overall_iou=scores.overall_iou if scores else None,
            mean_iou=scores.mean_iou if scores else None,
            best=best,
        )

    def _save(self, directory: RunDirectory, *, best: bool) -> None:
        save_bundle(self.bundle, directory.weights / "last")
        if best:
            save_bundle(self.bundle, directory.weights / "best")


def _check_splits(cache: Cache, settings: Settings) -> None:
    missing = [split for split in (TRAIN_SPLIT, VALIDATION_SPLIT) if split not in cache.splits]
    if missing:
        raise DataError(f"the cache has no split {missing[0]!r}, only {', '.join(cache.splits)}", hint="training needs train and val")
    referents = len(cache.referents(TRAIN_SPLIT))
    if referents < settings.loop.batch_size:
        raise DataError(
            f"the train split has {referents} referents, fewer than one batch of {settings.loop.batch_size}", hint="lower --batch-size"
        )


def _check_sizes(cache: Cache, settings: Settings) -> None:
    """A decoded cache can only give the sizes it was prepared for: one to train at, one to validate at."""
    options = cache.manifest.options
    needed = sorted({settings.data.image_size, settings.data.resize})
    missing = [size for size in needed if size not in options.sizes]
    if missing and options.store == "decoded":
        again = " ".join(f"--size {size}" for size in needed)
        raise DataError(
            f"{cache.folder} holds {', '.join(map(str, options.sizes))} px; the recipe also needs {', '.join(map(str, missing))} px",
            hint=f"prepare it again with {again} --overwrite",
        )


def _peak_memory(device: torch.device) -> float:
    """GiB: of the GPU where there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _accelerator(settings: Settings, device: torch.device) -> Accelerator:
    precision = settings.loop.precision
    if precision == "fp16" and device.type != "cuda":
        raise UsageError(f"fp16 needs a CUDA device, not {device}", hint="use --set loop.precision=bf16 or fp32")
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no" if precision == "fp32" else precision)
