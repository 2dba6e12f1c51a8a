"""`cmirnet benchmark infer`: what it compares and reports. export/test_in_place_of_weights.py runs it on weights of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cmirnet_cli.benchmarks.infer import EXACT, Agreement, disagreement
from cmirnet_cli.engine.devices import has_bf16
from tests.flow.conftest import Outcome

FORMATS = ["fp32", "bf16"] if has_bf16(torch.device("cpu")) else ["fp32"]


@pytest.mark.slow
def test_random_weights_predict_as_a_graph_too(cmirnet: Callable[..., Outcome]):
    words = "--backbone resnet-nano --size 64 --onnx fp32 --peer onnxruntime --count 1 --rounds 1 --device cpu --json"
    found = cmirnet("benchmark", "infer", *words.split()).data["ways"]
    assert list(found) == ["plain", "one head", *FORMATS, "ONNX Runtime fp32"]
    assert found["ONNX Runtime fp32"]["agreement"]["pixels"] >= 0.999
    assert found["ONNX Runtime fp32"]["agreement"]["error"] < 1e-3


def test_weights_of_ones_own_are_exported_before_they_are_compared(cmirnet: Callable[..., Outcome], weights: Path):
    outcome = cmirnet("benchmark", "infer", weights, "--onnx", "int8")
    assert outcome.code == 2
    assert "cmirnet export" in outcome.err


@pytest.mark.parametrize("words", [["--backbone", "resnet50"], ["--size", "96"]])
def test_what_random_weights_are_made_of_is_refused_beside_weights(cmirnet: Callable[..., Outcome], weights: Path, words: list[str]):
    outcome = cmirnet("benchmark", "infer", weights, *words)
    assert outcome.code == 2
    assert "leave them out" in outcome.err


@pytest.mark.parametrize(
    ("name", "words"),
    [("plain", []), ("one head", []), ("fp32", []), (FORMATS[-1], []), ("heads", ["--each"]), (f"{FORMATS[-1]}, compiled", ["--compile"])],
)
def test_an_export_called_like_another_way_is_refused_before_anything_is_loaded(
    cmirnet: Callable[..., Outcome], name: str, words: list[str]
):
    refused = cmirnet("benchmark", "infer", "no-weights", "--exported", name, *words, "--device", "cpu", "--json")
    assert refused.code == 2
    error = refused.data["error"]
    assert error["message"] == f"--exported {name} has the same name as another way in this comparison"
    assert error["hint"] == f"give its whole path: {Path.cwd() / name}"


def test_an_export_is_taken_by_its_whole_path_whatever_it_is_called(cmirnet: Callable[..., Outcome], tmp_path: Path):
    outcome = cmirnet("benchmark", "infer", "no-weights", "--exported", tmp_path / "fp32", "--device", "cpu")
    assert outcome.code == 5
    assert "export.json cannot be read" in " ".join(outcome.err.split())


def test_the_name_of_a_way_that_is_not_compared_is_free(cmirnet: Callable[..., Outcome]):
    assert cmirnet("benchmark", "infer", "no-weights", "--exported", "heads", "--device", "cpu").code == 5


def test_one_export_given_twice_is_refused_however_it_is_written(cmirnet: Callable[..., Outcome], tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "bundle", target_is_directory=True)
    for again in (tmp_path / "bundle", tmp_path / "link"):
        words = ["--exported", tmp_path / "bundle", "--exported", again, "--device", "cpu", "--json"]
        refused = cmirnet("benchmark", "infer", "no-weights", *words)
        assert refused.code == 2
        assert refused.data["error"]["message"] == f"--exported {again} was given already"


def test_an_exact_way_that_is_none_is_noticed():
    agreed = {EXACT: Agreement(1.0, 1.0, 0.0)}
    assert disagreement(agreed) is None
    assert "only 99.000% of the pixels" in str(disagreement({EXACT: replace(agreed[EXACT], pixels=0.99)}))


def test_a_backbone_that_is_not_known_is_refused_by_name(cmirnet: Callable[..., Outcome]):
    outcome = cmirnet("benchmark", "infer", "--backbone", "resnet18")
    assert outcome.code == 2
    assert "resnet18" in outcome.err
