"""`cmirnet predict` and `cmirnet eval` with an export in the place of weights."""

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
import pytest
import torch
from PIL import Image

from cmirnet_cli.commands.models import export_device
from cmirnet_cli.engine.devices import has_bf16
from cmirnet_cli.engine.processes import ALONE, Process
from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.runtime import CUDA, runtime
from cmirnet_cli.model.fast.names import OPTIMIZATIONS

Call = Callable[..., Any]
EXPRESSIONS = ("-e", "the red cup", "-e", "left person")
CPU = ("--device", "cpu")

WITHOUT_TORCH = """
import sys
from cmirnet_cli.app import run
code = run(sys.argv[1:])
print(code, sorted({"torch", "torchvision", "timm", "transformers", "accelerate", "onnx"} & set(sys.modules)), file=sys.stderr)
"""

IN_LITTLE_MEMORY = """
import resource, sys
import numpy, onnxruntime
from cmirnet_cli.app import run
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + 1_500_000_000,) * 2)
sys.exit(run(sys.argv[1:]))
"""


def masks(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) > 0 for path in (folder / "masks").iterdir()}


def scores(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "scores.json").read_text())


@pytest.fixture(scope="session")
def scenes(prepared_scenes: Any) -> Path:
    """A cache of drawn scenes."""
    made: Path = prepared_scenes(64, train=2, val=6)
    return made


def test_masks_of_an_export_are_those_of_its_weights(cmirnet: Call, weights: Path, onnx_export: Path, pictures: Path, tmp_path: Path):
    for name, source in (("weights", weights), ("exported", onnx_export)):
        outcome = cmirnet("predict", source, pictures, *EXPRESSIONS, "-o", tmp_path / name, *CPU)
        assert outcome.code == 0, outcome.err
    ours, theirs = masks(tmp_path / "exported"), masks(tmp_path / "weights")
    assert ours.keys() == theirs.keys()
    assert len(ours) == 24
    assert np.mean([np.mean(ours[name] == theirs[name]) for name in ours]) > 0.9999
    assert 0.05 < np.mean([mask.mean() for mask in ours.values()]) < 0.95


def test_photos_that_go_through_an_export_together_have_their_own_masks(cmirnet: Call, onnx_export: Path, pictures: Path, tmp_path: Path):
    for count in (1, 5):
        outcome = cmirnet("predict", onnx_export, pictures, *EXPRESSIONS, "-o", tmp_path / str(count), "--batch-size", count, *CPU)
        assert outcome.code == 0, outcome.err
    together, alone = masks(tmp_path / "5"), masks(tmp_path / "1")
    assert together.keys() == alone.keys()
    assert min(np.mean(together[name] == alone[name]) for name in alone) > 0.999


