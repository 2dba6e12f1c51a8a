"""`cmirnet demo`: what it takes away and what it leaves alone; what it draws and trains takes minutes and is tested elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.commands.demo import MARKER, make_room, run_command
from cmirnet_cli.errors import CmirnetError, UsageError
from tests.flow.conftest import Outcome


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_that_no_demo_made_is_left_alone(cmirnet: Callable[..., Outcome], tmp_path: Path, more: list[str]):
    mine = tmp_path / "data" / "scenes" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert cmirnet("demo", "--out", tmp_path, *more).code == 2
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [mine]


def test_a_demo_that_was_broken_off_while_it_drew_is_replaced_and_nothing_else(tmp_path: Path):
    make_room(tmp_path, overwrite=False)
    assert [file.name for file in tmp_path.iterdir()] == [MARKER]
    half = tmp_path / "data" / ".scenes-abc" / "fresh" / "1.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        make_room(tmp_path, overwrite=False)
    make_room(tmp_path, overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == [MARKER, "notes.txt"]


def test_a_link_to_another_folder_is_taken_away_and_the_folder_stays(tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.txt").write_text("mine")
    make_room(tmp_path / "demo", overwrite=False)
    (tmp_path / "demo" / "run").symlink_to(tmp_path / "runs")
    make_room(tmp_path / "demo", overwrite=True)
    assert not (tmp_path / "demo" / "run").exists()
    assert (tmp_path / "runs" / "mine.txt").is_file()


def test_a_command_is_shown_so_that_it_can_be_typed_and_must_not_fail(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(CmirnetError, match="cmirnet presets ended with code 2"):
        run_command(["presets", "show", "my preset"])
    printed = capfd.readouterr()
    assert printed.err.lstrip().startswith("$ cmirnet presets show 'my preset'\nerror")
    assert not printed.out
    run_command(["presets", "ls"])
    printed = capfd.readouterr()
    assert "demo" in printed.err
    assert not printed.out
