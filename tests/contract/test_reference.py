"""What stands in docs/ about the code is what the code says."""

import inspect
import re
from xml.etree import ElementTree

import pytest
import typer

import cmirnet_cli.errors
from cmirnet_cli.app import COMMANDS, build
from cmirnet_cli.config import Settings, resolve, yaml_text
from cmirnet_cli.errors import CmirnetError
from tests.contract.test_layers import ALLOWED
from tools.commands_page import commands_page
from tools.errors_page import family
from tools.flow_picture import STATIONS, room_of
from tools.reference import DOCS, DRAWN
from tools.rooms_picture import direct
from tools.settings_page import settings_page

EVERYWHERE = {"--json", "--quiet", "--traceback", "--help"}
PAGE = settings_page()
KINDS = [kind for kind, _ in family(CmirnetError)]


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_from_the_code_is_up_to_date(name):
    assert (DOCS / name).read_text(encoding="utf-8") == DRAWN[name](), "write it anew with: make reference"


def test_the_command_reference_names_every_command_and_every_option():
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", commands_page(), re.MULTILINE | re.DOTALL))
    assert list(sections) == [name for name, _ in COMMANDS]
    assert [name for name, text in sections.items() if options_of(name) - set(re.findall(r"--[a-z-]+", text))] == []


def options_of(name: str) -> set[str]:
    """A command's own long options, as Typer knows them."""
    command = typer.main.get_command(build())
    for word in name.split():
        command = command.commands[word]
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")} - EVERYWHERE


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


@pytest.mark.parametrize("name", [name for name in DRAWN if name.endswith(".svg")])
def test_pictures_are_well_formed(name):
    assert ElementTree.fromstring(DRAWN[name]()).tag == "{http://www.w3.org/2000/svg}svg"


def test_rooms_of_the_flow_follow_each_other_as_their_imports_allow():
    assert [room_of(kind) for kind in STATIONS] == ["refer", "cache", "batches", "model", "metrics"]


def test_the_table_of_rooms_names_each_room_once():
    table = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("| room | turns |")[2]
    named = [name for row in re.findall(r"^\| (.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(set(ALLOWED) - {"__init__", "__main__"})


def test_an_import_that_follows_from_others_is_not_drawn():
    assert direct({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
