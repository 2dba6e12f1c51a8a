"""Hand-made data sets in REFER layout."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cmirnet_cli.refer.layout import Layout

REF = {
    "ref_id": 7,
    "ann_id": 70,
    "image_id": 1,
    "category_id": 3,
    "file_name": "COCO_train2014_000000000001_7.jpg",
    "split": "train",
    "sent_ids": [11, 12],
    "sentences": [
        {"sent_id": 11, "raw": "The RED cup!", "sent": "the red cup", "tokens": ["the", "red", "cup"]},
        {"sent_id": 12, "raw": "left cup", "sent": "left cup", "tokens": ["left", "cup"]},
    ],
}
INSTANCES = {
    "images": [{"id": 1, "file_name": "one.jpg", "height": 20, "width": 30}],
    "annotations": [
        {"id": 70, "image_id": 1, "category_id": 3, "segmentation": [[2, 2, 8, 2, 8, 9, 2, 9]]},
        {"id": 71, "image_id": 1, "category_id": 4, "segmentation": [[20, 2, 28, 2, 28, 9, 20, 9]]},
    ],
    "categories": [{"id": 3, "name": "cup"}, {"id": 4, "name": "dog"}],
}


@pytest.fixture
def ref() -> dict[str, Any]:
    return deepcopy(REF)


@pytest.fixture
def instances() -> dict[str, Any]:
    return deepcopy(INSTANCES)


@pytest.fixture
def layout_of(tmp_path: Path) -> Callable[[Any, Any], Layout]:
    """Writes refs and instances to a folder and returns its layout; there are no image files."""

    def write(refs: Any, instances: Any) -> Layout:
        folder = tmp_path / "cups"
        images = tmp_path / "images"
        folder.mkdir()
        images.mkdir()
        (folder / "refs(hand).p").write_bytes(pickle.dumps(refs, protocol=2))
        (folder / "instances.json").write_text(json.dumps(instances), encoding="utf-8")
        return Layout("cups", "hand", folder / "refs(hand).p", folder / "instances.json", (images,))

    return write
