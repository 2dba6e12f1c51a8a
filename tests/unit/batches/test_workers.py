"""Loader processes, however they are started, read what one process reads, beside a parent that has the files open."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from cmirnet_cli.batches.sets import EvaluationSet, TrainingSet
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import DataConfig

METHODS = [pytest.param(method, marks=[] if method == "fork" else pytest.mark.slow) for method in ("fork", "forkserver", "spawn")]
"""Processes that are not forked import torch anew."""


@pytest.mark.parametrize("method", METHODS)
def test_workers_of_every_kind_read_what_one_process_reads(small_cache: Cache, method: str):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    data = DataConfig(image_size=64, resize=72, cache=Path("unused"))
    training = TrainingSet(small_cache, "train", data, seed=0, epoch=0)
    evaluation = EvaluationSet(small_cache, "val", 64)
    alone = [training[item] for item in range(len(training))], [evaluation[item] for item in range(len(evaluation))]
    load = partial(DataLoader, batch_size=None, num_workers=2, multiprocessing_context=method)
    trained, evaluated = list(load(training)), list(load(evaluation))
    assert [sample.text for sample in trained] == [sample.text for sample in alone[0]]
    for ours, theirs in zip([*trained, *evaluated], [*alone[0], *alone[1]], strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
    for ours, theirs in zip(trained, alone[0], strict=True):
        np.testing.assert_array_equal(ours.mask, theirs.mask)
