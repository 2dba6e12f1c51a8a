"""`cmirnet export`: what an export holds, what is proved about it, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

from cmirnet_cli.weights.source import load_weights

Call = Callable[..., Any]
EXPORT = {"export.json", "parity.json", "sample.npz", "README.md", "tokenizer.json"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def spec(exported: Path) -> dict[str, Any]:
    return json.loads((exported / "export.json").read_text())


def parity(exported: Path) -> dict[str, Any]:
    return json.loads((exported / "parity.json").read_text())


def random_inputs(batch: int, height: int, width: int) -> dict[str, np.ndarray]:
    """For one graph; the second half of the sentences is padding."""
    rng = np.random.default_rng(batch + height + width)
    mask = np.repeat(np.arange(20)[None] < 10, batch, axis=0).astype(np.int64)
    image = rng.standard_normal((batch, 3, height, width)).astype(np.float32)
    return {"image": image, "input_ids": rng.integers(4, 8, (batch, 20)) * mask, "attention_mask": mask}


def logits_of(weights: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """What the weights themselves make of it."""
    image, ids, mask = (torch.from_numpy(inputs[name]) for name in ("image", "input_ids", "attention_mask"))
    with torch.inference_mode():
        return load_weights(str(weights)).model(image, ids, mask.bool()).main.numpy()


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() < 1e-3 * expected.std()


def test_an_export_holds_all_that_it_is_run_with(onnx_export: Path):
    assert names(onnx_export) >= EXPORT | {"model.onnx"}
    said = spec(onnx_export)
    assert (said["format"], said["precision"], said["split"], said["dynamic_size"]) == ("onnx", "fp32", False, False)
    assert said["input"]["image_size"] == 64
    assert said["input"]["tokens"] == 20


def test_parity_was_proved_on_photographs_in_batches_of_one_and_of_three(onnx_export: Path):
    said = parity(onnx_export)
    assert said["samples"] == "12 photographs, 2 expressions"
    assert said["provider"] == "CPUExecutionProvider"
    assert [batch["batch"] for batch in said["batches"]] == [1, 3]
    assert said["logits_error"] < 1e-3
    assert said["equal_pixels"] >= 0.999


def test_a_graph_is_valid_and_of_the_standard_operators(onnx_export: Path):
    model = onnx.load(onnx_export / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {(each.domain, each.version) for each in model.opset_import} == {("", 20)}
    assert not model.functions


def test_no_path_of_the_machine_that_wrote_it_is_in_a_graph(onnx_export: Path):
    content = (onnx_export / "model.onnx").read_bytes()
    assert str(Path(__file__).resolve().parents[3]).encode() not in content
    assert b"site-packages" not in content


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_graph_takes_batches_of_any_size(weights: Path, onnx_export: Path, batch: int):
    inputs = random_inputs(batch, 64, 64)
    (found,) = onnxruntime.InferenceSession(onnx_export / "model.onnx").run(None, inputs)
    assert_close(found, logits_of(weights, inputs))


def test_the_sample_runs_through_the_graph_to_the_logits_of_the_weights(weights: Path, onnx_export: Path):
    sample = np.load(onnx_export / "sample.npz")
    inputs = {name: sample[name] for name in ("image", "input_ids", "attention_mask")}
    (found,) = onnxruntime.InferenceSession(onnx_export / "model.onnx").run(None, inputs)
    assert_close(found, sample["logits"])
    assert_close(sample["logits"], logits_of(weights, inputs))


def test_the_python_of_the_readme_saves_the_mask_that_predict_finds(cmirnet: Call, onnx_export: Path, pictures: Path, tmp_path: Path):
    size, imported = said_by_the_python_of_the_readme(onnx_export, pictures, tmp_path)
    photo, out = tmp_path / "exported" / "photo.jpg", tmp_path / "out"
    assert cmirnet("predict", onnx_export, photo, "-e", "the red cup", "-o", out, "--device", "cpu").code == 0
    expected = np.asarray(Image.open(out / "masks" / "photo.jpg.the-red-cup.png"))
    saved = np.asarray(Image.open(tmp_path / "exported" / "mask.png"))
    with Image.open(photo) as opened:
        assert (size, imported) == (str(opened.size[::-1]), "False")
    assert saved.shape == expected.shape
    assert (saved == expected).mean() > 0.999


@pytest.mark.slow
def test_the_python_of_the_readme_runs_two_int8_graphs(int8_export: Path, pictures: Path, tmp_path: Path):
    assert "x64quantprecision" in (int8_export / "README.md").read_text()
    assert said_by_the_python_of_the_readme(int8_export, pictures, tmp_path)[1] == "False"
    assert (tmp_path / "exported" / "mask.png").is_file()


def said_by_the_python_of_the_readme(exported: Path, pictures: Path, tmp_path: Path) -> list[str]:
    """The shape of the mask that it finds, and whether it imported torch or this program."""
    shutil.copytree(exported, tmp_path / "exported")
    shutil.copy(next(pictures.iterdir()), tmp_path / "exported" / "photo.jpg")
    code = (tmp_path / "exported" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    ask = "\nimport sys\nprint(referent.shape, any(name in sys.modules for name in ('torch', 'cmirnet_cli')), sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", code + ask], cwd=tmp_path / "exported", capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.slow
def test_int8_of_a_swin_trunk_says_what_it_costs_on_other_pairs_than_it_was_calibrated_on(
    cmirnet: Call, swin_weights: Path, sample_options: list[str], tmp_path: Path
):
    outcome = cmirnet("export", swin_weights, "--precision", "int8", "--calibrate", "4", *sample_options, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    said = parity(tmp_path / "out")
    assert f"int8 costs: its masks have a mean IoU of {100 * said['mean_iou']:.2f}" in outcome.out
    assert 0.5 < said["mean_iou"] < 1
    kinds = {node.op_type for node in onnx.load(tmp_path / "out" / "model.onnx").graph.node}
    assert kinds >= {"QuantizeLinear", "DequantizeLinear"}


@pytest.mark.slow
def test_two_graphs_let_one_sentence_serve_many_images(weights: Path, int8_export: Path):
    assert names(int8_export) >= EXPORT | {"text.onnx", "vision.onnx"}
    inputs = random_inputs(3, 64, 64)
    text = onnxruntime.InferenceSession(int8_export / "text.onnx")
    vision = onnxruntime.InferenceSession(int8_export / "vision.onnx")
    (words,) = text.run(None, {name: inputs[name][:1] for name in ("input_ids", "attention_mask")})
    shared = {"words": np.repeat(words, 3, axis=0), "attention_mask": np.repeat(inputs["attention_mask"][:1], 3, axis=0)}
    (found,) = vision.run(None, {"image": inputs["image"], **shared})
    expected = logits_of(weights, {**inputs, "input_ids": np.repeat(inputs["input_ids"][:1], 3, axis=0)})
    assert np.abs(found - expected).mean() < 0.2 * expected.std()


@pytest.mark.slow
def test_fp16_of_a_swin_trunk_halves_the_file_and_says_what_it_costs(
    cmirnet: Call, swin_weights: Path, sample_options: list[str], tmp_path: Path
):
    outcome = cmirnet("export", swin_weights, "--precision", "fp16", *sample_options, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "fp16 costs: its masks have a mean IoU of" in outcome.out
    sizes = [file.stat().st_size for file in (tmp_path / "out" / "model.onnx", swin_weights / "model.safetensors")]
    assert sizes[0] < 0.6 * sizes[1]
    assert parity(tmp_path / "out")["equal_pixels"] >= 0.995


@pytest.mark.slow
def test_a_torch_program_computes_what_its_weights_compute(cmirnet: Call, weights: Path, tmp_path: Path):
    outcome = cmirnet("export", weights, "--format", "torch", "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.data["parity"]["samples"] == "drawn scenes"
    inputs = random_inputs(5, 64, 64)
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    with torch.inference_mode():
        found = program(*map(torch.from_numpy, inputs.values())).numpy()
    assert_close(found, logits_of(weights, inputs))


def test_safetensors_are_weights_that_every_command_takes(cmirnet: Call, safetensors_export: Path, pictures: Path, tmp_path: Path):
    assert parity(safetensors_export)["logits_error"] < 1e-4
    words = [next(pictures.iterdir()), "-e", "the red cup", "-o", tmp_path / "masks", "--optimizations", "none"]
    assert cmirnet("predict", safetensors_export, *words).code == 0


def test_what_is_compared_may_come_from_a_cache(cmirnet: Call, weights: Path, prepared_scenes: Any, tmp_path: Path):
    cache = prepared_scenes(64, train=2, val=3)
    words = ["--format", "safetensors", "--cache", cache, "--out", tmp_path / "out"]
    outcome = cmirnet("export", weights, *words, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.data["parity"]["samples"] == "scenes-demo, split val"


def test_an_export_is_replaced_with_leave_only(cmirnet: Call, weights: Path, safetensors_export: Path, tmp_path: Path):
    words = ["export", weights, "--format", "safetensors", "--out", shutil.copytree(safetensors_export, tmp_path / "out")]
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    refused = cmirnet(*words)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    assert cmirnet(*words, "--overwrite").code == 0
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize("guest", ["precious", None])
def test_a_folder_that_holds_anything_else_is_never_replaced(
    cmirnet: Call, weights: Path, safetensors_export: Path, tmp_path: Path, guest: str | None
):
    if guest:
        shutil.copytree(safetensors_export, tmp_path / "out")
        (tmp_path / "out" / guest).mkdir()
    else:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine")
    before = names(tmp_path / "out")
    refused = cmirnet("export", weights, "--format", "safetensors", "--out", tmp_path / "out", "--overwrite")
    assert refused.code == 2
    assert "holds other things than an export" in refused.err
    assert names(tmp_path / "out") == before


def test_weights_are_never_replaced_by_their_own_export(cmirnet: Call, safetensors_export: Path, tmp_path: Path):
    out = shutil.copytree(safetensors_export, tmp_path / "out")
    before = names(out)
    refused = cmirnet("export", out, "--format", "torch", "--out", out, "--overwrite")
    assert refused.code == 2
    assert "holds the weights that are to be exported" in refused.err
    assert names(out) == before


@pytest.mark.parametrize("out", [".", "", "sub/.."])
def test_a_place_without_a_name_of_its_own_is_refused(cmirnet: Call, weights: Path, tmp_path: Path, monkeypatch, out: str):
    monkeypatch.chdir(tmp_path)
    refused = cmirnet("export", weights, "--format", "safetensors", "--out", out)
    assert refused.code == 2
    assert "a folder of its own" in refused.err
    assert names(tmp_path) == set()


@pytest.mark.parametrize("format", [pytest.param("torch", marks=pytest.mark.slow), "safetensors"])
def test_a_full_disk_is_told_and_nothing_is_left(cmirnet: Call, weights: Path, mount: Callable[..., Path], format: str):
    disk = mount("-t", "tmpfs", "-o", "size=4m", "tmpfs")
    refused = cmirnet("export", weights, "--format", format, "--out", disk / "out")
    assert refused.code == 5
    assert "No space left" in refused.err
    assert names(disk) == set()


def test_samples_that_are_taken_again_are_not_counted_twice(cmirnet: Call, weights: Path, pictures: Path, tmp_path: Path):
    one = ["--images", next(pictures.iterdir()), "-e", "the red cup"]
    outcome = cmirnet("export", weights, "--format", "safetensors", *one, "--out", tmp_path / "out", "--json")
    assert outcome.data["parity"]["distinct"] == 1
    assert "4 times over 1 samples" in " ".join((tmp_path / "out" / "README.md").read_text().split())


def test_weights_without_their_tensors_are_an_error_of_weights(cmirnet: Call, weights: Path, tmp_path: Path):
    shutil.copytree(weights, tmp_path / "weights")
    (tmp_path / "weights" / "model.safetensors").unlink()
    assert cmirnet("export", tmp_path / "weights", "--out", tmp_path / "out").code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "torch", "--precision", "fp16"], "are for ONNX"),
        (["--format", "safetensors", "--split"], "are for ONNX"),
        (["--format", "safetensors", "--dynamic-size"], "--dynamic-size is for graphs"),
        (["--precision", "int8"], "int8 is calibrated on your data"),
        (["--images", "."], "belong together"),
        (["-e", "x"], "belong together"),
        (["--cache", ".", "--images", ".", "-e", "x"], "cannot both be given"),
        (["--cache", ".", "-e", "x"], "-e does not go with --cache"),
    ],
)
def test_options_that_contradict_each_other_are_refused_first(cmirnet: Call, weights: Path, tmp_path: Path, words: list[str], said: str):
    refused = cmirnet("export", weights, *words, "--out", tmp_path / "out")
    assert refused.code == 2
    assert said in " ".join(refused.err.split())
    assert not (tmp_path / "out").exists()


def test_a_swin_trunk_has_one_size(cmirnet: Call, swin_weights: Path, tmp_path: Path):
    refused = cmirnet("export", swin_weights, "--dynamic-size", "--format", "torch", "--out", tmp_path / "out")
    assert refused.code == 2
    assert "windows of a Swin backbone" in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_graph_of_any_size_takes_every_multiple_of_32(cmirnet: Call, weights: Path, sample_options: list[str], tmp_path: Path):
    outcome = cmirnet("export", weights, "--dynamic-size", *sample_options, "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    assert [(each["height"], each["width"]) for each in outcome.data["parity"]["batches"]] == [(64, 64), (64, 64), (128, 96), (64, 96)]
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    for batch, height, width in ((1, 64, 160), (2, 128, 96), (1, 224, 192)):
        inputs = random_inputs(batch, height, width)
        assert_close(session.run(None, inputs)[0], logits_of(weights, inputs))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "int8", "-e", "the red cup"], "at least two pairs"),
        (["--precision", "int8", "-e", "the red cup", "-e", "the red cup"], "at least two pairs"),
        (["-e", " "], "an expression is empty"),
    ],
)
def test_samples_that_cannot_do_are_refused_without_torch(weights: Path, pictures: Path, tmp_path: Path, words: list[str], said: str):
    lacking = "import sys; sys.modules['torch'] = None; from cmirnet_cli.app import run; sys.exit(run())"
    command = ["export", weights, "--images", next(pictures.iterdir()), *words, "--out", tmp_path / "out"]
    refused = subprocess.run([sys.executable, "-c", lacking, *map(str, command)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr


def test_weights_that_are_missing_are_an_error_of_weights(cmirnet: Call, tmp_path: Path):
    assert cmirnet("export", tmp_path / "nothing", "--out", tmp_path / "out").code == 4


def test_a_package_that_is_missing_is_named_with_how_to_get_it(cmirnet: Call, weights: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    refused = cmirnet("export", weights, "--out", tmp_path / "out")
    assert refused.code == 5
    assert "onnxscript" in refused.err
    assert "cmirnet[export]" in refused.err
    assert not (tmp_path / "out").exists()


def test_the_tokenizer_of_an_export_reads_as_the_weights_tokenizer_does(weights: Path, onnx_export: Path):
    texts = ["the red cup", "left person", "something else"]
    own, theirs = Tokenizer.from_file(str(onnx_export / "tokenizer.json")), load_weights(str(weights)).tokenizer
    assert [own.encode(text).ids for text in texts] == [theirs.encode(text) for text in texts]


def test_a_picture_is_prepared_as_export_json_says(onnx_export: Path):
    """By hand, with PIL and NumPy alone."""
    given, sample = spec(onnx_export)["input"], np.load(onnx_export / "sample.npz")
    picture = Image.fromarray(sample["pixels"][0])
    by_hand = (np.asarray(picture, np.float64) / 255 - given["mean"]) / given["std"]
    assert np.allclose(sample["image"][0], by_hand.transpose(2, 0, 1), atol=1e-5)
