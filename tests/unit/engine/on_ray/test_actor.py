"""What goes wrong on another machine is said as if it were here, with the machine's name."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import pytest

from cmirnet_cli import __version__
from cmirnet_cli.engine.on_ray.actor import Actor, Raised, pack
from cmirnet_cli.engine.on_ray.run import in_our_words
from cmirnet_cli.errors import CmirnetError, ImageError, WeightsError

HERE = socket.gethostname()


class Missing:
    """Work whose model is not on this machine."""

    def begin(self, device: str) -> Callable[..., None]:
        raise WeightsError("there are no weights at weights/", hint="look for them")

    def describe(self, piece: object) -> str:
        return str(piece)


def actor(folder: Path, version: str = __version__) -> Actor:
    return Actor(Missing(), None, "cpu", str(folder), 5, version)


def test_weights_that_only_the_machine_of_the_command_has_are_named_with_the_machine_that_lacks_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError) as raised:
        actor(tmp_path).begin()
    assert raised.value.message == f"there are no weights at weights/ (on {HERE})"
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("look for them; every machine of the cluster reads WEIGHTS itself")


def test_a_machine_without_the_folder_of_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CmirnetError, match=f"{HERE} has no folder {tmp_path / 'nowhere'}: No such file or directory"):
        actor(tmp_path / "nowhere").begin()


def test_a_machine_with_another_version_is_named(tmp_path):
    with pytest.raises(CmirnetError, match=f"{HERE} has cmirnet {__version__}, and the command has 0.0.1"):
        actor(tmp_path, "0.0.1").begin()


def test_an_error_keeps_its_class_its_hint_and_its_exit_code_on_the_way():
    said = pickle.loads(pack(Raised(ImageError("7.png is broken", hint="leave it out"))))
    assert type(said.error) is ImageError
    assert (said.error.message, said.error.hint, said.error.exit_code) == ("7.png is broken", "leave it out", 3)


def test_an_error_that_cannot_be_pickled_keeps_its_words():
    error = ValueError("odd")
    error.args = ("odd", Lock())
    assert "odd" in str(pickle.loads(pack(Raised(error))).error)


class Demanding(Exception):
    """Can be pickled, and cannot be read again."""

    def __init__(self, *, why: str) -> None:
        super().__init__(why)


def test_an_error_that_cannot_be_read_again_keeps_its_words():
    assert str(pickle.loads(pack(Raised(Demanding(why="no room")))).error) == "Demanding: no room"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            "ray::Actor\n  File x\nModuleNotFoundError: No module named 'cmirnet_cli'",
            "cannot load the program: ModuleNotFoundError: No module",
        ),
        ("The actor died.\n\tclass_name: Actor\n", "the Ray cluster failed: \tclass_name: Actor"),
        ("", "the Ray cluster failed: RuntimeError"),
    ],
)
def test_an_error_of_ray_is_one_line_with_what_to_do(told, said):
    error = in_our_words(RuntimeError(told))
    assert said in error.message
    assert error.exit_code == 1
    assert error.hint
