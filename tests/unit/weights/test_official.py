"""What the converter of official checkpoints refuses, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.official import convert_official

State = dict[str, Tensor]
HEAD = "gcn.CGI.graphconv.3.homoGR_feat.gconv.nn.0.weight"


@pytest.fixture
def official(shared_fixtures: Path) -> Callable[[str], State]:
    """Makes a state dict of official names and shapes, every value zero, in a few bytes an entry."""

    def made(case: str) -> State:
        shapes = json.loads((shared_fixtures / f"{case}.shapes.json").read_text())
        return {name: torch.tensor(0.0).expand(shape) for name, shape in shapes.items()}

    return made


def test_data_parallel_prefix_is_dropped(official: Callable[[str], State]):
    state = official("resnet50-224")
    plain, prefixed = convert_official(state), convert_official({f"module.{name}": value for name, value in state.items()})
    assert {name: value.shape for name, value in plain.items()} == {name: value.shape for name, value in prefixed.items()}


@pytest.mark.parametrize("case", ["swin-b-224", "resnet50-224"])
def test_unknown_entry_is_refused_by_name(official: Callable[[str], State], case: str):
    with pytest.raises(WeightsError, match=r"has unknown entries: cmae\.mystery\.weight$"):
        convert_official(official(case) | {"cmae.mystery.weight": torch.zeros(1)})


@pytest.mark.parametrize("case", ["swin-b-224", "resnet50-224"])
@pytest.mark.parametrize("name", ["conv_2_1.bias", HEAD, "gcn.CGI.linear.weight"])
def test_missing_entry_is_refused_by_name(official: Callable[[str], State], case: str, name: str):
    state = official(case)
    del state[name]
    with pytest.raises(WeightsError, match=f"is missing entries: {name}$"):
        convert_official(state)


@pytest.mark.parametrize(
    ("name", "shape"), [("conv_2_1.weight", (3, 512, 3, 3)), (HEAD, (64, 128, 1, 1)), ("gcn.conv_T.0.weight", (512, 768))]
)
def test_entry_of_another_shape_is_refused_by_name(official: Callable[[str], State], name: str, shape: tuple[int, ...]):
    with pytest.raises(WeightsError, match=f"entries of another shape than the network's: {name}$"):
        convert_official(official("swin-b-224") | {name: torch.zeros(shape)})


def test_graph_heads_that_only_fit_together_are_refused(official: Callable[[str], State]):
    state = official("swin-b-224")
    state[HEAD.replace("3", "0", 1)], state[HEAD] = torch.zeros(32, 128, 3, 3), torch.zeros(96, 128, 3, 3)
    with pytest.raises(WeightsError, match="another shape"):
        convert_official(state)


def test_duplicate_that_differs_from_its_twin_is_refused_by_name(official: Callable[[str], State]):
    name = "backbone.layer2.1.conv2.weight"
    state = official("resnet50-224")
    with pytest.raises(WeightsError, match=f"duplicates that differ from their twins: {name}$"):
        convert_official(state | {name: torch.ones(state[name].shape)})


def test_many_refused_entries_are_counted_rather_than_listed(official: Callable[[str], State]):
    state = {name: value for name, value in official("swin-b-224").items() if not name.startswith("cmae.fusion")}
    with pytest.raises(WeightsError, match=r"is missing entries: (cmae\S+, ){7}cmae\S+ and \d+ more$"):
        convert_official(state)


def test_dead_entries_may_be_there_or_not(official: Callable[[str], State]):
    state = official("swin-b-224")
    dead = [name for name in state if "relative_position_index" in name or name.startswith("Vis_backbone_TGMM.norm")]
    assert len(dead) == 24 + 8
    alive = {name: value for name, value in state.items() if name not in dead}
    assert convert_official(alive).keys() == convert_official(state).keys()


@pytest.mark.parametrize("state", [{}, {"conv1.weight": torch.zeros(64, 3, 7, 7)}, {"layer4.0.conv1.weight": torch.zeros(1)}])
def test_another_networks_state_dict_is_refused_with_a_hint(state: State):
    with pytest.raises(WeightsError, match="not a state dict of a published CMIRNet") as caught:
        convert_official(state)
    assert caught.value.hint
