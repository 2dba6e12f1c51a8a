"""`scores.json` and `sentences.jsonl`: what an evaluation found, for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from cmirnet_cli.metrics.scored import SplitScores
from cmirnet_cli.metrics.scores import PROTOCOLS


def describe(scored: Sequence[SplitScores]) -> dict[str, Any]:
    """The protocols in words, and the scores: split → protocol → scores, with the control's below `control`."""
    protocols = scored[0].protocols
    splits = {each.split: {protocol: _scores(each, protocol) for protocol in protocols} for each in scored}
    return {"protocols": {protocol: PROTOCOLS[protocol] for protocol in protocols}, "splits": splits}


def sentence_lines(scored: Sequence[SplitScores]) -> Iterator[str]:
    """One line of JSON for each sentence: its ids, its text, and its pixel counts and IoU under each protocol."""
    for each in scored:
        for sentence in each.sentences:
            ids = {"split": each.split, "image_id": sentence.image_id, "ref_id": sentence.ref_id, "sent_id": sentence.sent_id}
            counts = {
                protocol: {"intersection": overlap.intersection, "union": overlap.union, "iou": overlap.iou}
                for protocol, overlap in sentence.overlaps.items()
            }
            yield json.dumps(ids | {"sentence": sentence.text} | counts, ensure_ascii=False) + "\n"


def _scores(each: SplitScores, protocol: str) -> dict[str, Any]:
    control = each.control_scores(protocol)
    return each.scores(protocol).as_dict() | ({"control": {"shuffled-text": control.as_dict()}} if control else {})
