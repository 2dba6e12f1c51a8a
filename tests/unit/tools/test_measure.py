"""The measuring programs at their smallest: they measure what they say; how fast anything is is not tested."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from PIL import Image

from cmirnet_cli.console import console
from cmirnet_cli.engine.devices import has_bf16
from tools.measure import gpu, growth, scale, storage, text


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]):
    """What a program printed, as JSON."""
    console.configure(json=True)
    yield lambda: json.loads(capsys.readouterr().out)
    console.configure()


@pytest.mark.slow
def test_growth_measures_every_load_and_draws_it(printed, tmp_path):
    picture = tmp_path / "growth.png"
    growth.main("resnet-nano", sizes=[96, 64], counts=[1, 2], base=64, rounds=1, plot=picture, device="cpu")
    grown = printed()["grown"]
    assert {name: [each[name] for each in loads] for name, loads in grown.items()} == {
        "size": [64, 96],
        "batch": [1, 2],
        "expressions": [1, 2],
        "images": [1, 2],
    }
    same = [grown["size"][0], *(grown[name][0] for name in ("batch", "expressions", "images"))]
    assert len({each["ms"]["median"] for each in same}) == 1  # one load, measured once
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert len(drawn.getcolors(1 << 20)) > 10


@pytest.mark.slow
def test_scale_measures_every_step_of_a_data_set_of_refcocos_proportions(printed, tmp_path):
    scale.main(fraction=0.001, size=96, out=tmp_path, workers=[0, 1])
    found = printed()
    assert (found["reading"]["images"], found["reading"]["refs"], found["reading"]["sentences"]) == (21, 50, 143)
    assert [(each["shuffled"], each["workers"]) for each in found["loading"]] == [(False, 0), (False, 2), (True, 0), (True, 2)]
    assert [each["worker_memory_mib"] > 1 for each in found["loading"]] == [False, True, False, True]
    written = [path.stat().st_size for path in (tmp_path / "cache" / "scenes-scale").iterdir()]
    assert [(each["workers"], each["bytes"], each["files"]) for each in found["preparing"]] == [
        (workers, sum(written), len(written)) for workers in (0, 1)
    ]


def test_text_says_what_share_the_encoder_has(printed):
    text.main("resnet-nano", size=64, sentences=2, rounds=1)
    found = printed()
    took = {name: each["median"] for name, each in found["ms_per_sentence"].items()}
    assert list(took) == [*text.WHOLES, *text.PARTS]
    for whole in text.WHOLES:
        for part, share in found["percent_of"][whole].items():
            assert share["median"] == pytest.approx(100 * took[part] / took[whole])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The file of all its steps, on the CPU."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    gpu.measure(out, gpu.steps("cpu", tiny=True), budget=10_000)
    return out


@pytest.mark.slow
def test_gpu_measures_every_step_keeps_what_it_has_and_makes_tables_of_it(measured, tmp_path, monkeypatch):
    out, wanted = shutil.copy(measured, tmp_path / "gpu.json"), gpu.steps("cpu", tiny=True)
    found = json.loads(out.read_text())["steps"]
    assert {name: each["ok"] for name, each in found.items()} == {step.name: True for step in wanted}
    assert found["arithmetic resnet-nano"]["result"]["gflops_per_step"] > 8 * 3  # a sample's forward and backward pass
    table = gpu.as_table(json.loads(out.read_text()))
    assert "| resnet-nano, batch 2 | plain |" in table
    assert "| resnet-nano | recomputing |" in table
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: pytest.fail("measured again"))
    gpu.measure(out, wanted, budget=10_000)


@pytest.mark.slow
def test_benchmark_train_which_it_runs_takes_the_same_first_steps_in_every_way(measured):
    ways = json.loads(measured.read_text())["steps"]["train resnet-nano"]["result"]["ways"]
    rounded = ["bf16"] if has_bf16(torch.device("cpu")) else []
    assert list(ways) == ["plain", *rounded, "recomputing", "frozen text"]
    plain = ways["plain"]["losses"]
    assert len(plain) == 2
    assert ways["recomputing"]["losses"] == pytest.approx(plain, rel=1e-5)
    assert ways["frozen text"]["losses"][0] == pytest.approx(plain[0], rel=1e-5)
    for way in ways.values():
        apart = [abs(ours / theirs - 1) for ours, theirs in zip(way["losses"], plain, strict=True)]
        assert way["losses_within"] == pytest.approx(max(apart))
        took = [each["ms_per_sentence"]["median"] for each in (ways["plain"], way)]
        assert way["times_faster_than_plain"] == pytest.approx(took[0] / took[1])


def test_gpu_begins_nothing_that_it_has_no_time_for(tmp_path):
    out = tmp_path / "gpu.json"
    gpu.measure(out, [gpu.Step("long", ("false",), seconds=60)], budget=59)
    assert not out.exists()


def test_gpu_writes_down_why_a_step_failed_and_tries_it_again(tmp_path):
    out, step = tmp_path / "gpu.json", gpu.Step("broken", (sys.executable, "-c", "raise SystemExit('no GPU')"), seconds=1)
    gpu.measure(out, [step], budget=60)
    assert json.loads(out.read_text())["steps"]["broken"]["result"].strip() == "no GPU"
    gpu.measure(out, [gpu.Step("broken", (sys.executable, "-c", "print('[1]')"), seconds=1)], budget=60)
    assert json.loads(out.read_text())["steps"]["broken"]["result"] == [1]


def test_storage_lists_and_predicts_what_it_says():
    listed, predicted = storage.measure_listing(1500), storage.measure_predicting(3)
    assert (listed.entries, predicted.images) == (1500, 3)
    assert 0 < listed.first_mask_seconds <= listed.seconds
    assert listed.memory_mib[0] <= listed.memory_mib[1]
