"""Images that cannot be cached are found before anything is written, and can be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.check_images import BadImage, CheckedImages, check_images, without
from cmirnet_cli.cache.fingerprint import fingerprint_of
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import steps, write_cache
from cmirnet_cli.errors import DataError
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

Draw = Callable[..., ReferDataset]

SMALL = CacheOptions(sizes=(8,))


def test_images_of_16_bits_are_scaled_and_make_another_cache(tmp_path: Path, deep_png: Callable[[np.ndarray], bytes]):
    """A microscope's 12 bits, as a grey picture, and as colours that PIL would cut to their upper bytes."""
    values = np.arange(0, 4096, 8, dtype=np.uint16).reshape(16, 32)
    Image.fromarray(values).save(tmp_path / "grey.png")
    (tmp_path / "colours.png").write_bytes(deep_png(np.repeat(values[..., None], 3, axis=2)))
    Image.fromarray((values >> 4).astype(np.uint8)).save(tmp_path / "eight.png")
    images = [ImageRecord(name, tmp_path / f"{name}.png", 16, 32) for name in ("grey", "colours", "eight")]
    referents = [Referent(n, "val", image, "", (), (Sentence(n, "x"),)) for n, image in enumerate(images)]
    dataset = ReferDataset("own", "x", tuple(referents), ())
    found = check_images(dataset)
    assert found == CheckedImages((), {tmp_path / "grey.png": (0, 4088), tmp_path / "colours.png": (0, 4088)})
    assert fingerprint_of(dataset, SMALL).differences(fingerprint_of(dataset, SMALL, found))


def test_bad_images_are_found_with_their_reasons_before_anything_is_written(draw: Draw, tmp_path: Path):
    dataset = draw(suffix=".jpg")
    images = dataset.images
    images[1].path.unlink()
    whole = images[2].path.read_bytes()
    images[2].path.write_bytes(whole[: len(whole) // 2])
    images[3].path.write_text("no image")
    Image.new("RGB", (5, 4)).save(images[4].path)
    bad = check_images(dataset, workers=2).bad
    assert [one.path for one in bad] == [image.path for image in images[1:5]]
    assert bad[0] == BadImage(images[1].path, "missing")
    assert "truncated" in bad[1].reason
    assert "not in an image format" in bad[2].reason
    assert bad[3].reason == "is 5×4, but its annotations were drawn on 44×31"
    assert bad == check_images(dataset).bad


def test_an_image_whose_name_differs_in_case_only_is_named(draw: Draw):
    dataset = draw(images=2, suffix=".jpg")
    path = dataset.images[0].path
    path.rename(path.with_suffix(".JPG"))
    assert check_images(dataset).bad == (BadImage(path, f"missing; there is {path.stem}.JPG, whose name differs only in case"),)


@pytest.mark.parametrize("upright", [True, False])
def test_a_size_that_an_exif_turn_explains_is_said_so(draw: Draw, upright: bool):
    dataset = draw(images=1, suffix=".jpg")
    (referent,) = dataset.referents
    width, height = referent.image.width, referent.image.height
    turned = Image.new("RGB", (width, height) if upright else (height, width))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(referent.image.path, exif=exif)
    image = replace(referent.image, upright=upright)
    (bad,) = check_images(replace(dataset, referents=(replace(referent, image=image),))).bad
    assert bad.reason == f"is {height}×{width}, but its annotations were drawn on {width}×{height}; its EXIF orientation, 6, turns it"


def test_a_fault_of_the_caller_is_not_taken_for_a_broken_image(draw: Draw):
    dataset = draw(images=1)
    referent = dataset.referents[0]
    wrong = replace(referent, image=replace(referent.image, path=str(referent.image.path)))
    with pytest.raises(AttributeError):
        check_images(replace(dataset, referents=(wrong,)))


def test_skipped_images_take_their_referents_with_them(draw: Draw, tmp_path: Path):
    dataset = draw()
    dataset.images[3].path.unlink()
    dataset.images[5].path.write_bytes(b"")
    checked = check_images(dataset)
    kept, done = without(dataset, checked.bad_files), []
    manifest = write_cache(kept, tmp_path / "cache", SMALL, checked=checked, advance=done.append)
    assert manifest.fingerprint.skipped == ("00003.png", "00005.png")
    assert [Cache.open(tmp_path / "cache").referent(row).ref_id for row in range(6)] == [1000, 1001, 1002, 1004, 1006, 1007]
    assert sum(done) == steps(kept) == 12


def test_a_data_set_without_referents_is_refused():
    with pytest.raises(DataError, match="no referent"):
        without(ReferDataset("none", "x", (), ()), frozenset())
