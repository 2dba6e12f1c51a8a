"""Pictures of 16 bits are checked against NumPy's own arithmetic, and colours against a PNG and a TIFF that are written by hand."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.images.pixels import decode

Values = np.ndarray
Png = Callable[[Values], bytes]
RNG = np.random.default_rng(0)
SHAPE = (24, 36)


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


def greys(values: Values, png: Png) -> dict[str, bytes]:
    """The same greys in every way in which files hold them."""
    big = Image.frombytes("I;16B", (values.shape[1], values.shape[0]), values.astype(">u2").tobytes())
    whole = Image.fromarray(values.astype(np.int32))
    return {"png": png(values), "tiff": saved(Image.fromarray(values), "TIFF"), "big": saved(big, "TIFF"), "32": saved(whole, "TIFF")}


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (0, 1023), (7000, 8500), (29_315, 30_315), (3, 4), (0, 32_767), (0, 255)])
def test_greys_that_use_fewer_bits_are_scaled_by_their_own_range(deep_png: Png, low: int, high: int):
    values = between(low, high, *SHAPE)
    for kind, data in greys(values, deep_png).items():
        found = decode(data, kind, upright=True)
        assert found.scaled_by == (low, high), kind
        np.testing.assert_array_equal(np.asarray(found.picture), np.repeat(expected(values)[..., None], 3, 2), err_msg=kind)


@pytest.mark.parametrize(("low", "high"), [(0, 65_535), (0, 32_768), (40_000, 41_000), (500, 500)])
def test_greys_that_use_all_bits_or_hold_one_value_are_taken_as_they_are(deep_png: Png, low: int, high: int):
    values = between(low, high, *SHAPE)
    for kind, data in greys(values, deep_png).items():
        found = decode(data, kind, upright=True)
        assert found.scaled_by is None, kind
        np.testing.assert_array_equal(np.asarray(found.picture)[..., 0], values >> 8, err_msg=kind)


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (100, 1023), (0, 20_000)])
@pytest.mark.parametrize("kind", ["png", "png with alpha", "little", "big", "little packed", "big packed"])
def test_colours_that_use_fewer_bits_keep_their_lower_bytes_and_their_hue(deep_png: Png, kind: str, low: int, high: int):
    values = between(low, high, *SHAPE, 3)
    alpha = np.full((*SHAPE, 1), 65_535, np.uint16)
    data = {
        "png": lambda: deep_png(values),
        "png with alpha": lambda: deep_png(np.dstack([values, alpha])),
        "little": lambda: tiff(values, "<", packed=False),
        "big": lambda: tiff(values, ">", packed=False),
        "little packed": lambda: tiff(values, "<", packed=True),
        "big packed": lambda: tiff(values, ">", packed=True),
    }[kind]()
    found = decode(data, kind, upright=True)
    assert found.scaled_by == (low, high)
    np.testing.assert_array_equal(np.asarray(found.picture), expected(values))


def test_greys_with_an_alpha_channel_are_their_upper_bytes_which_is_all_that_pil_gives(deep_png: Png):
    values = between(0, 4095, *SHAPE)
    found = decode(deep_png(np.dstack([values, np.full(SHAPE, 65_535, np.uint16)])), "a.png", upright=True)
    assert found.scaled_by is None
    np.testing.assert_array_equal(np.asarray(found.picture)[..., 0], values >> 8)


def test_colours_of_all_bits_and_of_eight_bits_are_pils_own(deep_png: Png):
    for data in (deep_png(between(0, 65_535, *SHAPE, 3)), saved(Image.fromarray(between(0, 99, *SHAPE, 3).astype(np.uint8)), "PNG")):
        found = decode(data, "a.png", upright=True)
        assert found.scaled_by is None
        np.testing.assert_array_equal(np.asarray(found.picture), np.asarray(Image.open(io.BytesIO(data))))


def test_on_request_nothing_is_scaled(deep_png: Png):
    values = between(0, 4095, *SHAPE, 3)
    for data in (deep_png(values), deep_png(values[..., 0])):
        found = decode(data, "a.png", upright=True, own_range=False)
        assert found.scaled_by is None
        assert np.asarray(found.picture).max() == 15
