"""Who may import whom; arrows that follow from others are left out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tools.rooms import ALLOWED
from tools.svg import Box, arrow, document

_WIDTH, _STEP, _BOX = 700, 80, 96
_LEFT_OUT = {"__init__", "__main__"}


def rooms_picture() -> str:
    """docs/rooms.svg."""
    table = {room: others for room, others in ALLOWED.items() if room not in _LEFT_OUT}
    boxes = _placed(table)
    arrows = [arrow(boxes[room], boxes[other]) for room, others in direct(table).items() for other in sorted(others)]
    bottom = max(box.y for box in boxes.values()) + 40
    return document(_WIDTH, bottom, "Which room may import which", [*arrows, *(box.drawn() for box in boxes.values())])


def direct(table: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The table without what may be reached through another room."""

    def reached(room: str) -> set[str]:
        return set().union(*({other} | reached(other) for other in table[room]))

    return {room: {one for one in others if not any(one in reached(other) for other in others)} for room, others in table.items()}


def _placed(table: Mapping[str, set[str]]) -> dict[str, Box]:
    """A row for each depth: a room stands right below the lowest of those that import it."""

    @cache
    def depth(room: str) -> int:
        return max((1 + depth(importer) for importer, others in table.items() if room in others), default=0)

    rows = [[room for room in table if depth(room) == level] for level in range(1 + max(map(depth, table)))]
    return {
        room: Box(_WIDTH * (place + 0.5) / len(row), 40 + level * _STEP, _BOX, room)
        for level, row in enumerate(rows)
        for place, room in enumerate(row)
    }
