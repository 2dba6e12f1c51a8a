"""A scored sentence as a card with its picture, and as a line of the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmirnet_cli.metrics.breakdown import NO_TARGET, groups_of
from cmirnet_cli.metrics.sentences import ReferentStats, SentenceScore, SplitScores, counts_of, iou_bins
from cmirnet_cli.reports.evaluation.score_markup import HALF, step_token
from cmirnet_cli.reports.pages.cards import Card, Keys, Layer, ListItem, Meter, token
from cmirnet_cli.reports.pages.markup import shortened
from cmirnet_cli.reports.pictures.overlay import Mask, Photo, card_size, mask_layer, outline_layer, scaled_mask, unsquared
from cmirnet_cli.reports.pictures.palette import ORANGE, WHITE

LONGEST = 400
"""Letters of a sentence that are shown; a line of the list shows as many as fit."""
NOTHING = "nothing predicted"
APART = "no overlap"


@dataclass(frozen=True)
class ScoredSentence:
    """One sentence and all that is said of it.

    Attributes:
        split: that it belongs to.
        place: among the split's sentences.
        score: its counts under each protocol.
        facts: of its referent, where they are known.
    """

    split: str
    place: int
    score: SentenceScore
    facts: ReferentStats | None

    @classmethod
    def of(cls, scored: SplitScores, place: int) -> ScoredSentence:
        """The sentence at this place of a split."""
        sentence = scored.sentences[place]
        return cls(scored.split, place, sentence, scored.facts.get(sentence.ref_id))

    @property
    def anchor(self) -> str:
        """Its name within the page."""
        return token(self.split, str(self.place))


@dataclass(frozen=True)
class SentencePictures:
    """What a picture of a sentence is made of: the image as a network gets it, uint8 (S, S, 3), and both masks, bool (H, W)."""

    image: Photo
    target: Mask
    prediction: Mask


def card(judged: ScoredSentence, shot: SentencePictures) -> Card:
    """The sentence with its image, what was predicted, and the ground truth."""
    size = card_size(shot.target)
    layers = [
        Layer("prediction", mask_layer(scaled_mask(shot.prediction, size), ORANGE), ORANGE),
        Layer("ground truth", outline_layer(scaled_mask(shot.target, size), WHITE), WHITE),
    ]
    return Card(
        picture=unsquared(shot.image, size),
        sentences=[shortened(judged.score.text, LONGEST)],
        notes=_notes(judged),
        keys=_keys(judged),
        layers=layers,
        marks=_marks(judged),
        meters=_meters(judged.score),
        groups=_groups(judged),
        anchor=judged.anchor,
    )


def line(judged: ScoredSentence, *, pictured: bool) -> ListItem:
    """The sentence without its picture; `pictured`: a card on the page has it."""
    return ListItem(
        sentence=shortened(judged.score.text, LONGEST),
        notes=_notes(judged),
        keys=_keys(judged),
        marks=_marks(judged),
        meters=_meters(judged.score),
        groups=_groups(judged),
        anchor=judged.anchor if pictured else "",
    )


def _notes(judged: ScoredSentence) -> list[str]:
    score, facts = judged.score, judged.facts
    ids = [f"ref {score.ref_id}", f"image {score.image_id}"]
    if facts is None:
        return ids
    size = groups_of(score.text, facts)["size"][0]
    return [*filter(None, (facts.category,)), *([] if size == NO_TARGET else [f"{size} target"]), *ids]


def _keys(judged: ScoredSentence) -> Keys:
    score, facts = judged.score, judged.facts
    ious = {f"iou{place}": overlap.iou for place, overlap in enumerate(score.overlaps.values())}
    area, category = (facts.area, facts.category) if facts else (0, "")
    return {**ious, "area": area, "words": len(score.text.split()), "category": category, "image": score.image_id}


def _marks(judged: ScoredSentence) -> Sequence[str]:
    """What sets a failure apart; a mask that is empty under one protocol only is not called so."""
    overlaps = judged.score.overlaps.values()
    if judged.facts and not judged.facts.area:
        return [NO_TARGET]
    if not any(overlap.predicted for overlap in overlaps):
        return [NOTHING]
    return [] if any(overlap.intersection for overlap in overlaps) else [APART]


def _meters(score: SentenceScore) -> list[Meter]:
    """The IoU under each protocol, seen while that is chosen; good where precision@0.5 counts it."""
    return [
        Meter("IoU", overlap.iou, token("protocol", protocol), good=_step(score, protocol) >= HALF)
        for protocol, overlap in score.overlaps.items()
    ]


def _groups(judged: ScoredSentence) -> list[str]:
    """Tokens of the split, of the groups that scores are broken down by, and of the histogram's steps."""
    named = [token(kind, name) for kind, names in groups_of(judged.score.text, judged.facts).items() for name in names]
    steps = [step_token(protocol, _step(judged.score, protocol)) for protocol in judged.score.overlaps]
    return [token("split", judged.split), *named, *steps]


def _step(score: SentenceScore, protocol: str) -> int:
    """The step of the histogram that the IoU lies in."""
    return int(iou_bins(*counts_of([score], protocol))[0])
