"""Lists of pairs and of lines, as people and programs write them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.pairs import STANDARD_INPUT, Pair, read_lines, read_pairs

AWKWARD = ["the red cup", 'the cup, the "red" one', "чашка слева", "الكوب الأحمر", "🍎 on the left", "two\nlines", " spaces "]


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch):
    """Puts bytes on standard input."""

    def put(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put


def test_csv_cells_may_hold_commas_quotes_lines_and_any_script(tmp_path: Path):
    file = tmp_path / "pairs.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerows([("image", "note", "expression"), *(("a.jpg", "x", text) for text in AWKWARD)])
    assert [pair.expression for pair in read_pairs(str(file))] == AWKWARD


def test_jsonl_holds_the_same_pairs(tmp_path: Path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n\n".join(json.dumps({"image": "a.jpg", "expression": text, "more": 1}) for text in AWKWARD), encoding="utf-8")
    assert [pair.expression for pair in read_pairs(str(file))] == AWKWARD


def test_images_are_sought_from_the_lists_own_folder(tmp_path: Path):
    (tmp_path / "p.csv").write_text("image,expression\nphotos/a.jpg,x\n/data/b.jpg,y\n")
    assert read_pairs(str(tmp_path / "p.csv")) == [
        Pair(tmp_path / "photos/a.jpg", Path("photos/a.jpg"), "x"),
        Pair(Path("/data/b.jpg"), Path("/data/b.jpg"), "y"),
    ]


def test_paths_of_windows_are_read(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    for name in ("photos/a.jpg", "odd\\b.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "p.csv").write_text("image,expression\nphotos\\a.jpg,x\nodd\\b.jpg,y\n")
    assert [pair.written for pair in read_pairs(str(tmp_path / "p.csv"))] == [Path("photos/a.jpg"), Path("odd\\b.jpg")]


def test_pairs_of_standard_input_are_sought_from_the_current_folder(standard_input):
    standard_input('{"image": "a.jpg", "expression": "é"}\n'.encode())
    assert read_pairs(STANDARD_INPUT) == [Pair(Path("a.jpg"), Path("a.jpg"), "é")]


def test_a_file_that_excel_saved_is_read(tmp_path: Path):
    (tmp_path / "p.csv").write_bytes("\ufeffimage,expression\r\na.jpg,the cup\r\n".encode())
    assert [pair.expression for pair in read_pairs(str(tmp_path / "p.csv"))] == ["the cup"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has no column 'image'"),
        ("image,text\na.jpg,x\n", "has no column 'expression'"),
        ("image,expression\n", "holds no pair"),
        ("image,expression\na.jpg\n", "line 2: field 'expression' is None; it must be text"),
        ("image,expression\na.jpg,x\nb.jpg, \n", "line 3: the expression is empty"),
        ("image,expression\n,x\n", "line 2: field 'image' is ''; it must be the path of a file"),
        ('image,expression\na.jpg,"x\n', "is not CSV: unexpected end of data"),
        ('{"image": "a.jpg", "expression": "x"}\n{"image": 3}\n', "line 2: field 'image' is 3; it must be text"),
        ('{"image": "a.jpg", "expression": "x"}\n{"ima', "line 2 is not valid JSON"),
        ('{"image": "a.jpg"}', "line 1: field 'expression' is missing"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line(tmp_path: Path, content: str, told: str):
    (tmp_path / "list").write_text(content)
    with pytest.raises(AnnotationError) as caught:
        read_pairs(str(tmp_path / "list"))
    assert told in caught.value.message


def test_a_missing_list_and_one_that_is_no_text_are_refused(tmp_path: Path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_pairs(str(tmp_path / "missing"))
    (tmp_path / "latin").write_bytes(b"image,expression\na.jpg,caf\xe9\n")
    with pytest.raises(AnnotationError, match="is not UTF-8 text"):
        read_pairs(str(tmp_path / "latin"))


def test_lines_are_stripped_and_empty_ones_skipped(tmp_path: Path):
    (tmp_path / "lines").write_bytes("\ufeffthe red cup \r\n\r\n  \u2028left person\n\n".encode())
    assert read_lines(str(tmp_path / "lines")) == ["the red cup", "left person"]


@pytest.mark.parametrize(("content", "told"), [(b" \n\n", "holds no line"), (b"a.jpg\0b.jpg\0", "NUL")])
def test_a_list_without_lines_is_refused(tmp_path: Path, content: bytes, told: str):
    (tmp_path / "lines").write_bytes(content)
    with pytest.raises(AnnotationError, match=told):
        read_lines(str(tmp_path / "lines"))
