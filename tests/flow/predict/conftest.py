"""A small model on the disk, and photographs of noise."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmirnet_cli.batches.tokens import word_tokenizer
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.segmenter import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig, save_bundle
from cmirnet_cli.weights.encoder import scratch_encoder

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the processes have that tests start: sums over several threads are rounded differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights that find both classes in noise."""
    torch.manual_seed(0)
    config = ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=24)
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
    folder = tmp_path_factory.mktemp("model") / "weights"
    save_bundle(Bundle(model, tokenizer, described), folder)
    return folder


def noise(seed: int, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30 + seed % 9, 40 - seed % 7, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, form)
    return encoded.getvalue()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of six formats in two folders, with a broken one among them."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (suffix, form) in enumerate([*FORMATS.items(), ("png", "PNG")]):
        file = folder / ("kitchen" if number % 2 else ".") / f"{number}.{suffix}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(noise(number, form))
    (folder / "3broken.jpg").write_bytes(noise(9, "JPEG")[:200])
    return folder
