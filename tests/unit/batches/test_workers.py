"""Loader processes, however they are started, read what one process reads, beside a parent that has the files open."""

from __future__ import annotations

import multiprocessing
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cmirnet_cli.batches.batch import Batch, word_tokenizer
from cmirnet_cli.batches.datasets import Collate, EvaluationImage, EvaluationSet, TrainingSet, evaluation_images, training_batches
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import DataConfig
from cmirnet_cli.errors import CacheError

METHODS = [pytest.param(method, marks=[] if method == "fork" else pytest.mark.slow) for method in ("fork", "forkserver", "spawn")]
"""Processes that are not forked import torch anew: the fork server once for all, where nobody started it before."""


@pytest.fixture(params=METHODS)
def processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every process is started by this method."""
    if request.param not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {request.param}")
    usual = multiprocessing.get_start_method()
    multiprocessing.set_forkserver_preload(["cmirnet_cli.batches.datasets"])
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(usual, force=True)


def loaded(cache: Cache, workers: int) -> tuple[list[Batch], list[EvaluationImage]]:
    """An epoch's batches and the images of val."""
    data = DataConfig(image_size=64, resize=72, cache=Path("unused"), workers=workers)
    collate = Collate(word_tokenizer(cache.distinct_sentences()), 6)
    training = training_batches(TrainingSet(cache, "train", data, seed=0, epoch=0), collate, 2)
    return list(training), list(evaluation_images(EvaluationSet(cache, "val", 64), workers))


@pytest.mark.usefixtures("processes")
def test_workers_of_every_kind_read_what_one_process_reads(small_cache: Cache):
    alone, beside = loaded(small_cache, 0), loaded(small_cache, 2)
    assert [batch.sent_ids for batch in beside[0]] == [batch.sent_ids for batch in alone[0]]
    for ours, theirs in zip(beside[0], alone[0], strict=True):
        for one, other in ((ours.image, theirs.image), (ours.target, theirs.target), (ours.tokens.ids, theirs.tokens.ids)):
            assert torch.equal(one, other)
    assert len(alone[0]) > 1
    for seen, expected in zip(beside[1], alone[1], strict=True):
        np.testing.assert_array_equal(seen.image, expected.image)
        assert [sentence.text for sentence in seen.sentences] == [sentence.text for sentence in expected.sentences]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_arrives_as_it_was_raised(small_cache: Cache, tmp_path: Path, workers: int):
    shutil.copytree(small_cache.folder, tmp_path / "cache")
    cache = Cache.open(tmp_path / "cache")
    (shard,) = cache.folder.glob("images-*.h5")
    shard.write_bytes(bytes(shard.stat().st_size))
    data = DataConfig(image_size=64, resize=72, workers=workers)
    collate = Collate(word_tokenizer(cache.distinct_sentences()), 6)
    for loader in (
        training_batches(TrainingSet(cache, "train", data, seed=0, epoch=0), collate, 2),
        evaluation_images(EvaluationSet(cache, "val", 64), workers),
    ):
        with pytest.raises(CacheError, match=rf"^cannot read {re.escape(str(shard))}: ") as caught:
            list(loader)
        assert "Traceback" not in caught.value.message
        assert caught.value.hint == f"see what is damaged with: cmirnet cache verify {cache.folder}"
