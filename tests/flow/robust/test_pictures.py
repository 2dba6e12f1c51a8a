"""Photographs of every kind through `prepare-data`, in both stores, and through predict's reader: the same pixels everywhere."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.prediction.photos import read_photo
from cmirnet_cli.errors import ImageError
from tests.fixtures.exif import turned

Judged = Callable[..., Any]
Pixels = np.ndarray

RNG = np.random.default_rng(0)
COLOURS: Pixels = RNG.integers(0, 256, (24, 36, 3), dtype=np.uint8)
DEEP: Pixels = RNG.integers(0, 65536, (24, 36, 3), dtype=np.uint16)
GREYS = DEEP[..., 0]
TABLE: Pixels = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
CODES: Pixels = RNG.integers(0, 16, (24, 36), dtype=np.uint8)
ALPHA: Pixels = RNG.integers(0, 256, (24, 36, 1), dtype=np.uint8)


def grey(values: Pixels) -> Pixels:
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


def saved(pixels: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, kind, **options)
    return file.getvalue()


def png(pixels: Pixels, depth: int, colour: int) -> bytes:
    """A PNG made by hand, for the kinds that PIL does not write."""
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)


def palette(transparency: bytes | int | None = None) -> Image.Image:
    image = Image.fromarray(CODES, "L")
    image.putpalette(TABLE.tobytes())
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def decoded(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


CMYK = saved(Image.fromarray(COLOURS).convert("CMYK"), "JPEG", quality=95)
JPEG = saved(COLOURS, "JPEG", quality=90)
FRAMES = [Image.fromarray(np.roll(COLOURS, shift, axis=0)) for shift in (5, 9)]
ANIMATED = {"save_all": True, "append_images": FRAMES}
LONG: Pixels = RNG.integers(0, 256, (10, 20_000, 3), dtype=np.uint8)
KINDS: dict[str, tuple[bytes, Pixels]] = {
    "colours.png": (saved(COLOURS, "PNG"), COLOURS),
    "colours.bmp": (saved(COLOURS, "BMP"), COLOURS),
    "colours.tif": (saved(COLOURS, "TIFF", compression="tiff_lzw"), COLOURS),
    "colours.webp": (saved(COLOURS, "WEBP", lossless=True), COLOURS),
    "colours.jp2": (saved(COLOURS, "JPEG2000", irreversible=False), COLOURS),
    "colours.ppm": (saved(COLOURS, "PPM"), COLOURS),
    "photo.jpg": (JPEG, decoded(JPEG)),
    "progressive.jpg": (saved(COLOURS, "JPEG", quality=90, progressive=True), decoded(JPEG)),
    "grey.jpg": (saved(COLOURS[..., 0], "JPEG"), decoded(saved(COLOURS[..., 0], "JPEG"))),
    "cmyk.jpg": (CMYK, decoded(CMYK)),
    "cmyk.tif": (saved(Image.fromarray(np.dstack([255 - COLOURS, 0 * ALPHA]), "CMYK"), "TIFF"), COLOURS),
    "grey.png": (saved(COLOURS[..., 0], "PNG"), grey(COLOURS[..., 0])),
    "one-bit.png": (saved(Image.fromarray(COLOURS[..., 0] > 99), "PNG"), grey(255 * (COLOURS[..., 0] > 99))),
    "grey-16.png": (saved(GREYS, "PNG"), grey(GREYS >> 8)),
    "grey-16.tif": (saved(GREYS, "TIFF"), grey(GREYS >> 8)),
    "grey-16-big-endian.tif": (saved(Image.frombytes("I;16B", (36, 24), GREYS.astype(">u2").tobytes()), "TIFF"), grey(GREYS >> 8)),
    "grey-16.pgm": (b"P5 36 24 65535\n" + GREYS.astype(">u2").tobytes(), grey(GREYS >> 8)),
    "colours-16.png": (png(DEEP, 16, 2), (DEEP >> 8).astype(np.uint8)),
    "palette.png": (saved(palette(), "PNG"), TABLE[CODES]),
    "palette-with-a-transparent-colour.png": (saved(palette(3), "PNG"), TABLE[CODES]),
    "palette-with-transparency.png": (saved(palette(bytes(range(0, 160, 10))), "PNG"), TABLE[CODES]),
    "transparent.png": (saved(np.dstack([COLOURS, ALPHA]), "PNG"), COLOURS),
    "grey-and-alpha.png": (saved(Image.fromarray(np.dstack([COLOURS[..., 0], ALPHA]), "LA"), "PNG"), grey(COLOURS[..., 0])),
    "animated.gif": (saved(palette(), "GIF", save_all=True, append_images=[palette().rotate(180)]), TABLE[CODES]),
    "animated.png": (saved(Image.fromarray(COLOURS), "PNG", **ANIMATED), COLOURS),
    "animated.webp": (saved(Image.fromarray(COLOURS), "WEBP", lossless=True, **ANIMATED), COLOURS),
    "pages.tif": (saved(Image.fromarray(COLOURS), "TIFF", **ANIMATED), COLOURS),
    "one-pixel.png": (saved(COLOURS[:1, :1], "PNG"), COLOURS[:1, :1]),
    "one-pixel.gif": (saved(Image.new("RGB", (1, 1), "red"), "GIF"), np.array([[[255, 0, 0]]], np.uint8)),
    "wide.png": (saved(LONG, "PNG"), LONG),
    "high.png": (saved(LONG.swapaxes(0, 1).copy(), "PNG"), LONG.swapaxes(0, 1)),
}
"""File name → its bytes and its pixels, uint8 (H, W, 3), where PIL does not have to be asked."""

WITHOUT_A_WHITE = {
    "greys-32.tif": saved(Image.fromarray(GREYS.astype(np.int32) * 7), "TIFF"),
    "negative.tif": saved(Image.fromarray(GREYS.astype(np.int32) - 32768), "TIFF"),
    "floats.tif": saved(Image.fromarray(GREYS.astype(np.float32)), "TIFF"),
}


BESIDE = [-3, -3, -2, -3, -2, -2]
"""A second outline, beside the photograph: a split whose masks all cover their pictures is refused."""


def own(folder: Path, name: str, height: int, width: int) -> list[object]:
    outlines = ([0, 0, width, 0, width, height, 0, height], BESIDE)
    lines = [{"image": name, "expression": "it", "split": "val", "polygons": [outline]} for outline in outlines]
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return [folder / "own.jsonl"]


def refer(folder: Path, name: str, height: int, width: int) -> list[object]:
    ref = {"ref_id": 1, "ann_id": 1, "image_id": 1, "category_id": 1, "split": "val", "sentences": [{"sent_id": 1, "sent": "it"}]}
    refs = [ref, ref | {"ref_id": 2, "ann_id": 2}]
    outlines = ([0, 0, width, 0, width, height, 0, height], BESIDE)
    table = {
        "images": [{"id": 1, "file_name": name, "height": height, "width": width}],
        "annotations": [{"id": number, "image_id": 1, "segmentation": [outline]} for number, outline in enumerate(outlines, start=1)],
        "categories": [],
    }
    (folder / "refs(x).json").write_text(json.dumps(refs))
    (folder / "instances.json").write_text(json.dumps(table))
    return ["set", "--split-by", "x", "--annotations", folder, "--images", folder]


@pytest.fixture(params=[own, pytest.param(refer, marks=pytest.mark.slow)])
def described(request: pytest.FixtureRequest) -> Callable[..., list[object]]:
    """How a photograph's data are written down: one's own JSONL, or REFER layout."""
    return request.param


def resized(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((16, 16), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("store", ["decoded", pytest.param("encoded", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_photograph_has_its_pixels_in_the_cache(
    judged: Judged, tmp_path: Path, described: Callable[..., list[object]], name: str, store: str
):
    data, pixels = KINDS[name]
    (tmp_path / name).write_bytes(data)
    outcome = judged(tmp_path / "cache", *described(tmp_path, name, *pixels.shape[:2]), "--store", store)
    assert outcome.code == 0, outcome.err
    (folder,) = (tmp_path / "cache").iterdir()
    cache = Cache.open(folder)
    np.testing.assert_array_equal(cache.image(0, 16), resized(pixels))
    assert cache.original_size(0) == pixels.shape[:2]
    assert cache.mask(0, None).all()


@pytest.mark.parametrize("name", KINDS)
def test_predict_reads_the_same_pixels(tmp_path: Path, name: str):
    data, pixels = KINDS[name]
    (tmp_path / name).write_bytes(data)
    np.testing.assert_array_equal(read_photo(tmp_path / name).pixels, pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("orientation", "quarters"), [(3, 2), (6, -1), (8, 1)])
@pytest.mark.parametrize("store", ["encoded", pytest.param("decoded", marks=pytest.mark.slow)])
def test_exif_turns_ones_own_photograph_and_predicts_and_not_refers(
    judged: Judged, tmp_path: Path, kind: str, orientation: int, quarters: int, store: str
):
    name = f"turned.{kind.lower()}"
    (tmp_path / name).write_bytes(saved(COLOURS, kind, exif=turned(orientation), **{"lossless": True} if kind == "WEBP" else {}))
    seen = np.rot90(COLOURS, quarters)
    np.testing.assert_array_equal(read_photo(tmp_path / name).pixels, seen)
    stored = seen if kind == "TIFF" else COLOURS  # PIL turns a TIFF whatever is asked for
    for form, pixels, options in ((own, seen, []), (refer, stored, ["--no-upright"])):
        outcome = judged(tmp_path / form.__name__, *form(tmp_path, name, *pixels.shape[:2]), "--store", store, *options)
        assert outcome.code == 0, outcome.err
        (folder,) = (tmp_path / form.__name__).iterdir()
        cache = Cache.open(folder)
        np.testing.assert_array_equal(cache.image(0, 16), resized(pixels))
        assert cache.original_size(0) == pixels.shape[:2]


@pytest.mark.parametrize("name", WITHOUT_A_WHITE)
def test_greys_whose_white_is_unknown_are_refused(judged: Judged, tmp_path: Path, described: Callable[..., list[object]], name: str):
    (tmp_path / name).write_bytes(WITHOUT_A_WHITE[name])
    outcome = judged(tmp_path / "cache", *described(tmp_path, name, 24, 36))
    assert outcome.code == 3
    assert f"{name}: cannot be decoded: it has grey values of 32 bits" in outcome.err
    with pytest.raises(ImageError, match=f"{name}: it has grey values of 32 bits"):
        read_photo(tmp_path / name)


@pytest.mark.parametrize("part", [0.5, *(pytest.param(part, marks=pytest.mark.slow) for part in (0.1, 0.9))])
@pytest.mark.parametrize(
    "name", ["colours.png", "colours.bmp", "colours.tif", "colours.webp", "photo.jpg", "cmyk.jpg", "grey-16.png", "palette.png"]
)
def test_a_photograph_that_is_cut_off_is_named_and_can_be_left_out(
    judged: Judged, tmp_path: Path, described: Callable[..., list[object]], name: str, part: float
):
    whole, pixels = KINDS[name]
    (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
    words = described(tmp_path, name, *pixels.shape[:2])
    outcome = judged(tmp_path / "cache", *words)
    assert outcome.code == 3
    assert f"{name}: cannot be decoded" in outcome.err
    assert "--skip-bad" in outcome.err
    assert "has no referent to cache" in judged(tmp_path / "cache", *words, "--skip-bad").err
    with pytest.raises(ImageError, match=name):
        read_photo(tmp_path / name)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_damaged_bytes_are_a_photograph_or_named(judged: Judged, tmp_path: Path, seed: int):
    """A few bytes overwritten in each kind: the survey, the cache and predict agree on what can be read."""
    random = np.random.default_rng(seed)
    for number, (name, (whole, _)) in enumerate(KINDS.items()):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), 400), 3):
            data[place] = random.integers(0, 256)
        home = tmp_path / str(number)
        home.mkdir()
        (home / name).write_bytes(data)
        try:
            height, width = read_photo(home / name).pixels.shape[:2]
        except ImageError:
            height, width = 24, 36
        if height * width < 1 << 20:
            judged(home / "cache", *own(home, name, height, width))
