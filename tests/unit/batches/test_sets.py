"""Data sets over a real cache: what is asked for, how often, and that workers change nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from cmirnet_cli.batches.batch import Batch, tokenise, word_tokenizer
from cmirnet_cli.batches.datasets import Collate, EvaluationSet, TrainingSet, shuffled_texts, training_batches
from cmirnet_cli.batches.loader import Share
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import DataConfig


def data(workers: int = 0, **options: object) -> DataConfig:
    return DataConfig(image_size=64, resize=72, workers=workers, cache=Path("unused"), **options)


def said(cache: Cache, split: str) -> dict[int, tuple[str, ...]]:
    """Row → what is really said of that referent."""
    return {row: tuple(s.text for s in cache.referent(row).sentences) for row in cache.referent_rows(split).tolist()}


@pytest.fixture(scope="module")
def collate(small_cache: Cache) -> Collate:
    return Collate(word_tokenizer(text for texts in said(small_cache, "train").values() for text in texts), 12)


def same(first: Batch, second: Batch) -> bool:
    pairs = [(b.image, b.target, b.tokens.ids, b.tokens.keep) for b in (first, second)]
    return first.sent_ids == second.sent_ids and all(torch.equal(a, b) for a, b in zip(*pairs, strict=True))


def test_training_item_is_a_window_of_one_referents_image_and_mask(small_cache: Cache):
    samples = TrainingSet(small_cache, "train", data(), seed=0, epoch=0)
    for item, row in enumerate(small_cache.referent_rows("train").tolist()):
        sample, whole = samples[item], small_cache.sample(row, 0, 72)
        windows = sliding_window_view(whole.image, sample.image.shape)[:, :, 0]
        places = np.argwhere((windows == sample.image).all(axis=(2, 3, 4)))
        assert len(places) == 1
        top, left = places[0]
        np.testing.assert_array_equal(sample.mask, whole.mask[top : top + 64, left : left + 64])
        assert sample.text in said(small_cache, "train")[row]
        assert sample.ref_id == small_cache.referent(row).ref_id


def test_every_sentence_of_a_referent_comes_up_about_equally_often(small_cache: Cache):
    item, row = next((i, row) for i, row in enumerate(said(small_cache, "train")) if len(said(small_cache, "train")[row]) == 3)
    drawn = Counter(TrainingSet(small_cache, "train", data(), seed=0, epoch=epoch)[item].text for epoch in range(300))
    assert set(drawn) == set(said(small_cache, "train")[row])
    assert min(drawn.values()) > 70


def test_by_sentence_every_sentence_is_an_item_of_every_epoch(small_cache: Cache):
    own = said(small_cache, "train")
    for epoch in (0, 1):
        samples = TrainingSet(small_cache, "train", data(sample="sentence"), seed=0, epoch=epoch)
        assert len(samples) == sum(map(len, own.values()))
        items = [samples[item] for item in range(len(samples))]
        assert [item.text for item in items] == [text for texts in own.values() for text in texts]
        assert [item.ref_id for item in items] == [small_cache.referent(row).ref_id for row, texts in own.items() for _ in texts]
        assert len({item.sent_id for item in items}) == len(items)


def test_by_sentence_the_batches_of_an_epoch_hold_every_sentence_once(small_cache: Cache, collate: Collate):
    samples = TrainingSet(small_cache, "train", data(sample="sentence"), seed=0, epoch=0)
    drawn = [sent_id for batch in training_batches(samples, collate, 3) for sent_id in batch.sent_ids]
    assert sorted(drawn) == sorted(samples[item].sent_id for item in range(len(samples)))


def test_by_sentence_an_items_window_differs_from_its_neighbours_and_from_epoch_to_epoch(small_cache: Cache):
    first, second = (TrainingSet(small_cache, "train", data(sample="sentence"), seed=0, epoch=epoch) for epoch in (0, 1))
    one, other = (item for item in range(len(first)) if first[item].ref_id == 1)
    assert not np.array_equal(first[one].image, first[other].image)
    assert not np.array_equal(first[one].image, second[one].image)
    np.testing.assert_array_equal(first[one].image, first[one].image)


@pytest.mark.parametrize("sample", ["referent", "sentence"])
def test_with_flip_about_half_of_the_items_are_their_mirror_images_and_the_rest_are_as_without(small_cache: Cache, sample: str):
    flipped = Counter()
    for epoch in range(40):
        plain, mirroring = (
            TrainingSet(small_cache, "train", data(sample=sample, flip=flip), seed=0, epoch=epoch) for flip in (False, True)
        )
        for item in range(len(plain)):
            given, found = plain[item], mirroring[item]
            turned = given.text != found.text
            np.testing.assert_array_equal(found.image, np.fliplr(given.image) if turned else given.image)
            np.testing.assert_array_equal(found.mask, np.fliplr(given.mask) if turned else given.mask)
            assert found.text == (swapped(given.text) if turned else given.text)
            flipped[turned] += 1
    assert flipped[True] / flipped.total() == pytest.approx(0.5, abs=0.1)


def swapped(text: str) -> str:
    """What the small cache says, of the other side."""
    return text.replace("left", "right") if "left" in text else text.replace("right", "left")


@pytest.mark.parametrize("options", [{}, {"sample": "sentence"}, {"flip": True}])
def test_batches_do_not_depend_on_the_workers(small_cache: Cache, collate: Collate, options: dict[str, object]):
    alone, shared = (
        list(training_batches(TrainingSet(small_cache, "train", data(workers, **options), seed=1, epoch=2), collate, 2))
        for workers in (0, 2)
    )
    assert len(alone) == len(shared) >= 3
    assert all(same(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_live_through_epochs_read_what_new_ones_read(small_cache: Cache, collate: Collate, workers: int):
    epochs = [TrainingSet(small_cache, "train", data(workers), seed=1, epoch=epoch) for epoch in (2, 3)]
    expected = [batch for samples in epochs for batch in training_batches(samples, collate, 4)]
    found = list(training_batches(epochs[0], collate, 4, epochs=2))
    assert [same(a, b) for a, b in zip(found, expected, strict=True)] == [True] * 4


def test_epoch_entered_at_an_offset_gives_the_same_batches(small_cache: Cache, collate: Collate):
    samples = TrainingSet(small_cache, "train", data(), seed=1, epoch=2)
    whole, rest = list(training_batches(samples, collate, 2)), list(training_batches(samples, collate, 2, offset=1))
    assert [same(a, b) for a, b in zip(whole[1:], rest, strict=True)] == [True, True]


def test_epochs_differ_in_order_and_content(small_cache: Cache, collate: Collate):
    first, second = (next(iter(training_batches(TrainingSet(small_cache, "train", data(), seed=1, epoch=e), collate, 6))) for e in (0, 1))
    assert sorted(first.sent_ids) != list(first.sent_ids) != list(second.sent_ids)
    assert not torch.equal(first.image, second.image)


def test_batch_holds_what_its_samples_hold(small_cache: Cache, collate: Collate):
    samples = TrainingSet(small_cache, "train", data(), seed=0, epoch=0)
    chosen = [samples[0], samples[3]]
    batch = collate(chosen)
    assert (len(batch), batch.image.dtype, batch.target.dtype) == (2, torch.uint8, torch.uint8)
    np.testing.assert_array_equal(batch.image, np.stack([sample.image for sample in chosen]))
    np.testing.assert_array_equal(batch.target, np.stack([sample.mask for sample in chosen]))
    assert torch.equal(batch.tokens.ids, tokenise(collate.tokenizer, [sample.text for sample in chosen], 12).ids)
    assert batch.sent_ids == tuple(sample.sent_id for sample in chosen)


@pytest.mark.parametrize("flip", [False, True])
def test_batches_fetched_at_once_hold_what_single_items_hold(small_cache: Cache, collate: Collate, flip: bool):
    samples = TrainingSet(small_cache, "train", data(flip=flip), seed=3, epoch=1)
    loader = training_batches(samples, collate, 3)
    for batch, piece in zip(loader, loader.sampler, strict=True):
        assert same(batch, collate([samples[item] for item in piece.items]))


def test_process_without_a_part_of_the_last_batch_computes_a_sample_that_does_not_count(small_cache: Cache, collate: Collate):
    samples = TrainingSet(small_cache, "train", data(), seed=0, epoch=0)
    first, second = (list(training_batches(samples, collate, 5, share=Share(process, processes=5)))[-1] for process in (0, 4))
    assert len(samples) == 6
    assert torch.equal(second.image, first.image)
    assert (len(first), len(second)) == (1, 0)
    assert second.target.unique().tolist() == [255]


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_sentence_is_evaluated_exactly_once(small_cache: Cache, split: str):
    items = list(EvaluationSet(small_cache, split, 64))
    asked = Counter((q.ref_id, q.sent_id, q.text) for item in items for q in item.sentences)
    referents = [small_cache.referent(row) for row in small_cache.referent_rows(split)]
    assert asked == Counter((r.ref_id, s.sent_id, s.text) for r in referents for s in r.sentences)
    assert [count for _, count in asked.items()] == [1] * len(asked)


def test_an_image_is_evaluated_once_with_all_its_referents(small_cache: Cache):
    items = list(EvaluationSet(small_cache, "val", 64))
    assert [item.image_id for item in items] == ["103", "104"]
    assert [{sentence.ref_id for sentence in item.sentences} for item in items] == [{6, 7}, {8, 9}]


def test_sentences_carry_the_caches_masks_at_both_sizes(small_cache: Cache):
    rows = {small_cache.referent(row).ref_id: row for row in small_cache.referent_rows("val").tolist()}
    for item in EvaluationSet(small_cache, "val", 64):
        for sentence in item.sentences:
            np.testing.assert_array_equal(sentence.target, small_cache.mask(rows[sentence.ref_id], 64))
            np.testing.assert_array_equal(sentence.original, small_cache.mask(rows[sentence.ref_id], None))


@pytest.mark.parametrize("split", ["train", "val"])
def test_no_referent_keeps_its_own_sentences_in_the_shuffle(small_cache: Cache, split: str):
    own = said(small_cache, split)
    for seed in range(20):
        asked = shuffled_texts(small_cache, split, seed)
        assert asked.keys() == own.keys()
        assert all(not set(texts) & set(own[row]) and len(texts) == len(own[row]) for row, texts in asked.items())


def test_every_referents_sentences_are_lent_to_exactly_one_other(small_cache: Cache):
    own = said(small_cache, "train")
    lenders = [next(row for row, texts in own.items() if set(lent) <= set(texts)) for lent in shuffled_texts(small_cache, "train").values()]
    assert sorted(lenders) == sorted(own)


def test_shuffle_depends_on_its_seed_alone(small_cache: Cache):
    assert shuffled_texts(small_cache, "train", 3) == shuffled_texts(small_cache, "train", 3)
    assert len({tuple(shuffled_texts(small_cache, "train", seed).values()) for seed in range(10)}) > 3


def test_texts_of_a_control_replace_the_sentences_one_by_one(small_cache: Cache):
    asked = shuffled_texts(small_cache, "val")
    items = EvaluationSet(small_cache, "val", 64, asked)
    found = [(q.sent_id, q.text) for item in items for q in item.sentences]
    expected = [
        (s.sent_id, text) for row, texts in asked.items() for s, text in zip(small_cache.referent(row).sentences, texts, strict=True)
    ]
    assert sorted(found) == sorted(expected)
