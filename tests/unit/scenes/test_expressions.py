"""What the sentences of the generated data set denote, by a reader of its own that knows only words and boxes."""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from cmirnet_cli.scenes import write_scenes

SIDE = 64
SHAPES = {"circle": "circle", "square": "square", "triangle": "triangle", "star": "star", "cross": "cross", "plus": "cross"}
SIZES = {"small": "small", "little": "small", "big": "large", "large": "large"}
COLORS = {"red", "yellow", "green", "blue", "purple", "black"}
FILLERS = {"the", "shape", "one", "thing"}
RELATION = re.compile(r"(?P<head>.+?) (?P<way>(?:to the )?left of|(?:to the )?right of|above|over|below|under) the (?P<anchor>.+)")
POSITION = re.compile(r"\b(left|leftmost|on the left|right|rightmost|on the right|top|topmost|at the top|bottom|lowest|at the bottom)\b")
AXES = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "above": (1, -1), "over": (1, -1)} | dict.fromkeys(
    ("bottom", "lowest", "below", "under"), (1, 1)
)


def axis_and_sign(words: str) -> tuple[int, int]:
    return next(AXES[key] for key in AXES if key in words)


def middle(annotation: dict) -> tuple[float, float]:
    x, y, width, height = annotation["bbox"]
    return (x + width / 2) / SIDE, (y + height / 2) / SIDE


def described(words: str, annotations: list[dict], names: dict[int, str]) -> list[dict]:
    for word in words.split():
        assert word in COLORS | FILLERS | set(SHAPES) | set(SIZES), f"what is {word!r} in {words!r}?"
        if word in COLORS:
            annotations = [a for a in annotations if a["color"] == word]
        elif word in SIZES:
            annotations = [a for a in annotations if a["size"] == SIZES[word]]
        elif word in SHAPES:
            annotations = [a for a in annotations if names[a["category_id"]] == SHAPES[word]]
    return annotations


def denoted(sentence: str, annotations: list[dict], names: dict[int, str]) -> tuple[str, list[dict]]:
    if relation := RELATION.fullmatch(sentence):
        axis, sign = axis_and_sign(relation["way"])
        (anchor,) = described(relation["anchor"], annotations, names)
        steps = {a["id"]: np.subtract(middle(a), middle(anchor)) for a in described(relation["head"], annotations, names)}
        clear = {i for i, step in steps.items() if sign * step[axis] > 0.1 and abs(step[axis]) > abs(step[1 - axis])}
        return "relation", [a for a in annotations if a["id"] in clear]
    if position := POSITION.search(sentence):
        axis, sign = axis_and_sign(position[0])
        candidates = described(POSITION.sub("", re.sub(r" (on|at) the \w+$", "", sentence)), annotations, names)
        assert len(candidates) > 1, f"{sentence!r} needs no position"
        ranked = sorted(candidates, key=lambda a: sign * middle(a)[axis], reverse=True)
        assert sign * (middle(ranked[0])[axis] - middle(ranked[1])[axis]) > 0.09, f"{sentence!r} is a near tie"
        return "position", ranked[:1]
    return "attribute", described(sentence, annotations, names)


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str, list[int]]]:
    """Every sentence with the id of its annotation, the kind it was read as, and the ids of what it denotes."""
    root = tmp_path_factory.mktemp("data")
    write_scenes(root, images={"train": 200}, size=SIDE, seed=11)
    instances = json.loads((root / "scenes" / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in instances["categories"]}
    groups = defaultdict(list)
    for annotation in instances["annotations"]:
        groups[annotation["image_id"]].append(annotation)
    found = []
    for ref in pickle.loads((root / "scenes" / "refs(demo).p").read_bytes()):
        for sentence in ref["sentences"]:
            kind, things = denoted(sentence["sent"], groups[ref["image_id"]], names)
            found.append((sentence["sent"], ref["ann_id"], kind, [thing["id"] for thing in things]))
    return found


def test_every_sentence_denotes_its_referent_and_nothing_else(readings: list[tuple[str, int, str, list[int]]]):
    for sentence, ann_id, _, denoted_ids in readings:
        assert denoted_ids == [ann_id], sentence


def test_sentences_are_of_three_kinds_in_the_promised_shares(readings: list[tuple[str, int, str, list[int]]]):
    kinds = Counter(kind for _, _, kind, _ in readings)
    shares = {kind: count / sum(kinds.values()) for kind, count in kinds.items()}
    assert shares == pytest.approx({"attribute": 0.55, "position": 0.25, "relation": 0.2}, abs=0.05)


def test_the_reader_of_these_tests_tells_a_wrong_sentence():
    star, other = ({"id": i, "category_id": 1, "color": "red", "size": "small", "bbox": [x, 50, 16, 16]} for i, x in ((1, 10), (2, 90)))
    assert denoted("the red star", [star, other], {1: "star"}) == ("attribute", [star, other])
    assert denoted("star on the left", [star, other], {1: "star"}) == ("position", [star])
    assert denoted("rightmost one", [star, other], {1: "star"}) == ("position", [other])
