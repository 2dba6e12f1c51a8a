"""A pass over a cache: that it is one; how fast it is is not tested."""

from __future__ import annotations

import pytest

from cmirnet_cli.benchmarks.scale import measure_pass
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import resolve


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_reports_its_order_and_workers_and_what_it_took(small_cache: Cache, shuffled: bool, workers: int):
    flags = {"data.image_size": 64, "data.resize": 64, "data.workers": workers, "loop.batch_size": 2}
    found = measure_pass(small_cache.folder, "train", resolve(flags=flags), shuffled)
    assert (found.shuffled, found.workers) == (shuffled, workers)
    assert found.first_batch_seconds > 0
    assert found.samples_per_second > 0
    assert found.memory_mib > 1
    assert (found.worker_memory_mib > 1) == (workers > 0)
