"""The generated data set, checked from its files alone: what the annotations say and what the pixels show."""

from __future__ import annotations

import hashlib
import json
import pickle
import pickletools
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from cmirnet_cli.errors import DataError
from cmirnet_cli.scenes import drawn_pairs, write_scenes

IMAGES = {"train": 90, "val": 30, "test": 30}
SIDE = 128


@dataclass(frozen=True)
class Written:
    folder: Path
    refs: list[dict]
    instances: dict

    @property
    def annotations(self) -> dict[int, dict]:
        return {annotation["id"]: annotation for annotation in self.instances["annotations"]}

    def of_image(self) -> dict[int, list[dict]]:
        groups = defaultdict(list)
        for annotation in self.instances["annotations"]:
            groups[annotation["image_id"]].append(annotation)
        return groups


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    root = tmp_path_factory.mktemp("data")
    write_scenes(root, images=IMAGES, size=SIDE, seed=7)
    folder = root / "scenes"
    refs = pickle.loads((folder / "refs(demo).p").read_bytes())
    return Written(folder, refs, json.loads((folder / "instances.json").read_text()))


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)).hexdigest()


# What is written


def test_refs_have_the_keys_of_genuine_files(written: Written):
    keys = {"sent_ids", "file_name", "ann_id", "ref_id", "image_id", "split", "sentences", "category_id"}
    assert all(set(ref) == keys for ref in written.refs)
    assert all(set(sentence) == {"tokens", "raw", "sent_id", "sent"} for ref in written.refs for sentence in ref["sentences"])


def test_the_pickle_is_protocol_2_and_constructs_no_object(written: Written):
    data = (written.folder / "refs(demo).p").read_bytes()
    names = {opcode.name for opcode, _, _ in pickletools.genops(data)}
    assert data[:2] == b"\x80\x02"
    assert not names & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "EXT1"}


def test_ids_are_distinct_and_lead_to_rows_that_agree(written: Written):
    images = {image["id"]: image for image in written.instances["images"]}
    categories = {category["id"] for category in written.instances["categories"]}
    assert len({ref["ref_id"] for ref in written.refs}) == len(written.refs)
    sent_ids = [sentence["sent_id"] for ref in written.refs for sentence in ref["sentences"]]
    assert len(set(sent_ids)) == len(sent_ids)
    assert sent_ids == [sent_id for ref in written.refs for sent_id in ref["sent_ids"]]
    for ref in written.refs:
        annotation = written.annotations[ref["ann_id"]]
        assert (annotation["image_id"], annotation["category_id"]) == (ref["image_id"], ref["category_id"])
        assert ref["category_id"] in categories
        assert ref["image_id"] in images


def test_every_image_is_an_rgb_jpeg_of_its_annotated_size(written: Written):
    for row in written.instances["images"]:
        with Image.open(written.folder / "images" / row["file_name"]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (row["width"], row["height"]))
    assert len(list(written.folder.glob("images/*/*.jpg"))) == len(written.instances["images"]) == sum(IMAGES.values())


def test_an_image_belongs_to_one_split_only(written: Written):
    splits = defaultdict(set)
    for ref in written.refs:
        splits[ref["image_id"]].add(ref["split"])
    files = {image["id"]: image["file_name"] for image in written.instances["images"]}
    assert Counter(split for (split,) in splits.values()) == IMAGES
    assert all(files[image_id].startswith(f"{split}/") for image_id, (split,) in splits.items())
    pictures = [(written.folder / "images" / name).read_bytes() for name in files.values()]
    assert len(set(pictures)) == len(pictures)


def test_every_image_has_several_referents_and_every_referent_several_sentences(written: Written):
    assert set(Counter(ref["image_id"] for ref in written.refs).values()) == {2, 3}
    assert {len({sentence["sent"] for sentence in ref["sentences"]}) for ref in written.refs} == {2, 3}
    assert {len(group) for group in written.of_image().values()} <= {3, 4, 5, 6}


def test_every_referent_shares_shape_or_color_with_something_beside_it(written: Written):
    groups = written.of_image()
    for ref in written.refs:
        target = written.annotations[ref["ann_id"]]
        others = [other for other in groups[ref["image_id"]] if other["id"] != target["id"]]
        assert any(other["category_id"] == target["category_id"] or other["color"] == target["color"] for other in others)


def test_tokens_are_the_words_of_a_small_vocabulary(written: Written):
    sentences = [sentence for ref in written.refs for sentence in ref["sentences"]]
    assert all(" ".join(sentence["tokens"]) == sentence["sent"] == sentence["raw"] for sentence in sentences)
    assert 20 <= len({token for sentence in sentences for token in sentence["tokens"]}) < 60


# What is drawn


def drawn(pixels: np.ndarray, inside: np.ndarray, box: list[float]) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The pixels around a box that look more like the middle of the thing than like the paper around it."""
    x, y, width, height = box
    window = slice(max(0, int(y) - 2), int(y + height) + 3), slice(max(0, int(x) - 2), int(x + width) + 3)
    patch, part = pixels[window].astype(float), inside[window].astype(bool)
    tint, paper = np.median(patch[part], axis=0), np.median(patch[~part], axis=0)
    return np.linalg.norm(patch - tint, axis=-1) < np.linalg.norm(patch - paper, axis=-1), window


def overlaps(folder: Path) -> list[tuple[int, int]]:
    """Intersection and union of every polygon, as COCO's library fills it, with the pixels that are drawn."""
    instances = json.loads((folder / "instances.json").read_text())
    pixels = {row["id"]: np.asarray(Image.open(folder / "images" / row["file_name"])) for row in instances["images"]}
    counts = []
    for annotation in instances["annotations"]:
        image = pixels[annotation["image_id"]]
        (rle,) = coco.frPyObjects(annotation["segmentation"], *image.shape[:2])
        inside = np.array(coco.decode([rle]))[..., 0].astype(bool)
        seen, window = drawn(image, inside, annotation["bbox"])
        counts.append((int((seen & inside[window]).sum()), int((seen | inside[window]).sum())))
    return counts


