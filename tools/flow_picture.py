"""How data flow from room to room: each station is the class that one room makes and the next one takes."""

from __future__ import annotations

from inspect import get_annotations
from itertools import pairwise

from cmirnet_cli.batches.batch import Batch
from cmirnet_cli.cache.reader import Sample
from cmirnet_cli.metrics.scores import Scores
from cmirnet_cli.model.features import Logits
from cmirnet_cli.refer.referent import Referent
from tools.svg import Box, arrow, document, text

STATIONS = (Referent, Sample, Batch, Logits, Scores)
_WIDTH, _STEP = 460, 90


def flow_picture() -> str:
    """docs/flow.svg."""
    names = [("annotation files, photographs", ""), *((kind.__name__, _fields(kind)) for kind in STATIONS), ("files, tables, pages", "")]
    boxes = [Box(_WIDTH / 2, 40 + index * _STEP, _WIDTH - 60, *shown) for index, shown in enumerate(names)]
    rooms = [*map(room_of, STATIONS), "reports"]
    labels = [text(upper.x + 40, upper.y + _STEP / 2 + 4, room) for upper, room in zip(boxes, rooms, strict=False)]
    arrows = [arrow(upper, lower) for upper, lower in pairwise(boxes)]
    return document(_WIDTH, boxes[-1].y + 40, "What each room makes of what it gets", [*arrows, *labels, *(box.drawn() for box in boxes)])


def room_of(kind: type) -> str:
    """The room that a class is at home in."""
    return kind.__module__.split(".")[1]


def _fields(kind: type) -> str:
    return ", ".join(get_annotations(kind))
