"""An export that does not compute what its weights compute is refused, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.folder import ExportSource, export
from cmirnet_cli.export.preprocessing import ExportSample, Samples
from cmirnet_cli.export.spec import ExportOptions
from cmirnet_cli.export.verification import verify
from cmirnet_cli.files import sha256_of
from cmirnet_cli.images.pixels import resized
from cmirnet_cli.scenes import drawn_pairs
from cmirnet_cli.weights.bundle import Bundle, save_bundle
from cmirnet_cli.weights.source import load_weights

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def samples() -> Samples:
    """Four scenes."""
    return Samples("drawn scenes", tuple(ExportSample(resized(image, 96, 96), text) for image, text in drawn_pairs(4, 96)))


def copied(exported: Path, folder: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    """An export with another graph, whose digest is right."""
    for path in exported.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")
    said = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps({**said, "files": {"model.onnx": sha256_of(folder / "model.onnx")}}))
    return folder


def proved(exported: Path, weights: Path, samples: Samples) -> None:
    verify(exported, load_weights(str(weights)), samples.compared, samples.source, lambda compared: None)


def a_little_more(model: onnx.ModelProto) -> None:
    """Adds 0.01 of their deviation to the logits of one class."""
    graph = model.graph
    (last,) = (node for node in graph.node if "logits" in node.output)
    last.output[0] = "nearly"
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0.01], np.float32).reshape(1, 2, 1, 1), "more"))
    graph.node.append(helper.make_node("Add", ["nearly", "more"], ["logits"], name="more"))


def deaf(model: onnx.ModelProto) -> None:
    """Reads the mask of the first sentence for all."""
    for node in model.graph.node:
        node.input[:] = ["first" if name == "attention_mask" else name for name in node.input]
    indices = numpy_helper.from_array(np.array([0], np.int64), "zero")
    model.graph.initializer.append(indices)
    shape = helper.make_node("Shape", ["attention_mask"], ["whole"], name="whole")
    take = helper.make_node("Gather", ["attention_mask", "zero"], ["one"], name="one", axis=0)
    model.graph.node.insert(0, shape)
    model.graph.node.insert(1, take)
    model.graph.node.insert(2, helper.make_node("Expand", ["one", "whole"], ["first"], name="first"))


def foreign(model: onnx.ModelProto) -> None:
    """Renames an operator into one that is not standard."""
    next(node for node in model.graph.node if node.op_type == "Gelu").domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def test_a_true_graph_is_accepted(onnx_export: Path, weights: Path, samples: Samples, tmp_path: Path):
    proved(copied(onnx_export, tmp_path, lambda model: None), weights, samples)


@pytest.mark.parametrize(
    ("change", "said"),
    [(a_little_more, "of their deviation"), (deaf, "of their deviation"), (foreign, "not standard: com.microsoft::Gelu")],
)
def test_a_wrong_graph_is_found(onnx_export: Path, weights: Path, samples: Samples, tmp_path: Path, change: Any, said: str):
    with pytest.raises(ExportError, match=said):
        proved(copied(onnx_export, tmp_path, change), weights, samples)


def test_an_export_that_prepares_images_otherwise_is_found(onnx_export: Path, weights: Path, samples: Samples, tmp_path: Path):
    exported = copied(onnx_export, tmp_path, lambda model: None)
    said = json.loads((exported / "export.json").read_text())
    said["input"]["mean"][2] += 0.001
    (exported / "export.json").write_text(json.dumps(said))
    with pytest.raises(ExportError, match="prepares images differently"):
        proved(exported, weights, samples)


def test_an_export_whose_tokenizer_reads_otherwise_is_found(onnx_export: Path, weights: Path, samples: Samples, tmp_path: Path):
    exported = copied(onnx_export, tmp_path, lambda model: None)
    said = json.loads((exported / "tokenizer.json").read_text())
    vocabulary = said["model"]["vocab"]
    unknown = said["model"]["unk_token"]
    vocabulary[unknown], vocabulary["cup"] = vocabulary["cup"], vocabulary[unknown]
    (exported / "tokenizer.json").write_text(json.dumps(said))
    spec = json.loads((exported / "export.json").read_text())
    (exported / "export.json").write_text(json.dumps({**spec, "tokenizer": sha256_of(exported / "tokenizer.json")}))
    with pytest.raises(ExportError, match=r"tokenizer\.json reads"):
        proved(exported, weights, samples)


def changing(weights: Path) -> Iterator[Bundle]:
    """The weights, and then others: what is written differs from what is loaded afresh."""
    yield load_weights(str(weights))
    other = load_weights(str(weights))
    with torch.no_grad():
        other.model.network.heads[-1].weight[1] *= 1.01
    yield other


def test_nothing_is_left_of_an_export_that_differs(weights: Path, samples: Samples, tmp_path: Path):
    loaded = changing(weights)
    with pytest.raises(ExportError, match="does not agree with its weights"):
        export(ExportSource("w", "0", lambda: next(loaded)), tmp_path / "out", ExportOptions("safetensors"), samples)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_differs_does_not_take_the_place_of_an_earlier_one(weights: Path, samples: Samples, tmp_path: Path):
    source = ExportSource("w", "0", lambda: load_weights(str(weights)))
    export(source, tmp_path / "out", ExportOptions("safetensors"), samples)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    loaded = changing(weights)
    with pytest.raises(ExportError):
        export(replace(source, load=lambda: next(loaded)), tmp_path / "out", ExportOptions("safetensors"), samples)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_weights_too_large_for_fp16_end_with_exit_code_5_and_no_export(cmirnet: Call, weights: Path, tmp_path: Path):
    large = load_weights(str(weights))
    with torch.no_grad():
        large.model.network.heads[-1].weight *= 1e7
        large.model.network.heads[-1].bias *= 1e7
    save_bundle(large, tmp_path / "weights")
    refused = cmirnet("export", tmp_path / "weights", "--precision", "fp16", "--out", tmp_path / "out")
    assert refused.code == 5
    assert "does not agree with its weights" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_running_an_export_without_onnxruntime_names_the_extra(onnx_export: Path, tmp_path: Path):
    code = "import sys; sys.modules['onnxruntime'] = None; from cmirnet_cli.app import run; sys.exit(run(sys.argv[1:]))"
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    words = ["predict", onnx_export, photo, "-e", "x", "-o", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "needs onnxruntime" in done.stderr
    assert "cmirnet[export]" in done.stderr
