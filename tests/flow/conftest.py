"""Whole commands, run as a user runs them but inside this process."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from cmirnet_cli.app import run
from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig, save_bundle
from cmirnet_cli.weights.encoder import scratch_encoder


@dataclass(frozen=True)
class Outcome:
    """What a command line came to: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def cmirnet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def coco128(shared_data: Path) -> Path:
    """Photographs of COCO with templated expressions, in REFER layout."""
    return shared_data / "coco128_refer"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights that find both classes in noise."""
    return _write_random_weights(tmp_path_factory.mktemp("model") / "weights", "resnet-nano")


@pytest.fixture(scope="session")
def swin_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a small Swin transformer as its backbone."""
    return _write_random_weights(tmp_path_factory.mktemp("model") / "weights", "swin-nano")


def _write_random_weights(folder: Path, backbone: str) -> Path:
    """A small network at 64 px with a small text encoder, whose main head is balanced on noise."""
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    tokenizer = word_tokenizer(["the red cup", "left person"])
    encoder = scratch_encoder(TextConfig(source="scratch"), config.text_width, tokenizer)
    model = ReferringModel(build_network(config), TextEncoder(encoder))
    noise = torch.randn(4, 3, 64, 64), torch.randint(4, 8, (4, 20)), torch.ones(4, 20, dtype=torch.bool)
    with torch.no_grad():
        for _ in range(10):
            model.train()(*noise)
        background, referent = model.eval()(*noise).main.unbind(dim=1)
        model.network.heads[-1].bias[1] -= (referent - background).median()
    described = BundleConfig(model=config, encoder=encoder.config.to_dict(), tokens=20, image_size=64, dataset="made")
    save_bundle(Bundle(model, tokenizer, described), folder)
    return folder


@pytest.fixture(scope="session")
def photographs(coco128: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of real photographs at 64 and 96 px: 82 sentences in `val`, 262 in `train`; beside it, prepared.json holds what was said."""
    out, said = tmp_path_factory.mktemp("road") / "cache", io.StringIO()
    source = ["--split-by", "template", "--annotations", str(coco128), "--images", str(coco128 / "images")]
    with contextlib.redirect_stdout(said):
        assert run(["prepare-data", "refcoco128", *source, "--out", str(out), "--size", "64", "--size", "96", "--json"]) == 0
    (out.parent / "prepared.json").write_text(said.getvalue())
    return out


@pytest.fixture(scope="session")
def road(photographs: Path) -> Path:
    """A folder with these photographs in `cache`, and in `run` a small model that was trained on them for one epoch."""
    places = ["--cache", str(photographs), "--run-dir", str(photographs.parent / "run")]
    assert run(["train", "--preset", "smoke", "--epochs", "1", *places, "--device", "cpu", "--quiet"]) == 0
    return photographs.parent


@pytest.fixture(scope="session")
def prepared_scenes(tmp_path_factory):
    """Draws scenes and prepares them: `prepared_scenes(size, train=9, val=5)` is the folder of the cache."""

    def prepare(size: int, **images: int) -> Path:
        from cmirnet_cli.scenes import write_scenes

        folder = tmp_path_factory.mktemp("drawn")
        write_scenes(folder / "data", images=images)
        words = ["prepare-data", "scenes", "--split-by", "demo", "--data", str(folder / "data"), "--size", str(size)]
        assert run([*words, "--out", str(folder / "cache")]) == 0
        return folder / "cache"

    return prepare


class Mounts:
    """Mounts file systems at new folders; a test that may not is skipped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folders: list[Path] = []

    def __call__(self, *arguments: object) -> Path:
        folder = self.home / f"mounted-{len(self.folders)}"
        folder.mkdir()
        self.change(folder, *arguments)
        self.folders.append(folder)
        return folder

    def change(self, folder: Path, *arguments: object) -> None:
        done = subprocess.run(["mount", *map(str, arguments), str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is refused here (it needs root): {done.stderr.strip()}")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mounts]:
    """Mounts something at a new folder, until the test ends."""
    if shutil.which("mount") is None:
        pytest.skip("this system has no mount command")
    mounts = Mounts(tmp_path)
    yield mounts
    for folder in reversed(mounts.folders):
        subprocess.run(["umount", str(folder)], check=True)
