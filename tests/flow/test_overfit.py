"""The road carries real data: a small model learns a few real photographs by heart."""

import json
import pickle
import shutil

import pytest

PHOTOS = 16


@pytest.fixture
def sixteen_photographs(coco128, tmp_path):
    """REFER files for sixteen photographs whose referents are both the training and the validation split."""
    folder = tmp_path / "data" / "sixteen"
    folder.mkdir(parents=True)
    refs = pickle.loads((coco128 / "refcoco128" / "refs(template).p").read_bytes())
    images = list(dict.fromkeys(ref["image_id"] for ref in refs))[:PHOTOS]
    chosen = [ref for ref in refs if ref["image_id"] in images]
    again = [ref | {"ref_id": ref["ref_id"] + 10_000, "split": "val"} for ref in chosen]
    both = [ref | {"split": "train"} for ref in chosen] + again
    (folder / "refs(both).p").write_bytes(pickle.dumps(both, protocol=2))
    shutil.copy(coco128 / "refcoco128" / "instances.json", folder)
    return tmp_path


@pytest.mark.slow
def test_sixteen_real_photographs_are_learnt_by_heart(cmirnet, coco128, sixteen_photographs):
    home = sixteen_photographs
    source = ["--split-by", "both", "--data", home / "data", "--images", coco128 / "images"]
    assert cmirnet("prepare-data", "sixteen", *source, "--out", home / "cache", "--size", 96).code == 0
    schedule = ["--epochs", 80, "--set", "loop.validate_every=40", "--set", "loop.batch_size=8"]
    train = ["train", "--preset", "smoke", "--cache", home / "cache", "--run-dir", home / "run", "--device", "cpu", *schedule]
    assert cmirnet(*train).code == 0
    outcome = cmirnet("eval", home / "run", "--cache", home / "cache", "--split", "train", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["splits"]["train"]["paper"]["overall_iou"] > 85
