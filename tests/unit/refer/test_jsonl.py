"""One's own JSONL is read line by line; what is wrong is named with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images.masks import rasterise
from cmirnet_cli.refer.jsonl import read_jsonl
from cmirnet_cli.refer.own import ReadOptions
from cmirnet_cli.refer.readers import read_own, reader_of
from cmirnet_cli.refer.referent import Sentence
from tests.fixtures.exif import turned

BOX = [2, 3, 8, 3, 8, 9, 2, 9]
LINE = {"image": "photos/cup.png", "expression": "the red cup", "polygons": [BOX], "split": "train"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture of 30×20 pixels and a mask of it."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (30, 20), "red").save(tmp_path / "photos" / "cup.png")
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[3:9, 2:8] = 1
    Image.fromarray(mask).save(tmp_path / "masks" / "one.png")
    Image.fromarray(mask * 255).save(tmp_path / "masks" / "cup.png")
    Image.fromarray(mask * 255).convert("1").save(tmp_path / "masks" / "bits.png")
    Image.fromarray(mask * 255).convert("RGBA").save(tmp_path / "masks" / "rgba.png")
    Image.fromarray(mask.astype(np.uint16) * 65535).save(tmp_path / "masks" / "deep.png")
    Image.fromarray(mask.astype(np.uint16)).save(tmp_path / "masks" / "deep one.png")
    return tmp_path


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "cups.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in LINE.items() if key not in keys}


def test_each_line_is_a_referent_numbered_as_the_line(folder: Path) -> None:
    path = write(folder, LINE, "", LINE | {"expression": "left  Cup é", "split": "val"})
    dataset = read_jsonl(path)
    assert (dataset.name, dataset.split_by, dataset.splits) == ("cups", "jsonl", ("train", "val"))
    assert [referent.ref_id for referent in dataset.referents] == [1, 3]
    assert dataset.referents[1].sentences == (Sentence(3, "left  Cup é"),)
    (image,) = dataset.images
    assert (image.path, image.height, image.width) == (folder / "photos" / "cup.png", 20, 30)
    assert dataset.annotation_files == (path,)


@pytest.mark.parametrize(
    "outline",
    [
        {"mask": "masks/cup.png"},
        {"mask": "masks/one.png"},
        {"mask": "masks/bits.png"},
        {"mask": "masks/rgba.png"},
        {"mask": "masks/deep.png"},
        {"mask": "masks/deep one.png"},
        {"polygons": [BOX]},
        {"rle": {"size": [20, 30], "counts": [43] + [6, 14] * 5 + [6, 451]}},
        {"rle": [{"size": [20, 30], "counts": [43] + [6, 14] * 5 + [6, 451]}]},
    ],
)
def test_every_form_of_outline_gives_the_same_pixels(folder: Path, outline: Any) -> None:
    (referent,) = read_jsonl(write(folder, without("polygons") | outline)).referents
    expected = np.zeros((20, 30), dtype=np.uint8)
    expected[3:9, 2:8] = 1
    np.testing.assert_array_equal(rasterise(referent.objects, 20, 30), expected)


def test_what_was_read_can_be_written_as_json(folder: Path) -> None:
    (referent,) = read_jsonl(write(folder, without("polygons") | {"mask": "masks/cup.png"})).referents
    assert json.loads(json.dumps(referent.objects)) == list(map(list, referent.objects))


@pytest.mark.parametrize(
    ("orientation", "size"), [*((way, (30, 20)) for way in (1, 2, 3, 4, 99)), *((way, (20, 30)) for way in (5, 6, 7, 8))]
)
def test_an_image_has_the_size_that_people_see(folder: Path, orientation: int, size: tuple[int, int]) -> None:
    Image.new("RGB", (30, 20)).save(folder / "photos" / "turned.jpg", exif=turned(orientation))
    (image,) = read_jsonl(write(folder, LINE | {"image": "photos/turned.jpg"})).images
    assert image.upright
    assert (image.width, image.height) == size


def test_a_mask_picture_is_taken_as_people_see_it(folder: Path) -> None:
    upright = np.zeros((30, 20), dtype=np.uint8)
    upright[5:9, 2:4] = 255
    Image.new("RGB", (30, 20)).save(folder / "photos" / "turned.jpg", exif=turned(6))
    Image.fromarray(upright).save(folder / "masks" / "upright.png")
    Image.fromarray(np.rot90(upright)).save(folder / "masks" / "lying.png", exif=turned(6))
    lines = [without("polygons") | {"image": "photos/turned.jpg", "mask": f"masks/{way}.png"} for way in ("upright", "lying")]
    for referent in read_jsonl(write(folder, *lines)).referents:
        np.testing.assert_array_equal(rasterise(referent.objects, 30, 20), upright // 255)


def test_an_outline_drawn_on_the_lying_picture_is_refused(folder: Path) -> None:
    Image.new("RGB", (30, 20)).save(folder / "photos" / "turned.jpg", exif=turned(6))
    line = without("polygons") | {"image": "photos/turned.jpg", "mask": "masks/cup.png"}
    with pytest.raises(AnnotationError, match=r"line 1: field 'mask': .*cup.png is 30×20, but its image is 20×30"):
        read_jsonl(write(folder, line))


@pytest.mark.parametrize("outline", [{"polygons": []}, {"rle": []}])
def test_an_empty_list_refers_to_nothing(folder: Path, outline: Any) -> None:
    assert read_jsonl(write(folder, without("polygons") | outline)).referents[0].objects == ()


def test_a_missing_or_broken_image_is_left_to_the_cache(folder: Path) -> None:
    (folder / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    dataset = read_jsonl(write(folder, LINE | {"image": "photos/absent.png"}, LINE | {"image": "photos/broken.png"}))
    assert [(image.path.name, image.height, image.width) for image in dataset.images] == [("absent.png", 0, 0), ("broken.png", 0, 0)]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(folder: Path) -> None:
    path = folder / "cups.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r\n" + json.dumps(LINE).encode() + b"\r\n")
    assert len(read_jsonl(path).referents) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "is not a dict"),
        ("[" * 100_000, "is not valid JSON"),
        (without("image"), "field 'image' is missing"),
        (without("expression"), "field 'expression' is missing"),
        (without("split"), "field 'split' is missing"),
        (without("polygons"), "one of the fields mask, polygons, rle, but has none"),
        (LINE | {"mask": "masks/cup.png"}, "but has mask and polygons"),
        (LINE | {"expression": 5}, "field 'expression' is 5"),
        (LINE | {"expression": "\ud800"}, "field 'expression'"),
        (LINE | {"image": "x" * 3000}, "field 'image'"),
        (LINE | {"image": ""}, "field 'image'"),
        (LINE | {"polygons": {}}, "field 'polygons' is {}; it must be a list"),
        (LINE | {"polygons": [[1, 2, 3, 4]]}, "the polygon .* is malformed"),
        (without("polygons") | {"rle": "text"}, "field 'rle' is 'text'; it must be an RLE or a list"),
        (without("polygons") | {"rle": {"size": [30, 20], "counts": [600]}}, "an RLE has the size"),
        (without("polygons") | {"rle": {}}, "an RLE has the size None"),
        (without("polygons") | {"mask": 1}, "field 'mask' is 1; it must be a path"),
        (without("polygons") | {"mask": "masks/absent.png"}, "field 'mask': .*absent.png cannot be used: there is no such file"),
        (without("polygons") | {"mask": "photos/wide.png"}, "field 'mask': .*wide.png is 31×20, but its image is 30×20"),
        (
            without("polygons") | {"mask": "masks/blurred.png"},
            "blurred.png cannot be used: it is a JPEG file",
        ),
        (LINE | {"expression": " \t"}, "the expression is empty"),
        (LINE | {"expression": "a\0b"}, "field 'expression' is .* without NUL"),
        (LINE | {"split": ""}, "field 'split' is ''; it must be a name"),
        (LINE | {"split": "val\x1b[2J"}, "field 'split' is .* printable"),
        (LINE | {"split": "v" * 101}, "field 'split' is .* 1 to 100 printable"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(folder: Path, line: Any, said: str) -> None:
    Image.new("L", (31, 20), 255).save(folder / "photos" / "wide.png")
    Image.new("L", (30, 20), 255).save(folder / "masks" / "blurred.png", "JPEG")
    with pytest.raises(AnnotationError, match=said) as caught:
        read_jsonl(write(folder, LINE, line))
    assert "cups.jsonl: line 2" in caught.value.message
    assert len(caught.value.message) < 600


def test_a_file_without_lines_or_with_other_bytes_is_an_error(folder: Path) -> None:
    with pytest.raises(AnnotationError, match="is empty"):
        read_jsonl(write(folder, ""))
    (folder / "cups.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(AnnotationError, match="is not UTF-8"):
        read_jsonl(folder / "cups.jsonl")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_jsonl(folder / "absent.jsonl")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_array", [True, False])
def test_an_array_and_pretty_printed_objects_are_read_as_lines_are(folder: Path, indent: int | None, is_array: bool) -> None:
    lines = [LINE, LINE | {"expression": "it", "split": "val"}]
    texts = [json.dumps(lines, indent=indent)] if is_array else [json.dumps(line, indent=indent) for line in lines]
    found = read_jsonl(write(folder, *texts)).referents
    assert [(each.sentences[0].text, each.split) for each in found] == [("the red cup", "train"), ("it", "val")]


def test_a_comma_after_each_line_does_no_harm(folder: Path) -> None:
    path = folder / "cups.jsonl"
    path.write_text("".join(json.dumps(line) + ",\r\n" for line in (LINE, LINE | {"expression": "it,"})))
    assert [each.sentences[0].text for each in read_jsonl(path).referents] == ["the red cup", "it,"]


def test_lines_without_a_split_are_dealt_out_if_the_first_has_none(folder: Path) -> None:
    Image.new("RGB", (30, 20)).save(folder / "photos" / "other.png")
    plain = without("split")
    path = write(folder, plain, plain | {"image": "photos/other.png"}, plain | {"split": "test"})
    reader = reader_of(path)
    assert reader is not None
    assert sorted(each.split for each in read_own(path, reader, ReadOptions()).referents) == ["test", "train", "val"]
    with pytest.raises(AnnotationError, match="line 2: field 'split' is missing"):
        read_own(write(folder, LINE, plain), reader, ReadOptions())


@pytest.mark.parametrize("start", ["[", ""])
def test_an_object_that_is_cut_off_in_an_array_is_named(folder: Path, start: str) -> None:
    text = f"{start}{json.dumps(LINE, indent=1)}{',' if start else ''}{json.dumps(LINE, indent=1)[:40]}"
    with pytest.raises(AnnotationError, match=r"cups.jsonl: object 2 is not valid JSON"):
        read_jsonl(write(folder, text))


def test_all_wrong_lines_are_listed_at_once_up_to_twenty(folder: Path) -> None:
    lines = [LINE, without("split"), "{", *[LINE | {"expression": " "}] * 25]
    with pytest.raises(AnnotationError, match=r"cups.jsonl: 27 lines cannot be read:") as caught:
        read_jsonl(write(folder, *lines))
    message = caught.value.message
    assert "line 2: field 'split' is missing" in message
    assert "line 3 is not valid JSON" in message
    assert len(message.splitlines()) == 22
    assert message.endswith("and 7 more")


def test_paths_of_windows_are_read(folder: Path) -> None:
    windows = without("polygons") | {"image": "photos\\cup.png", "mask": "masks\\cup.png"}
    (found,) = read_jsonl(write(folder, windows)).referents
    assert found.image.path == folder / "photos/cup.png"
    assert rasterise(found.objects, 20, 30).sum() == 36
