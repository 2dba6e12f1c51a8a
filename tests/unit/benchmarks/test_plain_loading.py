"""The plain way: what it draws and cuts, against hand counts, torchvision and the package's own rasteriser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from torchvision.transforms import functional as F

from cmirnet_cli.batches.batch import tokenise, word_tokenizer
from cmirnet_cli.benchmarks.plain_loading import Original, PlainSet, plain_batches
from cmirnet_cli.config.published import IMAGENET_MEAN, IMAGENET_STD
from cmirnet_cli.images.masks import rasterise

TEXT = "the red cup left of the door"
LEFT, RIGHT = [2, 2, 8, 2, 8, 8, 2, 8], [6, 2, 12, 2, 12, 8, 6, 8]


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "photograph.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def original(file: Path, objects: tuple = ([LEFT],), **changes) -> Original:
    fields = {"sent_id": 5, "text": TEXT, "file": file, "upright": False, "height": 30, "width": 40, "united": False}
    return Original(**fields | {"objects": objects} | changes)


def loaded(one: Original, size: int = 24, tokens: int = 20, normalised: bool = False):
    return PlainSet([one], size, word_tokenizer([TEXT]), tokens, normalised=normalised)[0]


def mask_pixels(one: Original) -> int:
    square = PlainSet([one], one.height, word_tokenizer([TEXT]), 20)[0]
    return int(square.mask.sum())


def test_pixels_are_pils_resize_of_the_stored_image(photograph: Path):
    expected = Image.open(photograph).convert("RGB").resize((24, 24), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(loaded(original(photograph)).image, np.asarray(expected))


def test_an_upright_image_is_turned_as_exif_says(photograph: Path):
    expected = Image.open(photograph).convert("RGB").transpose(Image.Transpose.ROTATE_270).resize((24, 24), Image.Resampling.BILINEAR)
    turned = loaded(original(photograph, upright=True, height=40, width=30))
    np.testing.assert_array_equal(turned.image, np.asarray(expected))


def test_normalised_pixels_are_torchvisions(photograph: Path):
    pixels = Image.fromarray(loaded(original(photograph)).image)
    expected = F.normalize(F.to_tensor(pixels), IMAGENET_MEAN, IMAGENET_STD)
    np.testing.assert_array_equal(loaded(original(photograph), normalised=True).image, expected.numpy())


def test_mask_is_the_outline_at_network_size(photograph: Path):
    drawn = rasterise(([LEFT],), 30, 40)
    expected = Image.fromarray(drawn).resize((24, 24), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(loaded(original(photograph)).mask, np.asarray(expected))


@pytest.mark.parametrize(("united", "pixels"), [(False, 2 * 36 - 2 * 12), (True, 2 * 36 - 12)])
def test_what_two_parts_of_an_object_share_is_background_unless_they_are_united(tmp_path: Path, united: bool, pixels: int):
    Image.new("RGB", (20, 20)).save(tmp_path / "black.png")
    one = original(tmp_path / "black.png", ([LEFT, RIGHT],), height=20, width=20, united=united)
    assert mask_pixels(one) == pixels


def test_several_objects_are_always_united(tmp_path: Path):
    Image.new("RGB", (20, 20)).save(tmp_path / "black.png")
    assert mask_pixels(original(tmp_path / "black.png", ([LEFT], [RIGHT]), height=20, width=20)) == 2 * 36 - 12


def test_nothing_referred_to_is_an_empty_mask(photograph: Path):
    assert not loaded(original(photograph, ())).mask.any()


def test_every_form_of_an_outline_gives_the_same_mask(photograph: Path):
    compressed = coco.frPyObjects([LEFT], 30, 40)[0]
    uncompressed = {"size": [30, 40], "counts": [2 * 30 + 2, *[6, 24] * 5, 6, 40 * 30 - (7 * 30 + 8)]}
    forms = ([LEFT],), (compressed,), ([compressed],), (uncompressed,), ([uncompressed],)
    masks = [loaded(original(photograph, form)).mask for form in forms]
    assert masks[0].any()
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize("tokens", [20, 4])
def test_batch_holds_the_ids_that_training_reads(photograph: Path, tokens: int):
    tokenizer = word_tokenizer([TEXT])
    texts = [TEXT, "cup", "the blue door"]
    samples = PlainSet([original(photograph, text=text, sent_id=number) for number, text in enumerate(texts)], 24, tokenizer, tokens)
    (batch,) = plain_batches(samples, 3, workers=0)
    expected = tokenise(tokenizer, texts, tokens)
    assert batch.tokens.ids.equal(expected.ids)
    assert batch.tokens.keep.equal(expected.keep)
    assert (batch.sent_ids, batch.image.dtype, batch.target.dtype) == ((0, 1, 2), torch.uint8, torch.uint8)
    assert (batch.image.shape, batch.target.shape) == ((3, 24, 24, 3), (3, 24, 24))
