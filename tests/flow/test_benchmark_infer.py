"""`cmirnet benchmark infer`: what it compares and reports; how fast anything is is not tested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.model.fast.rewrites import REWRITES

from .conftest import Outcome


@pytest.mark.slow
def test_the_same_questions_are_asked_in_every_way(cmirnet: Callable[..., Outcome], weights: Path):
    words = "--count 1 --rounds 1 -e red -e cup --device cpu --json"
    found = cmirnet("benchmark", "infer", weights, *words.split()).data
    assert list(found["ways"]) == ["plain", "one head", "fp32", "bf16"]
    assert found["expressions"] == 2
    assert list(found["rewrites"]) == list(REWRITES)
    for way in found["ways"].values():
        assert way["peak_memory_mib"] > 0
        assert way["expressions_per_second"] > 0
    assert found["ways"]["plain"]["times_faster_than_plain"]["median"] == 1.0
    assert found["ways"]["fp32"]["agreement"]["pixels"] >= 0.9995


@pytest.mark.slow
def test_random_weights_are_asked_as_a_graph_too(cmirnet: Callable[..., Outcome]):
    words = "--backbone resnet-nano --size 64 --onnx fp32 --count 1 --rounds 1 --device cpu --json"
    found = cmirnet("benchmark", "infer", *words.split()).data["ways"]
    assert list(found) == ["plain", "one head", "fp32", "bf16", "ONNX fp32"]
    assert found["ONNX fp32"]["agreement"]["pixels"] >= 0.999
    assert found["ONNX fp32"]["agreement"]["error"] < 1e-3


def test_weights_of_ones_own_are_exported_before_they_are_compared(cmirnet: Callable[..., Outcome], weights: Path):
    outcome = cmirnet("benchmark", "infer", weights, "--onnx", "int8")
    assert outcome.code == 2
    assert "cmirnet export" in outcome.err


def test_a_trunk_that_is_not_known_is_refused_by_name(cmirnet: Callable[..., Outcome]):
    outcome = cmirnet("benchmark", "infer", "--backbone", "resnet18")
    assert outcome.code == 2
    assert "resnet18" in outcome.err
