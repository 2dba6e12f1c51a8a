"""Pictures of 16 bits are checked against NumPy's own arithmetic, and colours against a PNG and a TIFF that are written by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.images.pixels import decode

Values = np.ndarray
RNG = np.random.default_rng(0)
SHAPE = (24, 36)


def png(values: Values, colour: int) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)


def tiff(values: Values, order: str, *, packed: bool) -> bytes:
    """A TIFF of three channels of 16 bits; PIL does not write such."""
    height, width, _ = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    behind = 8 + 2 + 9 * 12 + 4
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, behind), (259, 4, 1, 8 if packed else 1), (262, 4, 1, 2)]
    entries += [(273, 4, 1, behind + 6), (277, 4, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data))]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    table = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    return head + table + struct.pack(f"{order}IHHH", 0, 16, 16, 16) + data


def saved(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def between(low: int, high: int, *shape: int) -> Values:
    """Noise that holds both ends."""
    values = RNG.integers(low, high + 1, shape, dtype=np.uint16)
    values.flat[0], values.flat[-1] = low, high
    return values


def expected(values: Values) -> Values:
    spread = values.astype(np.float64) - values.min()
    return np.rint(255 * spread / spread.max()).astype(np.uint8)


def greys(values: Values) -> dict[str, bytes]:
    """The same greys in every way in which files hold them."""
    big = Image.frombytes("I;16B", (values.shape[1], values.shape[0]), values.astype(">u2").tobytes())
    whole = Image.fromarray(values.astype(np.int32))
    return {"png": png(values, 0), "tiff": saved(Image.fromarray(values), "TIFF"), "big": saved(big, "TIFF"), "32": saved(whole, "TIFF")}


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (0, 1023), (7000, 8500), (29_315, 30_315), (3, 4), (0, 32_767), (0, 255)])
def test_greys_that_use_fewer_bits_are_scaled_by_their_own_range(low: int, high: int):
    values = between(low, high, *SHAPE)
    for kind, data in greys(values).items():
        found = decode(data, kind, upright=True)
        assert found.scaled_by == (low, high), kind
        np.testing.assert_array_equal(np.asarray(found.picture), np.repeat(expected(values)[..., None], 3, 2), err_msg=kind)


@pytest.mark.parametrize(("low", "high"), [(0, 65_535), (0, 32_768), (40_000, 41_000), (500, 500)])
def test_greys_that_use_all_bits_or_hold_one_value_are_taken_as_they_are(low: int, high: int):
    values = between(low, high, *SHAPE)
    for kind, data in greys(values).items():
        found = decode(data, kind, upright=True)
        assert found.scaled_by is None, kind
        np.testing.assert_array_equal(np.asarray(found.picture)[..., 0], values >> 8, err_msg=kind)


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (100, 1023), (0, 20_000)])
@pytest.mark.parametrize("kind", ["png", "png with alpha", "little", "big", "little packed", "big packed"])
def test_colours_that_use_fewer_bits_keep_their_lower_bytes_and_their_hue(kind: str, low: int, high: int):
    values = between(low, high, *SHAPE, 3)
    alpha = np.full((*SHAPE, 1), 65_535, np.uint16)
    data = {
        "png": lambda: png(values, 2),
        "png with alpha": lambda: png(np.dstack([values, alpha]), 6),
        "little": lambda: tiff(values, "<", packed=False),
        "big": lambda: tiff(values, ">", packed=False),
        "little packed": lambda: tiff(values, "<", packed=True),
        "big packed": lambda: tiff(values, ">", packed=True),
    }[kind]()
    found = decode(data, kind, upright=True)
    assert found.scaled_by == (low, high)
    np.testing.assert_array_equal(np.asarray(found.picture), expected(values))


def test_colours_of_all_bits_and_of_eight_bits_are_pils_own():
    for data in (png(between(0, 65_535, *SHAPE, 3), 2), saved(Image.fromarray(between(0, 99, *SHAPE, 3).astype(np.uint8)), "PNG")):
        found = decode(data, "a.png", upright=True)
        assert found.scaled_by is None
        np.testing.assert_array_equal(np.asarray(found.picture), np.asarray(Image.open(io.BytesIO(data))))


def test_on_request_nothing_is_scaled():
    values = between(0, 4095, *SHAPE, 3)
    for data in (png(values, 2), png(values[..., 0], 0)):
        found = decode(data, "a.png", upright=True, own_range=False)
        assert found.scaled_by is None
        assert np.asarray(found.picture).max() == 15
