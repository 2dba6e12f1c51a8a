"""Photographs are read whatever they are, or refused with a reason."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.engine.prediction.photos import as_pixels, read_photo
from cmirnet_cli.errors import ImageError

GREY = np.add.outer(np.arange(16), np.arange(24)).astype(np.uint8) * 6


def save(path: Path, size: tuple[int, int] = (24, 16), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GREY).resize(size).convert("RGB").save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "gif"])
def test_every_format_is_read(tmp_path: Path, suffix: str):
    assert np.abs(read_photo(save(tmp_path / f"a.{suffix}")).pixels.astype(int) - GREY[..., None]).max() <= 16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = read_photo(save(tmp_path / "a.png", exif=exif)).pixels
    turned = {1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T, 6: np.rot90(GREY, -1), 8: np.rot90(GREY)}
    expected = turned.get(orientation, GREY[::-1, ::-1].T)
    assert np.array_equal(upright[..., 0], expected)


def test_the_first_frame_of_a_gif_is_taken(tmp_path: Path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_photo(tmp_path / "a.gif").pixels == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str):
    path = tmp_path / "a.tiff"
    if mode == "I;16":
        Image.fromarray(GREY.astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(GREY).convert("RGB").convert(mode).save(path)
    pixels = read_photo(path).pixels
    assert pixels.shape == (16, 24, 3)
    assert np.abs(pixels.astype(int) - GREY[..., None]).mean() <= {"1": 128, "P": 26}.get(mode, 3)


def enormous() -> bytes:
    """A PNG of 2.5 gigapixels in a hundred bytes."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(buffer, form)
    return buffer.getvalue()


BROKEN = {
    "empty": b"",
    "words": b"these are words",
    "noise": np.random.default_rng(1).bytes(400),
    "bomb": enormous(),
    **{f"half a {form}": encoded(form)[:-700] for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_an_image_error_that_names_it(tmp_path: Path, kind: str):
    (tmp_path / "broken.jpg").write_bytes(BROKEN[kind])
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        read_photo(tmp_path / "broken.jpg")


def test_what_is_no_file_is_an_image_error_and_nobody_waits_for_it(tmp_path: Path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("missing")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    for name in ("folder.jpg", "pipe.jpg", "nowhere.jpg", "circle.jpg", "missing.jpg", "x" * 300 + ".jpg"):
        with pytest.raises(ImageError, match=name[:20]):
            read_photo(tmp_path / name)


def test_random_damage_is_never_another_error(tmp_path: Path):
    random, path = np.random.default_rng(0), tmp_path / "a.jpg"
    for form in ("JPEG", "PNG", "WEBP", "GIF"):
        for _ in range(40):
            data = bytearray(encoded(form))
            for place in random.integers(0, len(data), 5):
                data[place] = random.integers(256)
            path.write_bytes(bytes(data[: random.integers(1, len(data))]))
            with suppress(ImageError):
                assert read_photo(path).pixels.shape[2] == 3


def test_a_pil_image_without_pixels_is_an_image_error():
    with pytest.raises(ImageError, match="empty: it has 0 × 5 pixels"):
        as_pixels(Image.new("RGB", (0, 5)))
