"""Photographs of noise."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF"}


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
