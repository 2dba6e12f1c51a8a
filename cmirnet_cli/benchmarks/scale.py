"""One pass over the samples of a prepared cache: how soon the first batch is there, how fast the others follow, what memory it takes."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from cmirnet_cli.batches.datasets import Collate, TrainingSet, training_batches
from cmirnet_cli.benchmarks.data import choose_collate, one_thread
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.environment import children_memory_mib, peak_memory_mib


@dataclass(frozen=True)
class Pass:
    """What one pass took.

    Attributes:
        shuffled: whether the samples came in an epoch's order, else in that of the annotations.
        workers: processes that loaded beside the main one.
        first_batch_seconds: from opening the cache to the first batch.
        samples_per_second: over all batches after the first.
        memory_mib: the most that the main process held, libraries included.
        worker_memory_mib: the most that one of the workers held, what it shares with the main process included.
    """

    shuffled: bool
    workers: int
    first_batch_seconds: float
    samples_per_second: float
    memory_mib: float
    worker_memory_mib: float


def measure_pass(folder: Path, split: str, settings: Settings, shuffled: bool) -> Pass:
    """Load every sample of a split once; to be called in a fresh process, whose memory is then that of the pass."""
    collate = choose_collate(None, Cache.open(folder), split, settings.text.tokens)
    workers, batch_size = settings.data.workers, settings.loop.batch_size
    with one_thread():
        started = time.perf_counter()
        samples = TrainingSet(Cache.open(folder), split, settings.data, seed=settings.loop.seed, epoch=0)
        loader = _loader(samples, collate, batch_size, shuffled)
        batches = iter(loader)
        next(batches)
        first = time.perf_counter()
        deque(batches, maxlen=0)
        ended = time.perf_counter()
    del batches  # its workers end
    rate = (len(loader) - 1) * batch_size / (ended - first)
    return Pass(shuffled, workers, first - started, rate, peak_memory_mib(), children_memory_mib() if workers else 0.0)


def _loader(samples: TrainingSet, collate: Collate, batch_size: int, shuffled: bool) -> DataLoader[Any]:
    if shuffled:
        return training_batches(samples, collate, batch_size)
    workers = samples.data.workers
    return DataLoader(samples, batch_size, collate_fn=collate, num_workers=workers, drop_last=True, generator=torch.Generator())
