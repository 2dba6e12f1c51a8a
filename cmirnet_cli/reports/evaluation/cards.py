"""A scored sentence as an entry of the list, and as a card with its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmirnet_cli.images.palette import ORANGE, WHITE
from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.metrics.breakdown import NO_TARGET, groups_of
from cmirnet_cli.metrics.sentences import BINS, ReferentStats, SentenceScore, SplitScores, Tally
from cmirnet_cli.reports.pages.cards import PHOTOGRAPHS, Card, Entry, Layer, Meter, jpeg, png, token
from cmirnet_cli.reports.pictures.overlay import card_size, mask_layer, outline_layer, scaled_mask, unsquared

LONGEST = 400
"""Letters of a sentence that are shown; a line of the list shows as many as fit."""
FIRST_GOOD_BIN = BINS // 2
"""The first bin of the histogram that precision@0.5 counts."""
NOTHING = "nothing predicted"
APART = "no overlap"


@dataclass(frozen=True)
class SentencePictures:
    """What a picture of a sentence is made of: the image as a network gets it, uint8 (S, S, 3), and both masks, bool (H, W)."""

    image: Pixels
    target: Mask
    prediction: Mask


def sentence_entry(scored: SplitScores, place: int) -> Entry:
    """The sentence at this place of a split: its IoU under each protocol, its referent where it is known, and its groups."""
    sentence = scored.sentences[place]
    stats = scored.stats.get(sentence.ref_id)
    groups = groups_of(sentence.text, stats)
    bins = {protocol: int(Tally.of([sentence], protocol).bins[0]) for protocol in sentence.overlaps}
    named = [token(kind, name) for kind, names in groups.items() for name in names]
    return Entry(
        sentences=[sentence.text if len(sentence.text) <= LONGEST else f"{sentence.text[:LONGEST].rstrip()}…"],
        notes=[*_target(stats, groups), f"ref {sentence.ref_id}", f"image {sentence.image_id}"],
        keys={
            **{f"iou{position}": overlap.iou for position, overlap in enumerate(sentence.overlaps.values())},
            "area": stats.area if stats else 0,
            "words": len(sentence.text.split()),
            "category": stats.category if stats else "",
            "image": sentence.image_id,
        },
        marks=_marks(sentence, stats),
        meters=[
            Meter("IoU", overlap.iou, token("protocol", protocol), good=bins[protocol] >= FIRST_GOOD_BIN)
            for protocol, overlap in sentence.overlaps.items()
        ],
        groups=[token("split", scored.split), *named, *(bin_token(*place) for place in bins.items())],
        anchor=token(scored.split, str(place)),
    )


def sentence_card(entry: Entry, pictures: SentencePictures) -> Card:
    """An entry with its image, what was predicted, and the ground truth."""
    size = card_size(pictures.target)
    layers = [
        Layer("prediction", png(mask_layer(scaled_mask(pictures.prediction, size), ORANGE)), ORANGE),
        Layer("ground truth", png(outline_layer(scaled_mask(pictures.target, size), WHITE)), WHITE),
    ]
    return Card(entry, jpeg(unsquared(pictures.image, size), PHOTOGRAPHS), layers)


def bin_token(protocol: str, place: int) -> str:
    """The group of the sentences whose IoU lies in a bin of the histogram."""
    return token(f"iou-{protocol}", str(place))


def _target(stats: ReferentStats | None, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Category and size of the target, where they are known and there is one."""
    if stats is None:
        return []
    size = groups["size"][0]
    return [*filter(None, (stats.category,)), *([] if size == NO_TARGET else [f"{size} target"])]


def _marks(sentence: SentenceScore, stats: ReferentStats | None) -> Sequence[str]:
    """What sets a failure apart; a mask that is empty under one protocol only is not called so."""
    overlaps = sentence.overlaps.values()
    if stats and stats.no_target:
        return [NO_TARGET]
    if not any(overlap.predicted for overlap in overlaps):
        return [NOTHING]
    return [] if any(overlap.intersection for overlap in overlaps) else [APART]
