"""The house's one rule: who may import whom. Every import counts, also inside functions and under TYPE_CHECKING."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tools.rooms import ALLOWED

PACKAGE = "cmirnet_cli"
ROOT = Path(__file__).resolve().parents[2] / PACKAGE


def room(module: str) -> str:
    """`cmirnet_cli.cache.reader` → `cache`; the package itself → `__init__`."""
    return module.split(".")[1] if "." in module else "__init__"


def imported_modules(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names of our own modules that a source imports, with relative imports made absolute."""
    base = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(base[: len(base) - node.level + 1] if node.level else [])
            origin = ".".join(part for part in (start, node.module) if part)
            whole_package = origin == PACKAGE
            names = [f"{origin}.{alias.name}" if whole_package else origin for alias in node.names if alias.name != "__version__"]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def imported_rooms(source: str, module: str, is_package: bool = False) -> set[str]:
    """The other rooms that a source imports; a public name of the package itself counts as `__init__`."""
    rooms = {room(name) for name in imported_modules(source, module, is_package)}
    return {name if name in ALLOWED or (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file() else "__init__" for name in rooms} - {
        room(module)
    }


def house() -> dict[str, set[str]]:
    """`file → rooms it imports` for every file of the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT.parent)
        is_package = path.name == "__init__.py"
        parts = relative.parent.parts if is_package else relative.with_suffix("").parts
        found[str(relative)] = imported_rooms(path.read_text(encoding="utf-8"), ".".join(parts), is_package)
    return found


def room_of_file(relative: str) -> str:
    return Path(relative).parts[1].removesuffix(".py")


def violations(imports: Mapping[str, set[str]]) -> list[str]:
    return [
        f"{path} imports {other}"
        for path, others in imports.items()
        for other in sorted(others - ALLOWED.get(room_of_file(path), set()) - {room_of_file(path)})
    ]


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of a graph as the path that closes it; empty if there is none."""

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        return next((found for other in sorted(graph.get(node, ())) if (found := walk(other, [*path, node]))), [])

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def test_every_import_is_allowed_by_the_table():
    assert violations(house()) == []


def test_every_room_stands_in_the_table():
    assert {room_of_file(path) for path in house()} - set(ALLOWED) == set()


def test_rooms_form_no_cycle():
    graph: dict[str, set[str]] = {}
    for path, others in house().items():
        graph.setdefault(room_of_file(path), set()).update(others)
    assert cycle(graph) == []


def test_the_table_itself_holds_no_cycle():
    assert cycle(ALLOWED) == []


def test_options_need_nothing_beyond_typer():
    tree = ast.parse((ROOT / "options.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == {"typer"}


@pytest.mark.parametrize(
    "source",
    [
        "import cmirnet_cli.engine.training.loop",
        "from cmirnet_cli.engine.training.loop import train",
        "from cmirnet_cli import engine",
        "from ..engine import training",
        "from .. import engine",
        "def late():\n    from cmirnet_cli.engine import training",
        "if TYPE_CHECKING:\n    from cmirnet_cli.engine import training",
    ],
)
def test_a_forbidden_import_is_found_in_every_form(source):
    rooms = imported_rooms(source, "cmirnet_cli.cache.reader")
    assert rooms == {"engine"}
    assert violations({"cmirnet_cli/cache/reader.py": rooms}) == ["cmirnet_cli/cache/reader.py imports engine"]


def test_a_public_name_of_the_package_counts_as_the_package():
    assert imported_rooms("from cmirnet_cli import Segmenter", "cmirnet_cli.cache.reader") == {"__init__"}


def test_the_version_is_free_to_everyone():
    assert imported_rooms("from cmirnet_cli import __version__", "cmirnet_cli.weights.bundle") == set()


def test_imports_inside_a_room_are_its_own_business():
    assert imported_rooms("from .sample import Sample\nfrom cmirnet_cli.cache import schema", "cmirnet_cli.cache.reader") == set()


def test_a_cycle_is_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