def test_every_polygon_matches_the_pixels_of_a_large_image(tmp_path: Path):
    write_scenes(tmp_path, images={"train": 12}, size=512, seed=3)
    assert min(intersection / union for intersection, union in overlaps(tmp_path / "scenes")) > 0.97


def test_polygons_match_the_pixels_of_small_images_up_to_the_jagged_edge(written: Written):
    intersections, unions = np.sum(overlaps(written.folder), axis=0)
    assert intersections / unions > 0.97


def test_area_and_box_are_those_of_the_polygon(written: Written):
    filled: list[int] = []
    for annotation in written.instances["annotations"]:
        (polygon,) = annotation["segmentation"]
        corners = np.reshape(polygon, (-1, 2))
        low, high = corners.min(axis=0), corners.max(axis=0)
        assert annotation["bbox"] == pytest.approx([*low, *(high - low)], abs=0.011)
        filled.append(coco.area(coco.frPyObjects([polygon], SIDE, SIDE))[0])
        assert annotation["area"] == pytest.approx(filled[-1], rel=0.15)
        assert low.min() > 0
        assert high.max() < SIDE
    assert sum(annotation["area"] for annotation in written.instances["annotations"]) == pytest.approx(sum(filled), rel=0.01)


def test_no_two_things_touch(written: Written):
    for group in written.of_image().values():
        masks = [np.array(coco.decode(coco.frPyObjects(a["segmentation"], SIDE, SIDE)))[..., 0] for a in group]
        assert np.sum(masks, axis=0).max() == 1


def test_small_and_large_differ_clearly_and_nothing_is_tiny(written: Written):
    spans = defaultdict(list)
    for annotation in written.instances["annotations"]:
        spans[annotation["category_id"], annotation["size"]].append(max(annotation["bbox"][2:]) / SIDE)
    shapes = {shape for shape, _ in spans}
    assert all(min(spans[shape, "large"]) > 1.35 * max(spans[shape, "small"]) for shape in shapes)
    assert min(min(spans[shape, "large"]) for shape in shapes) > 1.25 * max(max(spans[shape, "small"]) for shape in shapes)
    assert min(min(spans[shape, "small"]) for shape in shapes) * 96 > 12


# The same again, and all or nothing


def test_the_seed_decides_every_byte(tmp_path: Path):
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        write_scenes(tmp_path / name, images={"train": 4, "test": 2}, size=64, seed=seed)
    assert digest(tmp_path / "first") == digest(tmp_path / "again") != digest(tmp_path / "other")


def test_more_training_images_leave_the_test_pictures_as_they_are(tmp_path: Path):
    pictures = []
    for count in (1, 3):
        write_scenes(tmp_path / str(count), images={"train": count, "test": 2}, size=64)
        pictures.append([path.read_bytes() for path in sorted((tmp_path / str(count)).glob("scenes/images/test/*.jpg"))])
    assert pictures[0] == pictures[1]


def test_advance_is_called_once_for_each_image(tmp_path: Path):
    calls: list[None] = []
    write_scenes(tmp_path, images={"train": 3, "val": 2}, size=64, advance=lambda: calls.append(None))
    assert len(calls) == 5


def test_names_of_data_set_and_split_are_used(tmp_path: Path):
    write_scenes(tmp_path / "new" / "data", dataset="shapes", split_by="mine", images={"val": 1}, size=64)
    assert sorted(path.name for path in (tmp_path / "new" / "data" / "shapes").iterdir()) == ["images", "instances.json", "refs(mine).p"]


def test_what_is_there_already_is_not_overwritten_unasked(tmp_path: Path):
    write_scenes(tmp_path, images={"train": 1}, size=64)
    before = digest(tmp_path)
    with pytest.raises(DataError, match="scenes exists already") as caught:
        write_scenes(tmp_path, images={"train": 1}, size=64, seed=1)
    assert caught.value.hint == "delete it, or choose another folder"
    assert digest(tmp_path) == before


class StoppedHalfWay(Exception):
    """What the test below interrupts the writer with."""


def test_a_broken_off_run_leaves_nothing(tmp_path: Path):
    def stop() -> None:
        raise StoppedHalfWay

    with pytest.raises(StoppedHalfWay):
        write_scenes(tmp_path, images={"train": 3}, size=64, advance=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_appears_meanwhile_is_kept_and_reported(tmp_path: Path):
    def somebody_else() -> None:
        (tmp_path / "scenes").mkdir(exist_ok=True)
        (tmp_path / "scenes" / "theirs").write_text("data")

    with pytest.raises(DataError, match="cannot write"):
        write_scenes(tmp_path, images={"train": 1}, size=64, advance=somebody_else)
    assert [path.name for path in tmp_path.rglob("*")] == ["scenes", "theirs"]


def test_drawn_pairs_are_always_the_same_and_differ_from_each_other():
    first, second = drawn_pairs(3, 96), drawn_pairs(3, 96)
    assert [pixels.shape for pixels, _ in first] == [(96, 96, 3)] * 3
    assert [text for _, text in first] == [text for _, text in second]
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))
    assert len({text for _, text in first}) == len({pixels.tobytes() for pixels, _ in first}) == 3
