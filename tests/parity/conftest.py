"""The official code's numbers, and our networks carrying the weights that those numbers were made with."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from torch import Tensor, nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.weights.official import convert_official

SAMPLES = 512

RESNET_TWINS = {"conv1": "layer1.0", "bn1": "layer1.1", "layer1": "layer2.1", "layer2": "layer3", "layer3": "layer4", "layer4": "layer5"}


@dataclass(frozen=True)
class Output:
    """One inner output as the golden files keep it."""

    shape: tuple[int, ...]
    sample: np.ndarray
    mean: float
    std: float

    @classmethod
    def of(cls, value: Tensor) -> Output:
        flat = value.flatten()
        places = np.linspace(0, len(flat) - 1, SAMPLES).astype(np.int64)
        return cls(tuple(value.shape), flat[places].numpy(), float(flat.double().mean()), float(flat.double().std()))


@dataclass(frozen=True)
class Run:
    """One forward pass of ours beside the golden one; heads and inner outputs go by their golden names."""

    golden: Mapping[str, np.ndarray]
    heads: dict[str, Tensor]
    outputs: dict[str, Output]


@pytest.fixture(scope="session")
def recipe(shared_fixtures: Path) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(shared_fixtures / "recipe.py")))


@pytest.fixture(scope="session")
def shapes(shared_fixtures: Path) -> Callable[[str], dict[str, list[int]]]:
    return lambda case: json.loads((shared_fixtures / f"{case}.shapes.json").read_text())


@pytest.fixture(scope="session")
def original() -> Callable[[str], str]:
    """Tells which entry an entry of an official state dict repeats: a ResNet's backbone is in it twice; any other repeats itself."""

    def repeated(name: str) -> str:
        module, _, rest = name.removeprefix("backbone.").partition(".")
        return f"{RESNET_TWINS[module]}.{rest}" if name.startswith("backbone.") else name

    return repeated


@pytest.fixture(scope="session")
def golden_network(recipe: SimpleNamespace, shapes: Callable, original: Callable) -> Callable[[str, str], CMIRNet]:
    """Builds a network and brings in the recipe's weights as if from an official checkpoint."""

    @cache
    def converted(case: str) -> dict[str, Tensor]:
        state = {name: torch.from_numpy(_value(recipe, original(name), shape)) for name, shape in shapes(case).items()}
        return convert_official(state)

    def build(case: str, backbone: str) -> CMIRNet:
        with init_empty_weights():
            network = build_network(ModelConfig(backbone=backbone))
        network.load_state_dict({name: value.clone() for name, value in converted(case).items()}, strict=True, assign=True)
        return network.eval()

    return build


def _value(recipe: SimpleNamespace, name: str, shape: list[int]) -> np.ndarray:
    if name.endswith("relative_position_index"):
        return np.zeros(shape, np.int64)
    return np.asarray(recipe.golden_tensor(name, shape))


@pytest.fixture(scope="session")
def run(recipe: SimpleNamespace, golden_network: Callable, shared_fixtures: Path) -> Callable[[str, torch.dtype], Run]:
    """Runs a golden case once in each number format, with every inner output recorded."""

    @cache
    def run_case(case: str, dtype: torch.dtype) -> Run:
        golden = dict(np.load(shared_fixtures / f"{case}.npz"))
        backbone, size = case.rsplit("-", 1)
        network = golden_network(case, backbone).to(dtype)
        image, words, keep, sentence = (torch.from_numpy(array).to(dtype) for array in recipe.golden_inputs(int(size), 2))
        outputs: dict[str, Output] = {}
        with torch.no_grad(), _recorded(network, backbone, golden, outputs):
            logits = network(image, words.transpose(1, 2), keep.bool(), sentence)
        names = [name.removeprefix("logits.") for name in golden if name.startswith("logits.")]
        return Run(golden, dict(zip(names, [logits.main, *logits.auxiliary], strict=True)), outputs)

    return run_case


def _golden_names(network: CMIRNet, backbone: str) -> dict[str, nn.Module]:
    """Golden name of a module's outputs → the module of ours that gives them."""
    shared = {
        "aspp": network.context,
        "tgmm_aspp": network.context_fusion,
        "cgip.graph": network.graph.graph,
        "cgip.reasoning": network.graph.reasoning,
        "cgip": network.graph,
        "cmae": network.decoder,
    }
    if backbone.startswith("swin"):
        stages = {f"stage{level}.last_block": stage for level, stage in enumerate(network.stages)}
        fusions = {f"tgmm{level}": fusion for level, fusion in enumerate(network.fusions, start=1)}
        return shared | stages | fusions | {"patch_embed": network.stages[0].down}
    stages = {f"layer{level}": stage for level, stage in enumerate(network.stages, start=1)}
    fusions = {f"tgmm{level}": fusion for level, fusion in enumerate(network.fusions, start=3)}
    return shared | stages | fusions


@contextmanager
def _recorded(network: CMIRNet, backbone: str, golden: Mapping[str, np.ndarray], outputs: dict[str, Output]) -> Iterator[None]:
    def record(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, result: Tensor | Sequence[Tensor]) -> None:
            for number, value in enumerate(_in_golden_order(name, result)):
                key = f"{name}.{number}"
                outputs[key] = Output.of(_in_layout(value, golden[f"act.{key}.shape"]))

        return hook

    hooks = [module.register_forward_hook(record(name)) for name, module in _golden_names(network, backbone).items()]
    yield
    for hook in hooks:
        hook.remove()


def _in_golden_order(name: str, result: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    if isinstance(result, Tensor):
        return [result.permute(0, 3, 1, 2)] if name == "patch_embed" else [result]
    return result[::-1] if name == "cmae" else result


def _in_layout(value: Tensor, shape: np.ndarray) -> Tensor:
    """A map as (B, N, C) where the golden file keeps it so."""
    return value.flatten(2).transpose(1, 2) if value.ndim == 4 and len(shape) == 3 else value
