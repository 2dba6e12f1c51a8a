"""Evaluation, against one sentence at a time with NumPy and PIL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.batches.sets import EvaluationSet, shuffled_texts
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.evaluation import Judge, evaluate, evaluate_split

PROTOCOLS = ["paper", "original"]
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
def logits_of(judge: Judge, file: str, text: str) -> np.ndarray:
    ids = judge.tokenizer(text, padding="max_length", max_length=judge.tokens, return_tensors="pt")
    return judge.model(network_input(file), ids["input_ids"], ids["attention_mask"].bool()).main[0].double().numpy()


def one_by_one(judge: Judge, cache: Cache) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Sentence id → (intersection, union) under both protocols."""
    for row in cache.referents("val").tolist():
        referent = cache.referent(row)
        original = cache.mask(row, None)
        paper = np.asarray(Image.fromarray(original).resize((64, 64), Image.Resampling.NEAREST))
        for sentence in referent.sentences:
            logits = logits_of(judge, cache.image_file(referent.image_row), sentence.text)
            pairs = [(logits.argmax(0) == 1, paper == 1), (enlarged(logits, *original.shape).argmax(0) == 1, original == 1)]
            yield sentence.sent_id, [(int((p & t).sum()), int((p | t).sum())) for p, t in pairs]


def test_evaluation_counts_what_one_sentence_at_a_time_counts(judge: Judge, small_cache: Cache):
    expected = dict(one_by_one(judge, small_cache))
    scores = evaluate(judge, EvaluationSet(small_cache, "val", 64), PROTOCOLS)
    found = {score.sent_id: [(o.intersection, o.union) for o in map(score.overlaps.get, PROTOCOLS)] for score in scores}
    assert len(scores) == len(found) == len(expected)
    assert sum(intersection for pairs in expected.values() for intersection, _ in pairs) > 1000
    for sent_id, pairs in expected.items():
        np.testing.assert_allclose(found[sent_id], pairs, atol=ROUNDING)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_scores_do_not_depend_on_the_batch_size(judge: Judge, small_cache: Cache, batch_size: int):
    samples = EvaluationSet(small_cache, "val", 64)
    usual, other = evaluate(judge, samples, PROTOCOLS), evaluate(replace(judge, batch_size=batch_size), samples, PROTOCOLS)
    assert [(s.ref_id, s.sent_id, s.image_id, s.text) for s in other] == [(s.ref_id, s.sent_id, s.image_id, s.text) for s in usual]
    for ours, theirs in zip(other, usual, strict=True):
        for protocol in PROTOCOLS:
            assert ours.overlaps[protocol].intersection == pytest.approx(theirs.overlaps[protocol].intersection, abs=ROUNDING)
            assert ours.overlaps[protocol].union == pytest.approx(theirs.overlaps[protocol].union, abs=ROUNDING)


def test_scores_do_not_depend_on_the_workers(judge: Judge, small_cache: Cache):
    samples = EvaluationSet(small_cache, "val", 64)
    assert evaluate(replace(judge, workers=2), samples, PROTOCOLS) == evaluate(judge, samples, PROTOCOLS)


def test_model_left_in_train_mode_is_scored_in_eval_mode(judge: Judge, small_cache: Cache):
    samples = EvaluationSet(small_cache, "val", 64)
    expected = evaluate(judge, samples, PROTOCOLS)
    judge.model.train()
    assert evaluate(judge, samples, PROTOCOLS) == expected


def test_progress_adds_up_to_the_number_of_sentences(judge: Judge, small_cache: Cache):
    done: list[int] = []
    scores = evaluate(judge, EvaluationSet(small_cache, "val", 64), ["paper"], done.append)
    assert (sum(done), len(done)) == (len(scores), 2)
    assert all(score.overlaps.keys() == {"paper"} for score in scores)


def test_control_asks_every_referent_for_another_ones_sentences(judge: Judge, small_cache: Cache):
    result = evaluate_split(judge, small_cache, "val", 64, PROTOCOLS, controls=["shuffled-text"])
    lent = {text for texts in shuffled_texts(small_cache, "val").values() for text in texts}
    shuffled = result.controls["shuffled-text"]
    assert [s.sent_id for s in shuffled] == [s.sent_id for s in result.sentences]
    assert {s.text for s in shuffled} == lent
    assert all(asked.text != said.text for asked, said in zip(shuffled, result.sentences, strict=True))


def test_kept_masks_are_those_that_were_counted(judge: Judge, small_cache: Cache):
    found = evaluate_split(replace(judge, keep_masks=True), small_cache, "val", 64, PROTOCOLS, controls=["no-image"])
    rows = {small_cache.referent(row).ref_id: row for row in small_cache.referents("val").tolist()}
    for sentence in found.sentences:
        assert sentence.rle is not None
        kept, target = coco.decode(dict(sentence.rle)) > 0, small_cache.mask(rows[sentence.ref_id], None) > 0
        counted = sentence.overlaps["original"]
        assert ((kept & target).sum(), (kept | target).sum()) == (counted.intersection, counted.union)
        assert kept.sum() == counted.predicted
    assert all(sentence.rle is None for sentence in found.controls["no-image"])


def test_masks_are_kept_on_demand_only(judge: Judge, small_cache: Cache):
    assert all(score.rle is None for score in evaluate(judge, EvaluationSet(small_cache, "val", 64), PROTOCOLS))
