"""`cmirnet presets ls`: what each preset is for, and what its model costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmirnet_cli.config import preset_names
from tests.flow.conftest import Outcome

Cmirnet = Callable[..., Outcome]


@pytest.mark.slow
def test_every_preset_is_listed_with_what_its_model_costs(cmirnet: Cmirnet):
    found = {preset["name"]: preset["cost"] for preset in cmirnet("presets", "ls", "--cost", "--json").data["presets"]}
    assert list(found) == preset_names()
    assert all(cost["network"]["parameters"] > 0 and cost["text"]["gflops"] > 0 and "milliseconds" not in cost for cost in found.values())
    gflops = [found[name]["network"]["gflops"] for name in ("refcoco-swin-b", "refcoco-swin-b-width-256", "refcoco-swin-b-width-128")]
    assert gflops == sorted(gflops, reverse=True)
    assert found["refcoco-swin-t-width-128"]["network"]["gflops"] < gflops[-1] < found["refcoco-resnet50"]["network"]["gflops"]
    assert found["refcoco-swin-b-ema"] == found["refcoco-swin-b"]
    assert (found["demo"]["image_size"], found["demo"]["tokens"], found["refcoco-swin-b"]["image_size"]) == (96, 20, 480)


def test_costs_are_printed_as_a_table_that_says_what_was_counted(cmirnet: Cmirnet):
    outcome = cmirnet("presets", "ls", "smoke", "refcoco-swin-b", "--cost")
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["preset", "smoke", "refcoco-swin-b"]
    assert "a multiply-add as two" in lines[3]
    assert lines[2].split()[1:] == ["480", "191.5", "108.9", "541.6", "3.4"]


@pytest.mark.slow
def test_the_time_of_a_forward_is_measured_on_request_and_the_machine_named(cmirnet: Cmirnet):
    found = cmirnet("presets", "ls", "smoke", "--time", "--json").data
    assert set(found["presets"][0]["cost"]["milliseconds"]) == {"median", "lowest", "highest"}
    outcome = cmirnet("presets", "ls", "smoke", "--time")
    assert outcome.out.splitlines()[0].split()[-1] == "ms"
    assert found["machine"]["processor"] in outcome.out


def test_presets_that_are_named_are_listed_alone(cmirnet: Cmirnet):
    assert [preset["name"] for preset in cmirnet("presets", "ls", "demo", "--json").data["presets"]] == ["demo"]
    outcome = cmirnet("presets", "ls", "refcoco-swin-bb")
    assert outcome.code == 2
    assert "did you mean refcoco-swin-b?" in outcome.err
