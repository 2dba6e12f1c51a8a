"""Evaluation, against one sentence at a time with NumPy and PIL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from torch.utils.data import Subset

from cmirnet_cli.batches.batch import normalise
from cmirnet_cli.batches.datasets import EvaluationImage, EvaluationSet, shuffled_texts
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.evaluation.loop import GREY, Evaluator, control_set, evaluate_split, score_samples, scored_batches
from cmirnet_cli.metrics.sentences import CONTROLS, Overlap, SentenceScore

PROTOCOLS = ["paper", "original"]
TIE = 1e-5
"""Of a mask's spread of logits: where they differ by less, the order of additions decides."""
ROUNDING = 2
"""Pixels whose two logits lie so close that the order of additions decides; another sentence moves many more."""
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def network_input(file: str) -> torch.Tensor:
    pixels = np.asarray(Image.open(file).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
    return torch.tensor(((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)[None], dtype=torch.float32)


def axis_weights(old: int, new: int) -> np.ndarray:
    """Bilinear interpolation along one axis, pixel centres half a pixel in: (new, old)."""
    weights = np.zeros((new, old))
    for place in range(new):
        centre = min(max((place + 0.5) * old / new - 0.5, 0), old - 1)
        low = int(centre)
        weights[place, low] += 1 - (centre - low)
        weights[place, min(low + 1, old - 1)] += centre - low
    return weights


def enlarged(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    return axis_weights(64, height) @ logits @ axis_weights(64, width).T


@torch.inference_mode()
def logits_of(evaluator: Evaluator, file: str, text: str) -> np.ndarray:
    ids = evaluator.tokenizer(text, padding="max_length", max_length=evaluator.tokens, return_tensors="pt")
    return evaluator.model(network_input(file), ids["input_ids"], ids["attention_mask"].bool()).main[0].double().numpy()


def one_by_one(evaluator: Evaluator, cache: Cache) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Sentence id → (intersection, union) under both protocols."""
    for row in cache.referent_rows("val").tolist():
        referent = cache.referent(row)
        original = cache.mask(row, None)
        paper = np.asarray(Image.fromarray(original).resize((64, 64), Image.Resampling.NEAREST))
        for sentence in referent.sentences:
            logits = logits_of(evaluator, cache.image_file(referent.image_row), sentence.text)
            pairs = [(logits.argmax(0) == 1, paper == 1), (enlarged(logits, *original.shape).argmax(0) == 1, original == 1)]
            yield sentence.sent_id, [(int((p & t).sum()), int((p | t).sum())) for p, t in pairs]


def test_evaluation_counts_what_one_sentence_at_a_time_counts(evaluator: Evaluator, small_cache: Cache):
    expected = dict(one_by_one(evaluator, small_cache))
    scores = score_samples(evaluator, EvaluationSet(small_cache, "val", 64), PROTOCOLS)
    found = {score.sent_id: [(o.intersection, o.union) for o in map(score.overlaps.get, PROTOCOLS)] for score in scores}
    assert len(scores) == len(found) == len(expected)
    assert sum(intersection for pairs in expected.values() for intersection, _ in pairs) > 1000
    for sent_id, pairs in expected.items():
        np.testing.assert_allclose(found[sent_id], pairs, atol=ROUNDING)


def kept_masks(evaluator: Evaluator, cache: Cache, batch_size: int) -> dict[int, np.ndarray]:
    """Sentence id → mask at the image's own size."""
    found = score_samples(replace(evaluator, batch_size=batch_size, keep_masks=True), EvaluationSet(cache, "val", 64), ["original"])
    return {score.sent_id: coco.decode(dict(score.rle)) > 0 for score in found}


def test_under_paper_alone_the_masks_kept_are_those_that_it_counts(evaluator: Evaluator, small_cache: Cache):
    for score in score_samples(replace(evaluator, keep_masks=True), EvaluationSet(small_cache, "val", 64), ["paper"]):
        assert score.rle["size"] == [64, 64]
        assert int(coco.area(dict(score.rle))) == score.overlaps["paper"].predicted


@pytest.fixture(scope="module")
def margins(evaluator: Evaluator, small_cache: Cache) -> dict[int, np.ndarray]:
    """Sentence id → by how much the referent's logit is the larger one, asked alone, at the image's own size."""
    found = {}
    for referent in map(small_cache.referent, small_cache.referent_rows("val").tolist()):
        for sentence in referent.sentences:
            logits = logits_of(evaluator, small_cache.image_file(referent.image_row), sentence.text)
            background, other = enlarged(logits, referent.height, referent.width)
            found[sentence.sent_id] = other - background
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 5, 8, 64])
def test_batches_across_images_decide_every_pixel_that_is_no_tie_as_one_sentence_alone(
    evaluator: Evaluator, small_cache: Cache, margins: dict[int, np.ndarray], batch_size: int
):
    masks = kept_masks(evaluator, small_cache, batch_size)
    assert list(masks) == list(margins)
    for sent_id, margin in margins.items():
        decided = np.abs(margin) > TIE * margin.std()
        assert decided.mean() > 0.9999
        assert np.array_equal(masks[sent_id][decided], margin[decided] > 0)


@pytest.mark.parametrize("batch_size", [2, 5])
def test_batches_share_their_images_and_end_inside_one_without_a_trace(evaluator: Evaluator, small_cache: Cache, batch_size: int):
    samples = EvaluationSet(small_cache, "val", 64)
    usual, other = (
        score_samples(evaluator, samples, PROTOCOLS),
        score_samples(replace(evaluator, batch_size=batch_size), samples, PROTOCOLS),
    )
    assert [(s.ref_id, s.sent_id, s.image_id, s.text) for s in other] == [(s.ref_id, s.sent_id, s.image_id, s.text) for s in usual]
    assert counted(other) == counted(usual)


def counted(scores: Iterable[SentenceScore]) -> dict[int, Mapping[str, Overlap]]:
    return {score.sent_id: score.overlaps for score in scores}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("order", [(0,), (1, 0, 1, 1)])
def test_a_sentence_is_counted_to_the_pixel_whatever_else_is_scored_and_when(
    evaluator: Evaluator, small_cache: Cache, batch_size: int, order: tuple[int, ...], compiled: bool
):
    evaluator = replace(evaluator, batch_size=batch_size, compiled=compiled)
    samples = EvaluationSet(small_cache, "val", 64)
    expected = counted(score_samples(evaluator, samples, PROTOCOLS))
    found = [pair for batch in scored_batches(evaluator, Subset(samples, order), PROTOCOLS) for pair in batch]
    assert [place for place, _ in found] == [place for place, item in enumerate(order) for _ in samples[item].sentences]
    for _, score in found:
        assert score.overlaps == expected[score.sent_id]


def rows_through(evaluator: Evaluator, cache: Cache) -> tuple[list[int], list[int]]:
    """How many images are encoded in each batch of val, and how many sentences are decoded: it has 2 and 7."""
    network, encoded, decoded = evaluator.model.network, [], []
    hooks = [
        network.stages[0].register_forward_pre_hook(lambda stage, given: encoded.append(len(given[0]))),
        network.heads[-1].register_forward_pre_hook(lambda head, given: decoded.append(len(given[0]))),
    ]
    assert len(score_samples(evaluator, EvaluationSet(cache, "val", 64), ["paper"])) == 7
    for hook in hooks:
        hook.remove()
    return encoded, decoded


@pytest.mark.parametrize(("batch_size", "decoded"), [(1, [1] * 7), (2, [2, 1, 2, 2]), (8, [3, 4])])
def test_every_image_is_encoded_once_and_no_row_is_computed_that_nobody_needs(
    evaluator: Evaluator, small_cache: Cache, batch_size: int, decoded: list[int]
):
    assert rows_through(replace(evaluator, batch_size=batch_size), small_cache) == ([1, 1], decoded)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_compiled_network_is_given_full_batches_only(evaluator: Evaluator, small_cache: Cache, batch_size: int):
    encoded, decoded = rows_through(replace(evaluator, batch_size=batch_size, compiled=True), small_cache)
    assert encoded == [batch_size] * -(-2 // batch_size)
    assert decoded == [batch_size] * -(-7 // batch_size)


class Shown(EvaluationSet):
    """Keeps a record of the images that were read."""

    def __getitem__(self, item: int) -> EvaluationImage:
        self.read = [*getattr(self, "read", []), item]
        return super().__getitem__(item)


def test_no_image_is_read_before_it_is_needed(evaluator: Evaluator, small_cache: Cache):
    samples = Shown(small_cache, "train", 64)
    read = [len(samples.read) for _ in scored_batches(replace(evaluator, batch_size=1), samples, ["paper"])]
    assert read == [place for place in (1, 2, 3) for _ in samples[place - 1].sentences]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_scores_do_not_depend_on_the_workers(evaluator: Evaluator, small_cache: Cache, batch_size: int):
    samples = EvaluationSet(small_cache, "val", 64)
    evaluator = replace(evaluator, batch_size=batch_size)
    assert score_samples(replace(evaluator, workers=2), samples, PROTOCOLS) == score_samples(evaluator, samples, PROTOCOLS)


def test_model_left_in_train_mode_is_scored_in_eval_mode(evaluator: Evaluator, small_cache: Cache):
    samples = EvaluationSet(small_cache, "val", 64)
    expected = score_samples(evaluator, samples, PROTOCOLS)
    evaluator.model.train()
    assert score_samples(evaluator, samples, PROTOCOLS) == expected


def test_progress_adds_up_to_the_number_of_sentences(evaluator: Evaluator, small_cache: Cache):
    done: list[int] = []
    scores = score_samples(replace(evaluator, batch_size=3), EvaluationSet(small_cache, "val", 64), ["paper"], done.append)
    assert (sum(done), len(done)) == (len(scores), 3)
    assert all(score.overlaps.keys() == {"paper"} for score in scores)


def test_grey_is_the_colour_that_the_network_sees_as_zero():
    grey = torch.tensor(GREY, dtype=torch.uint8).expand(1, 2, 2, 3)
    assert normalise(grey).abs().max() < 0.5 / 255 / 0.22


def test_no_image_keeps_sentences_and_targets_and_shows_one_colour(small_cache: Cache):
    own, grey = EvaluationSet(small_cache, "val", 64), control_set("no-image", small_cache, "val", 64)
    for place in range(len(own)):
        shown, hidden = own[place], grey[place]
        assert hidden.image.shape == shown.image.shape
        assert hidden.image.dtype == np.uint8
        assert {tuple(colour) for colour in hidden.image.reshape(-1, 3).tolist()} == {GREY}
        for sentence, expected in zip(hidden.sentences, shown.sentences, strict=True):
            assert (sentence.text, sentence.sent_id) == (expected.text, expected.sent_id)
            np.testing.assert_array_equal(sentence.original, expected.original)


def test_there_is_no_other_control(small_cache: Cache):
    with pytest.raises(KeyError, match="no-text"):
        control_set("no-text", small_cache, "val", 64)


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_scores_every_sentence_in_the_same_order(evaluator: Evaluator, small_cache: Cache, control: str):
    result = evaluate_split(evaluator, small_cache, "val", 64, ["paper"], controls=[control])
    assert [one.sent_id for one in result.controls[control]] == [one.sent_id for one in result.sentences]
    assert [one.overlaps for one in result.controls[control]] != [one.overlaps for one in result.sentences]
    if control == "shuffled-text":
        lent = {text for texts in shuffled_texts(small_cache, "val").values() for text in texts}
        assert {one.text for one in result.controls[control]} == lent
        assert all(one.text != own.text for one, own in zip(result.controls[control], result.sentences, strict=True))


def test_kept_masks_are_those_that_were_counted(evaluator: Evaluator, small_cache: Cache):
    found = evaluate_split(replace(evaluator, keep_masks=True), small_cache, "val", 64, PROTOCOLS, controls=["no-image"])
    rows = {small_cache.referent(row).ref_id: row for row in small_cache.referent_rows("val").tolist()}
    for sentence in found.sentences:
        assert sentence.rle is not None
        kept, target = coco.decode(dict(sentence.rle)) > 0, small_cache.mask(rows[sentence.ref_id], None) > 0
        counted = sentence.overlaps["original"]
        assert ((kept & target).sum(), (kept | target).sum()) == (counted.intersection, counted.union)
        assert kept.sum() == counted.predicted
    assert all(sentence.rle is None for sentence in found.controls["no-image"])
