"""Kinds of picture files: HEIC written by pillow-heif and read again, and files that are something else, named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.engine.prediction.photos import read_photo
from cmirnet_cli.errors import ImageError
from cmirnet_cli.images import formats
from cmirnet_cli.images.formats import is_read, kind_of, pil_formats, suffixes, why_unknown

STRIPES = np.zeros((48, 64, 3), np.uint8)
STRIPES[:, :32] = (200, 30, 30)
STRIPES[:24, 32:] = (30, 30, 200)


def heic(path: Path, picture: Image.Image, **options: object) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra [heic] is not installed")
    pillow_heif.from_pillow(picture).save(path, quality=95, **options)
    return path


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "a.heif", "named.jpg"])
def test_heic_is_read_whatever_it_is_called(tmp_path: Path, name: str):
    pixels = read_photo(heic(tmp_path / name, Image.fromarray(STRIPES))).pixels
    assert pixels.shape == STRIPES.shape
    assert np.abs(pixels.astype(int) - STRIPES).mean() < 4


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_heic_is_turned_by_its_own_transformation_and_not_once_more_by_exif(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    heic(tmp_path / "plain.heic", Image.fromarray(STRIPES))
    Image.open(tmp_path / "plain.heic", formats=pil_formats()).save(tmp_path / "told.heic", "HEIF", exif=exif, quality=95)
    turned = Image.open(tmp_path / "told.heic", formats=pil_formats())
    assert turned.info["original_orientation"] == orientation, "the file does say so"
    np.testing.assert_array_equal(read_photo(tmp_path / "told.heic").pixels, np.asarray(turned.convert("RGB")))


@pytest.mark.parametrize("kind", ["AVIF", "JPEG 2000"])
def test_less_usual_kinds_are_read_where_pillow_reads_them(tmp_path: Path, kind: str):
    if not is_read(kind):
        pytest.skip(f"this Pillow does not read {kind}")
    Image.fromarray(STRIPES).save(tmp_path / "a", {"AVIF": "AVIF", "JPEG 2000": "JPEG2000"}[kind])
    assert np.abs(read_photo(tmp_path / "a").pixels.astype(int) - STRIPES).mean() < 4


def test_heic_without_the_extra_says_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = heic(tmp_path / "a.jpg", Image.fromarray(STRIPES))
    usual = tuple(name for name in pil_formats() if name != "HEIF")
    monkeypatch.setattr("cmirnet_cli.images.pixels.pil_formats", lambda: usual)
    monkeypatch.setattr(formats, "_registers_heic", lambda: False)
    with pytest.raises(ImageError, match=r"a\.jpg: it is HEIC: pip install 'cmirnet\[heic\]' reads HEIC"):
        read_photo(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "it is AVIF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "it is JPEG XL"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "side file of macOS"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "not in an image format"),
        (b"", "it is empty"),
    ],
)
def test_what_is_no_picture_is_named_by_its_content(content: bytes, said: str, tmp_path: Path):
    assert said in why_unknown(content)
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"x\.jpg" if "AVIF" in said else said):  # what a decoder says of a damaged one is its own affair
        read_photo(tmp_path / "x.jpg")


def test_every_ending_of_a_kind_is_known_whatever_its_capitals():
    assert [kind_of(Path(name)) for name in ("a.JPG", "b.Heic", "c.AVIF", "d.jp2", "e.NEF", "._f.jpg", "g.txt", "jpg")] == [
        *("usual", "HEIC", "AVIF", "JPEG 2000", "camera raw", "macOS side", None, None)
    ]


def test_what_is_taken_from_a_folder_depends_on_what_is_installed(monkeypatch: pytest.MonkeyPatch):
    assert {".jpg", ".tif", ".webp"} <= set(suffixes())
    monkeypatch.setattr(formats, "_registers_heic", lambda: False)
    assert ".heic" not in suffixes()
    monkeypatch.setattr(formats, "_registers_heic", lambda: True)
    assert ".heic" in suffixes()


def test_usual_endings_belong_to_formats_that_pillow_always_reads():
    Image.init()
    unread = [
        suffix
        for suffix in suffixes()
        if kind_of(Path(f"a{suffix}")) == "usual" and Image.registered_extensions()[suffix] not in Image.OPEN
    ]
    assert unread == []