def test_soft_masks_of_an_export_are_those_of_its_weights(cmirnet: Call, weights: Path, onnx_export: Path, pictures: Path, tmp_path: Path):
    photo = next(pictures.iterdir())
    found = []
    for name, source in (("weights", weights), ("exported", onnx_export)):
        assert cmirnet("predict", source, photo, *EXPRESSIONS, "--soft", "-o", tmp_path / name, *CPU).code == 0
        (file, _) = sorted((tmp_path / name / "probabilities").iterdir())
        found.append(np.asarray(Image.open(file)).astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1


def test_predicting_from_an_export_imports_no_torch(int8_export: Path, pictures: Path, tmp_path: Path):
    photo = next(pictures.iterdir())
    words = [
        "predict",
        int8_export,
        photo,
        *EXPRESSIONS,
        "--overlay",
        "--gallery",
        "--coco",
        tmp_path / "coco.json",
        "-o",
        tmp_path / "out",
        *CPU,
    ]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "0 []"
    assert len(masks(tmp_path / "out")) == 2


def test_expressions_that_a_graph_cuts_are_named(cmirnet: Call, onnx_export: Path, pictures: Path, tmp_path: Path):
    outcome = cmirnet("predict", onnx_export, next(pictures.iterdir()), "-e", "cup " * 30, "-o", tmp_path / "out", *CPU)
    assert outcome.code == 0
    assert "cut at 20 tokens" in outcome.err


@pytest.mark.parametrize("exported", ["onnx_export", "int8_export"])
def test_an_earlier_run_is_continued_with_the_same_export_only(
    cmirnet: Call, request: pytest.FixtureRequest, weights: Path, pictures: Path, tmp_path: Path, exported: str
):
    words = pictures, "-e", "the red cup", "-o", tmp_path / "out", *CPU
    source = request.getfixturevalue(exported)
    assert cmirnet("predict", source, *words).code == 0
    again = cmirnet("predict", source, *words, "--skip-existing", "--json")
    assert again.data["skipped"] == 12
    assert cmirnet("predict", weights, *words, "--skip-existing").code == 2


def test_scores_of_an_export_are_those_of_its_weights(cmirnet: Call, weights: Path, onnx_export: Path, scenes: Path, tmp_path: Path):
    for name, source in (("weights", weights), ("exported", onnx_export)):
        outcome = cmirnet("eval", source, "--cache", scenes, "--split", "val", "--out", tmp_path / name, *CPU)
        assert outcome.code == 0, outcome.err
    ours, theirs = scores(tmp_path / "exported"), scores(tmp_path / "weights")
    assert ours["data"] == theirs["data"]
    for protocol in ("paper", "original"):
        for name in ("overall_iou", "mean_iou"):
            assert ours["splits"]["val"][protocol][name] == pytest.approx(theirs["splits"]["val"][protocol][name], abs=0.02)


def test_two_graphs_in_int8_score_near_their_weights_and_say_that_they_are_int8(
    cmirnet: Call, weights: Path, int8_export: Path, scenes: Path
):
    words = "--cache", scenes, "--batch-size", 3, "--json", *CPU
    found, expected = (cmirnet("eval", source, *words) for source in (int8_export, weights))
    assert found.code == 0, found.err
    assert found.data["settings"].items() >= {"precision": "int8", "optimizations": [], "image_size": 64}.items()
    scored, others = (outcome.data["splits"]["val"]["paper"]["mean_iou"] for outcome in (found, expected))
    assert 0 < abs(scored - others) < 5


def test_an_export_is_compared_with_its_weights(cmirnet: Call, weights: Path, onnx_export: Path, scenes: Path):
    outcome = cmirnet("eval", onnx_export, "--cache", scenes, "--compare", weights, "--json", *CPU)
    assert outcome.code == 0, outcome.err
    assert outcome.data["comparison"]["with"]["source"] == str(weights)


def test_an_export_knows_the_data_its_weights_were_trained_on(onnx_export: Path):
    assert json.loads((onnx_export / "export.json").read_text())["origin"]["dataset"] == "made"


@pytest.mark.parametrize("words", [["--precision", "bf16"], ["--optimizations", "none"], ["--optimizations", "winograd"]])
def test_how_an_export_is_computed_was_fixed_when_it_was_exported(
    cmirnet: Call, onnx_export: Path, scenes: Path, pictures: Path, tmp_path: Path, words: list[str]
):
    evaluated = cmirnet("eval", onnx_export, "--cache", scenes, *words)
    predicted = cmirnet("predict", onnx_export, pictures, "-e", "the red cup", "-o", tmp_path / "out", *words)
    for refused in (evaluated, predicted):
        assert refused.code == 2
        assert "is an export, whose arithmetic is fixed" in " ".join(refused.err.split())
    assert not (tmp_path / "out").exists()


def test_a_program_of_torch_is_refused_with_what_to_do(cmirnet: Call, onnx_export: Path, pictures: Path, tmp_path: Path):
    exported = shutil.copytree(onnx_export, tmp_path / "exported")
    said = json.loads((exported / "export.json").read_text())
    (exported / "export.json").write_text(json.dumps({**said, "format": "torch"}))
    refused = cmirnet("predict", exported, pictures, "-e", "the red cup", "-o", tmp_path / "out")
    assert refused.code == 5
    assert "--format onnx" in refused.err


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda exported: overwritten(exported / "model.onnx"), "model.onnx"),
        (lambda exported: (exported / "model.onnx").unlink(), "model.onnx"),
        (lambda exported: (exported / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda exported: overwritten(exported / "tokenizer.json"), "tokenizer.json"),
        (lambda exported: (exported / "export.json").write_text("{}"), "export.json"),
        (lambda exported: (exported / "export.json").write_text("nonsense"), "export.json"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "eval"])
def test_a_damaged_export_is_refused_by_the_name_of_the_file(
    cmirnet: Call,
    onnx_export: Path,
    scenes: Path,
    pictures: Path,
    tmp_path: Path,
    damage: Callable[[Path], object],
    named: str,
    command: str,
):
    exported = shutil.copytree(onnx_export, tmp_path / "exported")
    damage(exported)
    words = [pictures, "-e", "the red cup", "-o", tmp_path / "out"] if command == "predict" else ["--cache", scenes]
    refused = cmirnet(command, exported, *words, *CPU)
    assert refused.code == 5
    assert named in refused.err
    assert not (tmp_path / "out").exists()


