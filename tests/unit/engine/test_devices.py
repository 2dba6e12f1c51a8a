"""Devices by name, and seeds."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from cmirnet_cli.engine.devices import has_bf16, pick_device, published_precision, seed_everything
from cmirnet_cli.errors import UsageError


def test_cpu_is_always_there():
    assert pick_device("cpu") == torch.device("cpu")


def test_auto_takes_an_accelerator_where_there_is_one():
    there = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto").type == there


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:x", "cuda:-1", "", "cpu cpu"])
def test_name_that_is_none_is_refused_with_those_that_are(name: str):
    with pytest.raises(UsageError, match="there is no device called") as caught:
        pick_device(name)
    assert caught.value.hint == "use auto, cpu, cuda, cuda:N or mps"


@pytest.mark.parametrize("name", ["cpu:1", "mps:3", "xla", "meta"])
def test_device_this_machine_has_not_is_refused_by_name(name: str):
    with pytest.raises(UsageError, match=f"this machine has no device '{name}'") as caught:
        pick_device(name)
    assert "auto" in caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize("visible", ["", "-1", "7", "MIG-41b35ae2-0f1f-5c5c-8d3c-f4b8e4b8a5ea"])
def test_hint_for_a_gpu_that_is_hidden_names_the_variable_that_hides_it(monkeypatch: pytest.MonkeyPatch, visible: str):
    if torch.version.cuda is None:
        pytest.skip("this PyTorch has no CUDA")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UsageError, match="this machine has no device 'cuda'") as caught:
        pick_device("cuda")
    assert f"CUDA_VISIBLE_DEVICES is {visible!r}" in caught.value.hint
    assert pick_device("auto").type != "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_hint_for_a_gpu_that_is_missing_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UsageError) as caught:
        pick_device("cuda:1")
    assert caught.value.hint.endswith("use --device cpu")


@pytest.mark.parametrize(("device", "precision"), [("cuda", "fp16"), ("cuda:1", "fp16"), ("mps", "fp32"), ("cpu", "fp32")])
def test_published_precision_is_fp16_where_cuda_computes(device: str, precision: str):
    assert published_precision(torch.device(device)) == precision


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_a_seed_fixes_what_every_generator_draws(seed: int):
    seed_everything(seed)
    first = drawn()
    assert drawn() != first
    seed_everything(seed)
    assert drawn() == first


def test_this_processors_instructions_for_bf16_are_those_that_linux_tells_of():
    told = Path("/proc/cpuinfo")
    if not told.is_file():
        pytest.skip("this system does not tell")
    assert has_bf16(torch.device("cpu")) == ("bf16" in told.read_text())
