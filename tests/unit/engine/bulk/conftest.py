"""Small pictures, and archives of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import fsspec
import pytest
from PIL import Image


def picture(shade: int = 0) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, 0, 0)).save(encoded, "PNG")
    return encoded.getvalue()


def write_tar(file: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(file, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


@pytest.fixture
def memory() -> fsspec.AbstractFileSystem:
    """An empty bucket store in memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    return system