def test_a_graph_that_onnx_runtime_cannot_read_is_refused_though_its_digest_is_right(
    cmirnet: Call, onnx_export: Path, pictures: Path, tmp_path: Path
):
    exported = shutil.copytree(onnx_export, tmp_path / "exported")
    model = onnx.load(exported / "model.onnx")
    model.graph.node[5].op_type = "NoSuchOperator"
    onnx.save(model, exported / "model.onnx")
    stamp(exported)
    refused = cmirnet("predict", exported, pictures, "-e", "the red cup", "-o", tmp_path / "out", *CPU)
    assert refused.code == 5
    assert "ONNX Runtime cannot load" in refused.err


def test_a_graph_that_takes_other_inputs_is_refused_though_its_digest_is_right(
    cmirnet: Call, onnx_export: Path, int8_export: Path, pictures: Path, tmp_path: Path
):
    exported = shutil.copytree(onnx_export, tmp_path / "exported")
    shutil.copy(int8_export / "vision.onnx", exported / "model.onnx")
    stamp(exported)
    refused = cmirnet("predict", exported, pictures, "-e", "the red cup", "-o", tmp_path / "out", *CPU)
    assert refused.code == 5
    assert "ONNX Runtime cannot run model.onnx" in refused.err


@pytest.mark.slow
def test_a_batch_that_memory_does_not_hold_is_no_damaged_export(onnx_export: Path, pictures: Path, tmp_path: Path):
    words = ["predict", onnx_export, next(pictures.iterdir()), "-e", "the red cup", "--batch-size", 2000, "-o", tmp_path / "out", *CPU]
    done = subprocess.run([sys.executable, "-c", IN_LITTLE_MEMORY, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: out of memory: [ONNXRuntimeError]")
    assert "use a smaller batch" in done.stderr


def stamp(exported: Path) -> None:
    from cmirnet_cli.files import sha256_of

    said = json.loads((exported / "export.json").read_text())
    said["files"] = {name: sha256_of(exported / name) for name in said["files"]}
    (exported / "export.json").write_text(json.dumps(said))


@pytest.mark.slow
def test_weights_in_every_way_and_their_exports_are_timed_on_the_photographs_that_there_are(
    cmirnet: Call, weights: Path, onnx_export: Path, int8_export: Path, pictures: Path, tmp_path: Path
):
    shutil.copy(next(pictures.iterdir()), tmp_path)
    exports = ["--exported", onnx_export, "--exported", int8_export]
    words = ["--images", tmp_path, "--count", 2, "--rounds", 1, *EXPRESSIONS, "--json", *CPU]
    outcome = cmirnet("benchmark", "infer", weights, *exports, *words)
    assert outcome.code == 0, outcome.err
    found, formats = outcome.data, ["fp32", "bf16"] if has_bf16(torch.device("cpu")) else ["fp32"]
    assert list(found["ways"]) == ["plain", "one head", *formats, str(onnx_export), str(int8_export)]
    assert list(found["matrix_product_gflops_per_second"]) == formats
    assert (found["images"], found["expressions"], found["agrees"]) == (1, 2, True)
    assert list(found["optimizations"]) == [name for name in OPTIMIZATIONS if name != "compile"]
    assert found["ways"]["plain"]["times_faster_than_plain"]["median"] == 1.0
    assert found["ways"]["fp32"]["agreement"]["pixels"] >= 0.9995
    fp32, int8 = (found["ways"][str(exported)] for exported in (onnx_export, int8_export))
    assert fp32["agreement"]["error"] < 1e-3
    assert int8["agreement"]["error"] > 1e-3
    assert int8["agreement"]["pixels"] > 0.95


def test_an_export_of_other_weights_is_not_timed(cmirnet: Call, swin_weights: Path, onnx_export: Path):
    refused = cmirnet("benchmark", "infer", swin_weights, "--exported", onnx_export, *CPU)
    assert refused.code == 2
    assert "was not exported from" in refused.err


@pytest.mark.skipif(CUDA in runtime().get_available_providers(), reason="ONNX Runtime has a GPU here")
def test_an_export_runs_where_onnx_runtime_can_and_that_is_what_is_told():
    for process in (ALONE, Process(1, 2)):
        assert export_device("auto", process) == export_device("cpu", process) == "cpu"
        with pytest.raises(UsageError, match="no device 'cuda'"):
            export_device("cuda", process)
