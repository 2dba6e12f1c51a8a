"""The training loop: epochs of optimiser steps over a cache, validated on every sentence of val, resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import Subset

from cmirnet_cli.batches.batch import Batch
from cmirnet_cli.batches.datasets import Collate, EvaluationSet, TrainingSet, training_batches
from cmirnet_cli.batches.loader import Share
from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.devices import make_accelerator, most_held_mib, published_precision, seed_everything
from cmirnet_cli.engine.evaluation.loop import Evaluator, scored_batches
from cmirnet_cli.engine.training.callbacks import Callback, EpochReport, StepReport, StopRequest, stop_requests
from cmirnet_cli.engine.training.checkpoints import Progress, TrainingState, capture_random_state, restore_random_state, save_checkpoint
from cmirnet_cli.engine.training.requirements import (
    TRAIN_SPLIT,
    VALIDATION_SPLIT,
    require_batches,
    require_prepared,
    require_same_data,
    require_same_processes,
    require_same_settings,
)
from cmirnet_cli.engine.training.run_directory import RunDirectory, after_divergence
from cmirnet_cli.engine.training.steps import Stepper
from cmirnet_cli.errors import ConfigError, DivergedError, WeightsError
from cmirnet_cli.metrics.scores import Scores, score
from cmirnet_cli.metrics.sentences import SentenceScore, Tally
from cmirnet_cli.model.compiled import compile_parts, require_compiler
from cmirnet_cli.model.recompute import recompute_activations
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.weights.bundle import Bundle, update_tensors


class Trainer:
    """One training run, in as many processes as a launcher started.

    Args:
        bundle: the model to train, its tokenizer and what describes them.
        settings: the whole recipe; `loop.batch_size` sentences make a step, however many processes share them. The trainer's own
            `settings` name the precision that `auto` stands for.
        cache: prepared data with the splits `train` and `val`.
        device: where to run; with several GPU processes each takes its own.
        features: what the text encoder, which then must be frozen, makes of every sentence; None: it reads them itself.

    Raises:
        DataError: a split is missing, or was not prepared at the sizes the recipe needs.
        ConfigError: a batch cannot be shared by the processes, or batch norm cannot be synchronised here.
        UsageError: the device cannot compute in the precision.
    """

    def __init__(
        self, bundle: Bundle, settings: Settings, cache: Cache, device: torch.device, features: TextFeatures | None = None
    ) -> None:
        if settings.loop.precision == "auto":
            loop = settings.loop.model_copy(update={"precision": published_precision(device)})
            settings = settings.model_copy(update={"loop": loop})
        require_prepared(cache.folder, cache.manifest, settings)
        self.bundle, self.settings, self.cache, self.features = bundle, settings, cache, features
        self.accelerator = make_accelerator(device, settings.loop.precision)
        self.share = Share(self.accelerator.process_index, self.accelerator.num_processes, settings.loop.accumulate)
        self.items = len(self._samples(epoch=0))
        require_batches(self.items, settings, self.share.processes)
        self.steps_per_epoch = math.ceil(self.items / settings.loop.batch_size)
        self.collate = Collate(bundle.tokenizer, settings.text.tokens, features)
        self._adapt(bundle.model)
        self.stepper = Stepper(bundle.model, settings, self.steps_per_epoch, self.accelerator)
        self.progress = Progress()
        self._stop, self._stopping = StopRequest(), False
        self._loading: Iterator[Batch] | None = None
        seed_everything(settings.loop.seed + self.share.process)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that reports and writes."""
        return self.share.process == 0

    @property
    def steps_taken(self) -> int:
        """Optimiser steps of the whole run that are done."""
        return self.stepper.taken

    @property
    def steps_total(self) -> int:
        """Optimiser steps of the whole run."""
        return self.settings.schedule.epochs * self.steps_per_epoch

    def resume(self, state: TrainingState) -> None:
        """Go on from a checkpoint, whose weights `bundle` already has.

        Raises:
            ConfigError: a setting or the number of processes differs.
            DataError: the data differ.
        """
        require_same_settings(Settings.model_validate(state.settings), self.settings)
        require_same_data(state.data, self.cache.folder, self.cache.manifest)
        require_same_processes(len(state.random), self.share.processes)
        self.stepper.restore(state)
        self.progress = state.progress
        restore_random_state(state.random[self.share.process], self.accelerator.device)

    def run(self, directory: RunDirectory, callbacks: Sequence[Callback]) -> None:
        """Train all epochs that are left.

        Writes a checkpoint every so many steps and after every epoch, `weights/last` after every epoch, and `weights/best`
        whenever validation improves. The callbacks of the main process hear of a step before its checkpoint is written, and of an
        epoch after its weights are.

        Raises:
            DivergedError: the loss is no longer a number, and the batch is named in bad-batch.json; or in validation the network gives
                none. The last checkpoint stays.
            StoppedError: Ctrl-C or SIGTERM was received; the state is saved.
        """
        everybody = [directory, *callbacks] if self.is_main else []
        with stop_requests() as self._stop:
            try:
                while not self._stopping and self.progress.epoch < self.settings.schedule.epochs:
                    self._run_epoch(directory, everybody)
            except DivergedError as problem:
                problem.hint = after_divergence(self.settings, directory.folder)
                raise
            finally:
                self._loading = None  # ends the processes that load
        if self._stopping:
            hint = f"continue with: cmirnet train --resume {directory.folder}"
            raise self._stop.answer(f"stopped after step {self.steps_taken}; the state is saved", hint)

    def steps(self) -> Iterator[StepReport]:
        """Take the steps that are left of the epoch under way; ends early after a request to stop.

        Raises:
            DivergedError: the loss is no longer a number.
        """
        self.stepper.train()
        batch_size = self.settings.loop.batch_size
        batches = self._batches()
        started = time.perf_counter()
        while samples := max(0, min(batch_size, self.items - batch_size * len(self.progress.losses))):  # the last batch can be smaller
            pieces = list(islice(batches, self.share.pieces_of(samples)))
            arrived = time.perf_counter()
            loss = self._step(pieces)
            seconds = time.perf_counter() - started
            self.progress.losses.append(loss)
            self.progress.seconds += seconds
            yield StepReport(
                epoch=self.progress.epoch + 1,
                step=self.steps_taken,
                loss=loss,
                lr=self.stepper.lr,
                seconds=seconds,
                samples_per_second=samples / seconds,
                data_wait=(arrived - started) / seconds,
                memory_gib=most_held_mib(self.accelerator.device) / 1024,
            )
            if self._anybody_stops():
                return
            started = time.perf_counter()

    def _run_epoch(self, directory: RunDirectory, callbacks: Sequence[Callback]) -> None:
        """What is left of an epoch; after a request to stop, its validation and its end are left for later."""
        self._take_steps(directory, callbacks)
        epoch, loop = self.progress.epoch + 1, self.settings.loop
        validates = epoch % loop.validate_every == 0 or epoch == self.settings.schedule.epochs
        started = time.perf_counter()
        scores = self._validate() if validates and not self._stopping else None
        if not self._stopping:
            self._end_epoch(directory, callbacks, scores, time.perf_counter() - started)
        self._save_checkpoint(directory)

    def _take_steps(self, directory: RunDirectory, callbacks: Sequence[Callback]) -> None:
        try:
            for report in self.steps():
                for callback in callbacks:
                    callback.step(report)
                if report.step % self.settings.loop.checkpoint_every == 0:
                    self._save_checkpoint(directory)
        except DivergedError as problem:
            if self.is_main:
                directory.keep_bad_batch(self.steps_taken + 1, problem)
            raise

    def _step(self, pieces: Sequence[Batch]) -> float:
        """One optimiser step; the batch's loss over all processes."""
        loss = float(self.accelerator.reduce(self.stepper.gradients(pieces), reduction="sum"))
        if not math.isfinite(loss):
            sent_ids = tuple(gather_object([sent_id for piece in pieces for sent_id in piece.sent_ids]))
            message = f"the loss is {loss} on the batch with the sentences {', '.join(map(str, sent_ids))}"
            raise DivergedError(message, after_divergence(self.settings), sent_ids)
        self.stepper.update()
        return loss

    def _anybody_stops(self) -> bool:
        """Whether any of the processes received a request to stop: all of them then stop at the same place."""
        requests = torch.tensor(float(bool(self._stop)), device=self.accelerator.device)
        self._stopping = bool(self.accelerator.reduce(requests, reduction="sum") > 0)
        return self._stopping

    def _validate(self) -> Scores | None:
        """The scores of val, each process scoring its part of the images; None after a request to stop.

        Raises:
            DivergedError: the network no longer gives numbers.

        Images are read in this process: one that is forked beside the threads which feed the training's loading processes can hang.
        """
        self.stepper.share_statistics()
        tokens, device = self.settings.text.tokens, self.accelerator.device
        evaluator = Evaluator(
            self.stepper.result,
            self.bundle.tokenizer,
            tokens,
            device,
            features=self.features,
            compiled=self.settings.loop.compile,
        )
        samples = EvaluationSet(self.cache, VALIDATION_SPLIT, self.settings.data.image_size)
        mine = Subset(samples, range(self.share.process, len(samples), self.share.processes))
        own: list[SentenceScore] = []
        try:
            for batch in scored_batches(evaluator, mine, ["paper"]):
                own += [sentence for _, sentence in batch]
                if self._stop:
                    break
        except WeightsError as problem:
            raise DivergedError(f"in validation, {problem.message}", after_divergence(self.settings)) from problem
        sentences = gather_object(own)
        rows = self.cache.referent_rows(VALIDATION_SPLIT).tolist()
        no_targets = {self.cache.referent(row).ref_id for row in rows if self.cache.refers_to_nothing(row)}
        return None if self._anybody_stops() else score(Tally.of(sentences, "paper", no_targets))

    def _end_epoch(self, directory: RunDirectory, callbacks: Sequence[Callback], scores: Scores | None, validated: float) -> None:
        """Write the weights, then report; `validated` is how many seconds the validation took."""
        selected = None if scores is None else scores[self.settings.loop.select]
        improved = selected is not None and (self.progress.best is None or selected > self.progress.best)
        if self.is_main:
            kept = replace(self.bundle, model=self.stepper.result)
            for name in ("last", "best") if improved else ("last",):
                update_tensors(kept, directory.weights / name)
        report = EpochReport(
            epoch=self.progress.epoch + 1,
            step=self.steps_taken,
            loss=math.fsum(self.progress.losses) / len(self.progress.losses),
            lr=self.stepper.lr,
            seconds=self.progress.seconds + validated,
            overall_iou=None if scores is None else scores["overall_iou"],
            mean_iou=None if scores is None else scores["mean_iou"],
            best=improved,
        )
        for callback in callbacks:
            callback.epoch(report)
        self.progress = Progress(epoch=report.epoch, best=selected if improved else self.progress.best)

    def _save_checkpoint(self, directory: RunDirectory) -> None:
        random = gather_object([capture_random_state(self.accelerator.device)])
        if self.is_main:
            settings = self.settings.model_dump(mode="json")
            data = self.cache.manifest.fingerprint.key
            state = TrainingState(progress=self.progress, settings=settings, data=data, random=random, **self.stepper.state())
            save_checkpoint(directory.checkpoints, self.bundle, state)
        self.accelerator.wait_for_everyone()

    def _samples(self, epoch: int) -> TrainingSet:
        return TrainingSet(self.cache, TRAIN_SPLIT, self.settings.data, seed=self.settings.loop.seed, epoch=epoch)

    def _batches(self) -> Iterator[Batch]:
        """This process's pieces of the batches that are left of the run, read ahead by processes that live through its epochs."""
        if self._loading is None:
            self._loading = iter(
                training_batches(
                    self._samples(self.progress.epoch),
                    self.collate,
                    self.settings.loop.batch_size,
                    epochs=self.settings.schedule.epochs - self.progress.epoch,
                    offset=len(self.progress.losses),
                    share=self.share,
                    pinned=self.accelerator.device.type == "cuda",
                )
            )
        return self._loading

    def _adapt(self, model: ReferringModel) -> None:
        """Make the model save memory or time, or see all processes' statistics, as the settings say."""
        if self.settings.loop.gradient_checkpointing:
            recompute_activations(model.network)
        if self.settings.loop.sync_batch_norm:
            if self.accelerator.device.type != "cuda":
                raise ConfigError("loop.sync_batch_norm needs GPUs", hint="leave it out: each process then sees its own part of a batch")
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        if self.settings.loop.compile:
            require_compiler(self.accelerator.device)
            compile_parts(model.network)
