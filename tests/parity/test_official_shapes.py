"""Every published network: a state dict of the official names and shapes fits ours without rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.weights.official import convert_official, recognise_official
from cmirnet_cli.weights.to_official import official_network

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


@pytest.mark.parametrize(("case", "backbone"), CASES)
def test_our_network_goes_back_under_all_official_names_and_shapes_and_returns(
    shapes: Callable, original: Callable, case: str, backbone: str
):
    ours = convert_official(numbered(shapes(case), original))
    official = official_network(ModelConfig(backbone=backbone), ours)
    assert {name: list(value.shape) for name, value in official.items()} == shapes(case)
    returned = convert_official(official)
    assert returned.keys() == ours.keys()
    assert all(torch.equal(returned[name], value) for name, value in ours.items())
    copies = {name: original(name) for name in official if original(name) != name}
    assert len(copies) == {"resnet50": 318, "resnet101": 624}.get(backbone, 0)
    assert all(torch.equal(official[copy], official[name]) for copy, name in copies.items())
    index = [value for name, value in official.items() if name.endswith("relative_position_index")]
    assert len(index) == (24 if backbone.startswith("swin") else 0)
    places = [(row, column) for row in range(12) for column in range(12)]
    by_hand = [[(a - c + 11) * 23 + b - d + 11 for c, d in places] for a, b in places]
    assert all(value.tolist() == by_hand for value in index[:1])
    assert all(torch.equal(value, index[0]) for value in index)
