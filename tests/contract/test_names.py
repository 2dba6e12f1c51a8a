"""One name, one class: whoever reads a name knows which class it is."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "cmirnet_cli"


def public_classes(folder: Path) -> dict[str, list[str]]:
    """Name of every public class at the top of a file below `folder` → the files that define one of that name."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(folder).as_posix())
    return found


def twice(classes: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: files for name, files in classes.items() if len(files) > 1}


def test_no_two_public_classes_have_the_same_name():
    assert twice(public_classes(PACKAGE)) == {}


def test_a_second_class_of_a_name_is_found(tmp_path):
    (tmp_path / "room").mkdir()
    for name in ("one.py", "room/other.py"):
        (tmp_path / name).write_text("class Answer: ...\nclass _Own: ...\n")
    assert twice(public_classes(tmp_path)) == {"Answer": ["one.py", "room/other.py"]}
