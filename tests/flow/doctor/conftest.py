"""A home where a data set was drawn, prepared and trained on, and copies of it to damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cmirnet_cli.app import run
from cmirnet_cli.scenes import write_scenes


@dataclass(frozen=True)
class Home:
    """What `cmirnet doctor` looks at."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache" / "scenes-demo"

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "first"

    @property
    def words(self) -> list[str]:
        return ["doctor", *(word for name in ("data", "cache", "runs") for word in (f"--{name}", str(self.folder / name)))]

    def content(self) -> dict[str, bytes]:
        """Every file below it."""
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def well(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Everything in order: scenes in REFER layout, their cache, a run of two epochs with its weights and checkpoint."""
    home = Home(tmp_path_factory.mktemp("home"))
    write_scenes(home.folder / "data", images={"train": 4, "val": 2})
    prepare = f"prepare-data scenes --split-by demo --data {home.folder / 'data'} --out {home.folder / 'cache'} --size 96 --quiet"
    train = f"train --preset smoke --cache {home.folder / 'cache'} --run-dir {home.run} --device cpu --quiet"
    assert [run(prepare.split()), run(train.split())] == [0, 0]
    return home


@pytest.fixture
def home(well: Home, tmp_path: Path) -> Home:
    """A copy of it, to be damaged."""
    shutil.copytree(well.folder, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def findings(cmirnet: Callable) -> Callable:
    """Runs the doctor on a home: exit code, and the findings whose subject ends in a name."""

    def found(home: Home, name: str) -> tuple[int, list[dict[str, object]]]:
        outcome = cmirnet(*home.words, "--json")
        return outcome.code, [finding for finding in outcome.data["findings"] if str(finding["subject"]).endswith(name)]

    return found
