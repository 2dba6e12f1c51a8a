"""What an open cache gives back, against PIL, pycocotools-free boxes and the data set it was made from."""

from __future__ import annotations

import cProfile
import multiprocessing
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import methodcaller
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import CacheOptions, SplitCounts
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.errors import CacheError
from cmirnet_cli.images import OverlapRule
from cmirnet_cli.refer.referent import ImageRecord, ReferDataset, Referent, Sentence

Draw = Callable[..., ReferDataset]


@pytest.fixture
def dataset(draw: Draw) -> ReferDataset:
    return draw()


@pytest.fixture(params=["decoded", "encoded"])
def cache(request: pytest.FixtureRequest, dataset: ReferDataset, tmp_path: Path) -> Cache:
    write_cache(dataset, tmp_path / "cache", CacheOptions(store=request.param, sizes=(16, 24)))
    return Cache.open(tmp_path / "cache")


def test_images_equal_pils_bilinear_resize(cache: Cache, dataset: ReferDataset):
    for row, image in enumerate(dataset.images):
        for size in (16, 24):
            expected = Image.open(image.path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(cache.image(row, size), np.asarray(expected))


def test_an_image_is_read_into_the_place_that_is_given(cache: Cache):
    places = np.zeros((3, 16, 16, 3), np.uint8)
    for row, place in enumerate(places):
        assert cache.image(row, 16, place) is place
        assert cache.sample(row, 0, 16, place).image is place
    np.testing.assert_array_equal(places, [cache.image(row, 16) for row in range(3)])


def test_a_place_that_is_not_contiguous_is_refused(cache: Cache):
    with pytest.raises(ValueError, match="must be contiguous"):
        cache.image(0, 16, np.zeros((3, 16, 16), np.uint8).transpose(1, 2, 0))


def test_a_mask_is_its_box_at_original_size_and_pils_nearest_resize_of_it_elsewhere(cache: Cache, dataset: ReferDataset):
    for row, referent in enumerate(dataset.referents):
        x0, y0, x1, _, _, y1, _, _ = referent.objects[0][0]
        box = np.zeros((referent.image.height, referent.image.width), np.uint8)
        box[y0:y1, x0:x1] = 1
        np.testing.assert_array_equal(cache.mask(row, None), box)
        for size in (16, 24, 19):
            resized = Image.fromarray(box).resize((size, size), Image.Resampling.NEAREST)
            np.testing.assert_array_equal(cache.mask(row, size), np.asarray(resized))


def test_a_referent_comes_back_as_it_was_annotated(cache: Cache, dataset: ReferDataset):
    for row, referent in enumerate(dataset.referents):
        cached = cache.referent(row)
        assert (cached.ref_id, cached.split, cached.category) == (referent.ref_id, referent.split, referent.category)
        assert (cached.image_id, cached.height, cached.width) == (str(referent.image.image_id), referent.image.height, referent.image.width)
        assert cached.sentences == referent.sentences
        assert cache.image_file(cached.image_row) == str(referent.image.path)


def test_a_sample_holds_the_sentence_asked_for(cache: Cache, dataset: ReferDataset):
    sample = cache.sample(2, 1, 16)
    assert (sample.ref_id, sample.image_id, sample.sent_id, sample.text) == (1002, "9", 21, dataset.referents[2].sentences[1].text)
    assert (sample.image.shape, sample.mask.shape) == ((16, 16, 3), (16, 16))
    with pytest.raises(IndexError):
        cache.sample(2, 3, 16)


def test_sentences_of_each_referent_are_counted(cache: Cache, dataset: ReferDataset):
    rows = np.array([5, 0, 2])
    assert cache.sentence_counts(rows).tolist() == [len(dataset.referents[row].sentences) for row in rows]


def test_splits_divide_the_referents_and_the_manifest_counts_them(cache: Cache):
    assert cache.splits == ("train", "val")
    assert cache.referent_rows("val").tolist() == [3, 7]
    assert cache.referent_rows("train").tolist() == [0, 1, 2, 4, 5, 6]
    assert cache.manifest.counts == {"train": SplitCounts(6, 6, 12), "val": SplitCounts(2, 2, 3)}


def test_an_unknown_split_is_an_error_that_lists_the_splits(cache: Cache):
    with pytest.raises(CacheError, match="no split 'testB'") as caught:
        cache.referent_rows("testB")
    assert caught.value.hint == "its splits are train, val"


def test_refclef_labels_of_several_splits_count_in_each(draw: Draw, tmp_path: Path):
    dataset = draw(images=4)
    labelled = [replace(r, split=label) for r, label in zip(dataset.referents, ("train", "testAB", "testB", "odd"), strict=True)]
    write_cache(ReferDataset("refclef", "unc", tuple(labelled), ()), tmp_path / "cache", CacheOptions(sizes=(16,)))
    cache = Cache.open(tmp_path / "cache")
    rows = {split: cache.referent_rows(split).tolist() for split in cache.splits}
    assert rows == {"train": [0], "testA": [1], "testB": [1, 2], "odd": [3]}
    assert [cache.manifest.counts[split].refs for split in cache.splits] == [1, 1, 2, 1]


def test_a_size_that_was_not_decoded_is_an_error_that_names_those_that_were(draw: Draw, tmp_path: Path):
    write_cache(draw(), tmp_path / "cache", CacheOptions(sizes=(16, 24)))
    with pytest.raises(CacheError, match="images at 16, 24 pixels, not at 20"):
        Cache.open(tmp_path / "cache").image(0, 20)


def test_an_encoded_cache_gives_any_size(draw: Draw, tmp_path: Path):
    dataset = draw()
    write_cache(dataset, tmp_path / "cache", CacheOptions(store="encoded", sizes=(16,)))
    expected = Image.open(dataset.images[4].path).resize((33, 33), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(Cache.open(tmp_path / "cache").image(4, 33), np.asarray(expected))


def test_a_referent_without_objects_has_an_empty_mask(draw: Draw, tmp_path: Path):
    image = draw(images=1).images[0]
    nothing = Referent(0, "val", image, "", (), (Sentence(0, "the unicorn"),))
    write_cache(ReferDataset("g", "unc", (nothing,), ()), tmp_path / "cache", CacheOptions(sizes=(16,)))
    cache = Cache.open(tmp_path / "cache")
    assert not cache.mask(0, 16).any()
    assert not cache.mask(0, None).any()


@pytest.mark.parametrize(("overlap", "pixels"), [("paper", 2 * 10 * 10 - 2 * 5 * 10), ("union", 2 * 10 * 10 - 5 * 10)])
def test_the_overlap_rule_decides_what_two_polygons_share(draw: Draw, tmp_path: Path, overlap: OverlapRule, pixels: int):
    image = draw(images=1).images[0]
    boxes = [[x, 5, x + 10, 5, x + 10, 15, x, 15] for x in (5, 10)]
    referent = Referent(0, "val", image, "", (boxes,), ())
    write_cache(ReferDataset("own", "x", (referent,), ()), tmp_path / "cache", CacheOptions(overlap=overlap))
    assert Cache.open(tmp_path / "cache").mask(0, None).sum() == pixels


def test_exif_orientation_is_ignored(tmp_path: Path):
    turned = Image.Exif()
    turned[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(np.arange(20 * 10 * 3, dtype=np.uint8).reshape(20, 10, 3)).save(path, exif=turned)
    referent = Referent(0, "val", ImageRecord("a", path, 20, 10), "", (), ())
    write_cache(ReferDataset("own", "x", (referent,), ()), tmp_path / "cache", CacheOptions(sizes=(20,)))
    expected = Image.open(path).convert("RGB").resize((20, 20), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(Cache.open(tmp_path / "cache").image(0, 20), np.asarray(expected))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes_read_a_pickled_cache(cache: Cache, method: str):
    expected = cache.sample(5, 0, 16)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for sample in pool.map(methodcaller("sample", 5, 0, 16), [cache] * 4):
            np.testing.assert_array_equal(sample.image, expected.image)
            np.testing.assert_array_equal(sample.mask, expected.mask)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_workers_read_beside_a_parent_that_already_reads(cache: Cache, dataset: ReferDataset):
    rows = range(len(dataset.referents))
    expected = [cache.sample(row, 0, 16).image.tobytes() for row in rows]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    workers = [context.Process(target=lambda: answers.put([cache.sample(row, 0, 16).image.tobytes() for row in rows])) for _ in range(3)]
    for worker in workers:
        worker.start()
    beside = [cache.sample(row, 0, 16).image.tobytes() for row in rows]
    assert [answers.get() for _ in workers] == [expected] * 3
    for worker in workers:
        worker.join()
    assert beside == expected == [cache.sample(row, 0, 16).image.tobytes() for row in rows]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not tell which files are open")
def test_a_forked_worker_opens_files_of_its_own(cache: Cache):
    """Descriptors that a fork shares have one place to read at: where the worker leaves it is seen here."""
    expected = cache.sample(0, 0, 16).image.tobytes()
    mine = open_shards(cache)
    before = [os.lseek(descriptor, 0, os.SEEK_CUR) for descriptor in mine]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def read_and_move() -> None:
        pixels = cache.sample(0, 0, 16).image.tobytes()
        answers.put((pixels, [os.lseek(descriptor, 7, os.SEEK_SET) for descriptor in open_shards(cache)]))

    worker = context.Process(target=read_and_move)
    worker.start()
    assert answers.get() == (expected, [7] * len(mine))
    worker.join()
    assert mine
    assert [os.lseek(descriptor, 0, os.SEEK_CUR) for descriptor in mine] == before
    assert cache.sample(1, 0, 16).image.shape == (16, 16, 3)


def open_shards(cache: Cache) -> list[int]:
    """This process's descriptors of the cache's files of images."""
    links = {int(link.name): os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    return [descriptor for descriptor, path in links.items() if path.startswith(f"{os.path.realpath(cache.folder)}/images-")]


def test_a_cache_may_be_pickled_after_it_was_read(cache: Cache):
    cache.image(0, 16)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cache)).image(0, 16), cache.image(0, 16))


def test_a_hundred_times_the_sentences_are_no_more_work_to_open(draw: Draw, tmp_path: Path):
    """In calls of functions, until a sample is read; `tools/measure/scale.py` measures the seconds of 142,000."""
    images = draw(images=4, height=6, width=6).images
    few, many = (calls_until_a_sample_is_read(tmp_path / str(count), images, count) for count in (20, 2000))
    assert many < 1.1 * few


def calls_until_a_sample_is_read(folder: Path, images: Sequence[ImageRecord], referents: int) -> int:
    made = tuple(
        Referent(n, "train", images[n % 4], "kind", (), tuple(Sentence(3 * n + k, f"the thing number {n} on the left") for k in range(3)))
        for n in range(referents)
    )
    write_cache(ReferDataset("big", "made", made, ()), folder, CacheOptions(sizes=(8,)))
    Cache.open(folder).sample(0, 0, 8)  # imports what is imported on first use
    with cProfile.Profile() as work:
        Cache.open(folder).sample(referents - 1, 2, 8)
    return sum(function.callcount for function in work.getstats())
