"""`cmirnet.evaluate` of a model of one's own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.evaluation.loop import Evaluator, evaluate_split
from cmirnet_cli.engine.evaluation.run import EvaluatedModel, EvaluationRequest, evaluate
from cmirnet_cli.errors import UsageError


def test_every_split_is_scored_and_reported_as_the_loop_scores_it(evaluator: Evaluator, small_cache: Cache):
    opened: dict[str, int] = {}

    @contextmanager
    def progress(what: str, total: int) -> Any:
        done: list[int] = []
        yield done.append
        assert sum(done) == total
        opened[what] = total

    request = EvaluationRequest(splits=("val", "train"), controls=("no-image",), keep_masks=True)
    result = evaluate(EvaluatedModel(evaluator, 64, "mine"), small_cache.folder, request, progress=progress)
    expected = evaluate_split(evaluator, small_cache, "val", 64, request.protocols, controls=request.controls)
    assert result.scores[0].without_masks() == expected
    assert all(sentence.rle for sentence in result.scores[0].sentences)
    assert [(each.split, list(each.protocols)) for each in result.reports] == [(split, ["paper", "original"]) for split in request.splits]
    assert opened == {f"score mine on {each.split}": 2 * len(each.sentences) for each in result.scores}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"protocols": ("papers",)}, "no protocol 'papers'"),
        ({"controls": ("no-text",)}, "no control 'no-text'"),
    ],
)
def test_a_request_that_cannot_be_is_refused(request_: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        EvaluationRequest(**request_)
