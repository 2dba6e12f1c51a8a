"""Every published network: a state dict of the official names and shapes fits ours without rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.weights.official import convert_official, recognise_official

CASES = [("swin-b-224", "swin-b"), ("swin-l", "swin-l"), ("resnet50-224", "resnet50"), ("resnet101", "resnet101")]


def numbered(shapes: dict[str, list[int]], original: Callable[[str], str]) -> dict[str, Tensor]:
    """A state dict of these shapes that takes a few bytes: every entry is filled with a number of its own, a duplicate with its twin's."""
    numbers = {name: torch.tensor(float(number)) for number, name in enumerate(shapes)}
    return {name: numbers[original(name)].expand(shape) for name, shape in shapes.items()}


def numbers_in(value: Tensor) -> set[int]:
    """The entries that one of our tensors was made of; they lie side by side along the output channels."""
    return {int(number) for number in (value.flatten(1)[:, 0] if value.ndim > 1 else value.flatten())}


@pytest.mark.parametrize(("case", "backbone"), CASES)
def test_official_state_dict_fills_our_network_and_no_entry_is_used_twice(shapes: Callable, original: Callable, case: str, backbone: str):
    state = numbered(shapes(case), original)
    converted = convert_official(state)
    used = [number for value in converted.values() for number in numbers_in(value)]
    assert len(used) == len(set(used))
    assert recognise_official(state) == ModelConfig(backbone=backbone)
    with torch.device("meta"):
        network = build_network(ModelConfig(backbone=backbone))
    network.load_state_dict(converted, strict=True, assign=True)
