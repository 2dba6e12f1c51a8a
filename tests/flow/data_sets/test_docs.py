"""The lines that docs/your-data.md shows are lines that `prepare-data` takes."""

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

PAGE = Path(__file__).resolve().parents[3] / "docs" / "your-data.md"


def test_the_lines_of_the_page_are_prepared(cmirnet, tmp_path):
    (block,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    counts = coco.encode(np.asfortranarray(np.eye(480, 640, dtype=np.uint8)))["counts"].decode("ascii")
    lines = [json.loads(line) for line in block.replace("…", counts.replace("\\", "\\\\")).splitlines()]
    for name in {line["image"] for line in lines} | {line["mask"] for line in lines if "mask" in line}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (640, 480), "white").save(tmp_path / name)
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    outcome = cmirnet("prepare-data", tmp_path / "mine.jsonl", "--out", tmp_path / "cache", "--size", 32, "--json")
    assert outcome.code == 0, outcome.err
    counted = {split: numbers["sentences"] for split, numbers in outcome.data["splits"].items()}
    assert counted == {"train": 2, "val": 2}
