"""What stands in docs/ about the code is what the code says."""

import inspect
import re

import grimp
import pytest
import typer

import cmirnet_cli.errors
from cmirnet_cli.app import COMMANDS, GROUPS, build
from cmirnet_cli.config import Settings, resolve, yaml_text
from cmirnet_cli.errors import CmirnetError
from tests.contract.test_names import PACKAGE, public_classes
from tools.errors_page import family
from tools.reference import DOCS, DRAWN, commands_page
from tools.settings_page import settings_page

DRAWING = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
PAGE = settings_page()
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
KINDS = [kind for kind, _ in family(CmirnetError)]


@pytest.mark.parametrize("name", sorted(set(DRAWN) - {"commands.md"}))
def test_what_is_drawn_from_the_code_is_up_to_date(name):
    assert (DOCS / name).read_text(encoding="utf-8") == DRAWN[name](), "write it anew with: make reference"


def test_the_command_reference_is_up_to_date():
    """In what it says; how Typer writes it differs from version to version."""
    assert said_of_commands((DOCS / "commands.md").read_text(encoding="utf-8")) == said_of_commands(commands_page()), "make reference"


def said_of_commands(page: str) -> dict[str, list[tuple[str, str]]]:
    """Command → every argument and option with its help, less defaults and bounds."""
    lines = re.compile(r"^\* `(--?[\w-]+(?:, --?[\w-]+)*|[\w-]+).*?`: (.*?)(?:  \[.*)?$", re.MULTILINE)
    return {name: lines.findall(text) for name, text in sections_of(page).items()}


def sections_of(page: str) -> dict[str, str]:
    return dict(re.findall(r"^##+ `cmirnet (.+?)`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))


def test_the_command_reference_names_every_command_and_every_option():
    sections = sections_of((DOCS / "commands.md").read_text(encoding="utf-8"))
    assert set(sections) == {name for name, _ in COMMANDS} | set(GROUPS)
    assert [name for name, _ in COMMANDS if options_of(name) - set(re.findall(r"--[a-z-]+", sections[name]))] == []


def options_of(name: str) -> set[str]:
    """A command's long options, as Typer knows them."""
    command = typer.main.get_command(build())
    for word in name.split():
        command = command.commands[word]
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_the_list_of_settings_names_every_setting_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.+?) \|", PAGE, re.MULTILINE))
    assert list(rows) == [f"{section}.{key}" for section, settings in Settings() for key in type(settings).model_fields]
    assert (rows["loop.batch_size"], rows["model.fusion_width"]) == ("`8` (Swin), `32` (ResNet)", "`512`")


def test_the_ways_to_give_a_setting_that_the_page_shows_say_the_same():
    (variable, typed), (override,) = (
        re.findall(r"^(CMIRNET_\w+)=(\S+)", PAGE, re.MULTILINE)[0],
        re.findall(r"--set (\w+\.\w+=\S+)$", PAGE, re.MULTILINE),
    )
    (file,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert resolve(environ={variable: typed}) == resolve(overrides=[override]) == Settings(**yaml_text.parse(file)) != Settings()


def test_every_error_says_when_it_is_raised_and_what_to_do():
    assert [kind.__name__ for kind in KINDS if not re.search(r"\A\S.*?\.\n\nWhat to do: \w.*\.", inspect.getdoc(kind), re.DOTALL)] == []


def test_the_tree_in_errors_py_is_that_of_its_classes():
    drawn = re.findall(r"^([ │├└─]*)(\w+Error) +(\d*)", cmirnet_cli.errors.__doc__, re.MULTILINE)
    own = {kind.__name__ for kind in KINDS if "exit_code" in vars(kind) or not kind.__subclasses__()}
    assert [(name, len(indent) // 4 - 1, int(code)) for indent, name, code in drawn if code] == [
        (kind.__name__, depth, kind.exit_code) for kind, depth in family(CmirnetError) if kind.__name__ in own
    ]
    assert [name for _, name, _ in drawn] == [kind.__name__ for kind in KINDS]


def test_each_class_of_the_flow_is_at_home_in_the_room_that_makes_it():
    flow, _ = DRAWING.findall(ARCHITECTURE)
    made = re.findall(r"-- (\w+) --> (\w+)$", flow, re.MULTILINE)
    homes = public_classes(PACKAGE)
    assert [name for _, name in made] == ["Referent", "Sample", "Batch", "Logits", "Scores"]
    assert {name: homes[name][0].split("/")[0] for _, name in made} == {name: room for room, name in made}


def test_every_import_follows_the_arrows_between_rooms():
    _, rooms = DRAWING.findall(ARCHITECTURE)
    arrows = {room: set(others.split(" & ")) for room, others in re.findall(r"^ +(\w+) --> (.+)$", rooms, re.MULTILINE)}

    def reached(room: str) -> set[str]:
        return set().union(*({other} | reached(other) for other in arrows.get(room, ())))

    graph = grimp.build_graph("cmirnet_cli")
    imports = {(module.split(".")[1], other.split(".")[1]) for module, other in own_imports(graph)}
    assert [f"{room} → {other}" for room, other in sorted(imports) if room not in (other, "__main__") and other not in reached(room)] == []


def own_imports(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    """Importing and imported module, both below the package."""
    below = [module for module in graph.modules if "." in module]
    return [(module, other) for module in below for other in graph.find_modules_directly_imported_by(module) if "." in other]


def test_the_table_of_rooms_names_each_room_once():
    table = ARCHITECTURE.partition("| room | turns |")[2]
    named = [name for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted({path.stem for path in PACKAGE.iterdir() if path.name[0] not in "_." and path.stem != "py"})
