"""Controls keep the targets and take the words or the pixels away."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmirnet_cli.batches.batch import normalise
from cmirnet_cli.batches.datasets import EvaluationSet
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.evaluation.loop import GREY, Evaluator, control_set, evaluate_split
from cmirnet_cli.metrics.sentences import CONTROLS


def test_grey_is_the_colour_that_the_network_sees_as_zero():
    grey = torch.tensor(GREY, dtype=torch.uint8).expand(1, 2, 2, 3)
    assert normalise(grey).abs().max() < 0.5 / 255 / 0.22


def test_no_image_keeps_questions_and_targets_and_shows_one_colour(small_cache: Cache):
    own, grey = EvaluationSet(small_cache, "val", 64), control_set("no-image", small_cache, "val", 64)
    for place in range(len(own)):
        seen, unseen = own[place], grey[place]
        assert unseen.image.shape == seen.image.shape
        assert unseen.image.dtype == np.uint8
        assert {tuple(colour) for colour in unseen.image.reshape(-1, 3).tolist()} == {GREY}
        for asked, given in zip(unseen.questions, seen.questions, strict=True):
            assert (asked.text, asked.sent_id) == (given.text, given.sent_id)
            np.testing.assert_array_equal(asked.original, given.original)


def test_there_is_no_other_control(small_cache: Cache):
    with pytest.raises(KeyError, match="no-text"):
        control_set("no-text", small_cache, "val", 64)


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_asks_about_every_sentence_in_the_same_order(evaluator: Evaluator, small_cache: Cache, control: str):
    found = evaluate_split(evaluator, small_cache, "val", 64, ["paper"], controls=[control])
    assert [one.sent_id for one in found.controls[control]] == [one.sent_id for one in found.sentences]
    assert [one.overlaps for one in found.controls[control]] != [one.overlaps for one in found.sentences]
