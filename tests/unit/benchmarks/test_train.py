"""Ways of training: the plain one is the published one as far as the device can do it."""

from __future__ import annotations

import pytest
import torch

from cmirnet_cli.benchmarks.stand_ins import random_recipe
from cmirnet_cli.benchmarks.train import PLAIN, ways_on
from cmirnet_cli.engine.devices import has_bf16


@pytest.mark.parametrize(("device", "plain"), [("cpu", "fp32"), ("cuda", "fp16")])
def test_plain_is_the_published_precision_where_the_device_has_it(device: str, plain: str):
    ways = {name: random_recipe("swin-nano", 64, 2, **changes) for name, changes in ways_on(torch.device(device)).items()}
    assert ways[PLAIN].loop.precision == ways["recomputing"].loop.precision == ways["frozen text"].loop.precision == plain
    assert [each.loop.precision for name, each in ways.items() if name == "bf16"] == ["bf16"] * has_bf16(torch.device(device))


def test_only_a_gpu_trains_a_compiled_network():
    compiled = {
        device: [name for name, changes in ways_on(torch.device(device)).items() if changes.get("loop.compile")]
        for device in ("cpu", "cuda")
    }
    assert compiled == {"cpu": [], "cuda": ["bf16, compiled"]}
