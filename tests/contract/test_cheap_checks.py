"""What can be seen without torch is said before torch is loaded: the mistakes people make, each in a process that has no torch."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from cmirnet_cli.app import run
from cmirnet_cli.config import ModelConfig
from cmirnet_cli.weights.folder import BundleConfig

WITHOUT_TORCH = """
import contextlib, io, json, sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "timm", "accelerate"):
            raise ImportError(f"{name} is not to be loaded")
sys.meta_path.insert(0, Refused())
from cmirnet_cli.app import run
ended = {}
for line, words in json.loads(sys.argv[1]).items():
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run(words)
    ended[line] = [code, said.getvalue()]
print(json.dumps(ended))
"""

MISTAKES = {
    "train --preset refcoco-swim-b": (2, "did you mean refcoco-swin-b?"),
    "train --preset refcoco-swin-b": (3, "there is no prepared cache of refcoco (unc) in cache: it holds mine (jsonl)"),
    "train --preset refcoco-swin-b --dataset mine": (3, "holds 96 px; 480 px are required as well"),
    "train --backbone resnet50 --dataset mine": (
        3,
        "cmirnet prepare-data mine.jsonl --size 96 --size 480 --size 520 --out cache --overwrite",
    ),
    "train --preset smoke --dataset others": (3, "there is no prepared cache of others in cache"),
    "train --preset smoke --cache nowhere": (3, "there is no prepared cache in nowhere"),
    "train --preset smoke --cache no-val": (3, "the cache has no split 'val', only train"),
    "train --preset smoke --run-dir taken": (2, "the run directory taken already holds files"),
    "train --preset smoke --init-from nowhere": (4, "no weights at nowhere"),
    "train --preset smoke --init-from nowhere.pth": (4, "there is no checkpoint nowhere.pth"),
    "train --preset smoke --init-from weights": (2, "the weights at weights are of another model: model.backbone is swin-nano there"),
    "train --preset smoke --backbone-weights nowhere.pth": (4, "there is no such file"),
    "train --preset smoke --backbone-weights imagenet": (4, "there are no ImageNet weights for resnet-nano"),
    "train --preset smoke --set text.source=./nowhere": (4, "there is no folder ./nowhere with a text encoder"),
    "train --preset smoke --set text.source=taken": (4, "the text encoder 'taken' has no config.json"),
    "train --preset smoke --dry-run --cache nowhere": (3, "there is no prepared cache in nowhere"),
    "train --resume nowhere": (2, "nowhere is not a run directory"),
    "eval taken/mistyped": (4, "no weights at taken/mistyped"),
    "eval nowhere": (4, "no weights at nowhere"),
    "eval cut": (4, "model.safetensors cannot be read"),
    "predict weights photos -e cup --tokenizer taken": (2, "a tokenizer is for official checkpoints; weights has its own"),
    "export weights --format onnx --out new --tokenizer taken": (2, "a tokenizer is for official checkpoints; weights has its own"),
    "app weights --tokenizer taken": (2, "a tokenizer is for official checkpoints; weights has its own"),
    "eval weights --split testA": (3, "has no split 'testA'"),
    "eval weights --dataset others": (3, "there is no prepared cache of others in cache"),
    "eval large": (3, "holds 96 px; 480 px are required as well"),
    "eval official/refcoco.pth": (3, "holds 96 px; 480 px are required as well"),
    "eval weights --save-masks": (2, "--save-masks has no folder to keep masks in"),
    "eval weights --compare nowhere": (4, "no weights at nowhere"),
    "eval weights --optimizations quick": (2, "there is no optimization 'quick'"),
    "eval weights --report taken": (2, "--report taken is a folder"),
    "predict weights photos -e cup --actors 2": (2, "--actors is for --engine ray"),
    "predict weights photos -e cup --engine ray --device cuda:1": (2, "--device cuda:1 names a device of this machine"),
    "predict weights photos -e cup --engine ray --ray-address 127.0.0.1:9": (1, "the Ray cluster at 127.0.0.1:9 cannot be reached"),
    "predict nowhere photos -e cup": (4, "no weights at nowhere"),
    "predict cut photos -e cup": (4, "model.safetensors cannot be read"),
    "predict official/refcoco.pth photos -e cup --tokenizer ./nowhere": (4, "there is no folder ./nowhere with a tokenizer"),
    "predict weights nowhere -e cup": (3, "nowhere"),
    "predict weights taken -e cup": (3, "holds no images"),
    "predict weights photos": (2, "there is no expression"),
    "predict weights photos -e cup --optimizations quick": (2, "there is no optimization 'quick'"),
    "predict weights photos --expressions nowhere.txt": (3, "nowhere.txt"),
    "predict weights photos -e cup --out predicted": (2, "predicted holds predictions already"),
    "export nowhere": (4, "no weights at nowhere"),
    "export official/refcoco.pth --tokenizer taken": (4, "the folder taken holds no tokenizer.json and no vocab.txt"),
    "export weights --out taken": (2, "taken exists already and holds other things than an export"),
    "export weights --images nowhere -e cup": (3, "nowhere"),
    "export weights --cache nowhere": (3, "there is no prepared cache in nowhere"),
    "export weights --cache cache --cache-split testA": (3, "has no split 'testA'"),
    "convert nowhere.pth out": (4, "there is no checkpoint nowhere.pth"),
    "convert official/refcoco.pth out --tokenizer taken/nowhere": (4, "there is no folder taken/nowhere with a tokenizer"),
    "convert mine.jsonl taken": (2, "taken exists already and holds other things than weights"),
    "cache-features nowhere": (3, "there is no prepared cache in nowhere"),
    "cache-features cache --weights nowhere": (4, "no weights at nowhere"),
    "cache-features cache --set text.source=./nowhere": (4, "there is no folder ./nowhere with a text encoder"),
    "benchmark infer nowhere": (4, "no weights at nowhere"),
    "benchmark infer --backbone swin-x": (2, "swin-x"),
    "benchmark infer --images nowhere": (3, "nowhere"),
    "benchmark train --backbone swin-x": (2, "swin-x"),
    "benchmark data --dataset others": (3, "there is no prepared cache of others in cache"),
    "benchmark data --dataset mine --split testA": (3, "has no split 'testA'"),
    "cache info nowhere": (3, "there is no prepared cache in nowhere"),
    "cache show cache --split testA": (3, "has no split 'testA'"),
    "presets cp smoke nowhere/mine.yaml": (2, "folder nowhere does not exist"),
    "presets show smok": (2, "did you mean smoke?"),
    "prepare-data mine.jsonl --for swin-x": (2, "there is no preset and no backbone 'swin-x'"),
    "prepare-data nowhere.jsonl": (3, "nowhere.jsonl"),
}


def write_weights(folder: Path, backbone: str, image_size: int) -> None:
    """The outside of a weights folder: its config.json, and tensors that nobody reads."""
    folder.mkdir()
    config = BundleConfig(model=ModelConfig(backbone=backbone), encoder={}, tokens=20, image_size=image_size)
    (folder / "config.json").write_text(config.model_dump_json())
    save_file({"network.x": np.zeros(3, np.float32)}, folder / "model.safetensors")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Command line → exit code and what was said, in a folder that holds a little of everything."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "photos").mkdir()
    lines = []
    for number, split in enumerate(("train", "train", "train", "train", "val")):
        Image.new("RGB", (40, 30), (40 * number, 90, 20)).save(folder / f"photos/{number}.png")
        line = {"image": f"photos/{number}.png", "expression": "the red cup", "polygons": [[2, 2, 20, 2, 20, 20]], "split": split}
        lines.append(json.dumps(line))
    (folder / "mine.jsonl").write_text("\n".join(lines))
    (folder / "train-only.jsonl").write_text("\n".join(lines[:4]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["prepare-data", "mine.jsonl", "--for", "smoke", "--quiet"]) == 0
        assert run(["prepare-data", "train-only.jsonl", "--for", "smoke", "--out", "no-val", "--quiet"]) == 0
    for made, content in (("taken", "notes.txt"), ("predicted", "predictions.jsonl")):
        (folder / made).mkdir()
        (folder / made / content).write_text("{}\n")
    write_weights(folder / "weights", "swin-nano", 96)
    write_weights(folder / "large", "swin-b", 480)
    write_weights(folder / "cut", "swin-nano", 96)
    (folder / "cut/model.safetensors").write_bytes(b"\x90")
    (folder / "official").mkdir()
    (folder / "official/vocab.txt").touch()
    (folder / "official/refcoco.pth").write_bytes(b"PK\x03\x04, which is how those of PyTorch begin")
    lines = json.dumps({line: shlex.split(line) for line in MISTAKES})
    ended = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, lines], cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout)


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_that_can_be_seen_without_torch_is_told_without_torch(told, line):
    code, words = MISTAKES[line]
    assert told[line][0] == code, told[line][1]
    assert words in told[line][1]
    assert "\nhint: " in told[line][1]
