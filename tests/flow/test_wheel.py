"""What people install: the wheel holds the package and its presets and nothing else, and works where nothing else of the project is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from cmirnet_cli import __version__
from cmirnet_cli.config import preset_names

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "cmirnet_cli", "presets")
HELD = (".py", ".json", ".yaml", ".jinja", ".css", ".js", ".html", ".svg", "py.typed")
DESCRIPTION = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}

pytestmark = pytest.mark.slow


def called(*words: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([str(word) for word in words], cwd=folder, env=known | environment, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of an earlier build is in it and nothing is left in the checkout."""
    home = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        source = PROJECT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, home / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
    called(*pip, folder=home)
    (built,) = (home / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel alone and borrows the libraries it needs."""
    home = tmp_path_factory.mktemp("installed")
    called(sys.executable, "-m", "venv", "--without-pip", home / "venv", folder=home)
    programs = home / "venv" / "bin"
    called(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--no-deps", wheel, folder=home)
    packages = sysconfig.get_path("purelib", vars={"base": str(home / "venv"), "platbase": str(home / "venv")})
    (Path(packages) / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return programs


def test_a_type_checker_finds_the_types_after_an_editable_installation(tmp_path: Path):
    for name in SOURCES:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    called(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", folder=tmp_path)
    python, home = tmp_path / "venv" / "bin" / "python", tmp_path / "elsewhere"
    ours, (theirs,) = Path(sysconfig.get_path("purelib")), tmp_path.glob("venv/lib/*/site-packages")
    for needed in (*ours.glob("setuptools"), *ours.glob("setuptools-*"), *ours.glob("_distutils_hack")):
        (theirs / needed.name).symlink_to(needed)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-build-isolation"]
    called(*pip, "-e", tmp_path, folder=tmp_path)
    home.mkdir()
    (home / "snippet.py").write_text(
        "import cmirnet_cli as cmirnet\n\n"
        'segmenter = cmirnet.Segmenter.from_pretrained("weights")\n'
        'reveal_type(segmenter.predict("a.jpg", "the red cup"))\n'
        'reveal_type(segmenter.predict("a.jpg", "the red cup")[0].score)\n'
        'segmenter.predict("a.jpg", 3)\n'
    )
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "--python-executable", python, "snippet.py"]
    said = subprocess.run([str(word) for word in words], cwd=home, capture_output=True, text=True, check=False).stdout
    assert "import-not-found" not in said
    assert 'Revealed type is "cmirnet_cli.engine.prediction.prediction.Predictions"' in said
    assert 'Revealed type is "float"' in said.replace("builtins.", "")
    assert "snippet.py:6: error: No overload variant" in said
    presets = "from cmirnet_cli.config.presets import _folder; print(sorted(each.name for each in _folder().iterdir()))"
    borrowed = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))}
    listed = subprocess.run([str(python), "-c", presets], cwd=home, env=os.environ | borrowed, capture_output=True, text=True, check=True)
    assert "smoke.yaml" in listed.stdout


def test_the_wheel_holds_package_presets_and_licence_and_nothing_stray(wheel):
    about = f"cmirnet-{__version__}.dist-info/"
    names = set(zipfile.ZipFile(wheel).namelist())
    package, presets = (
        {str(path.relative_to(PROJECT)) for path in (PROJECT / folder).rglob("*") if path.name.endswith(HELD)}
        for folder in ("cmirnet_cli", "presets")
    )
    assert {name for name in names if not name.startswith(about)} == package | {f"cmirnet_cli/{name}" for name in presets}
    assert {name.removeprefix(about) for name in names if name.startswith(about)} == DESCRIPTION


def test_the_installed_program_is_the_wheels(installed):
    where = called(installed / "python", "-c", "import cmirnet_cli; print(cmirnet_cli.__file__)", folder=installed)
    assert Path(where.stdout).is_relative_to(installed.parent)
    assert called(installed / "cmirnet", "--version", folder=installed).stdout == f"cmirnet {__version__}\n"


def test_the_installed_program_shows_help_and_all_presets(installed):
    assert "Usage: cmirnet" in called(installed / "cmirnet", "--help", folder=installed).stdout
    listed = json.loads(called(installed / "cmirnet", "presets", "ls", "--json", folder=installed).stdout)["presets"]
    assert [preset["name"] for preset in listed] == preset_names()


def test_the_doctor_of_the_installed_program_finds_all_libraries(installed):
    found = json.loads(called(installed / "cmirnet", "doctor", "--json", folder=installed, HF_HUB_OFFLINE="1").stdout)["findings"]
    severities = {finding["subject"]: finding["severity"] for finding in found}
    assert (severities["python"], severities["libraries"]) == ("ok", "ok")
    assert "error" not in severities.values()
