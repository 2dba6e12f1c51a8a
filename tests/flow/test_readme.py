"""The commands of README and docs/ are run as they stand, page by page in their order, on drawn scenes and small networks.

Data and weights that are named and were not made by an earlier command are stand-ins. A command that asks for sizes or networks too large
for a test is changed as `smaller` says; one that cannot be run here stands in `NOT_RUN` with the reason.
"""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cmirnet_cli.app import run
from cmirnet_cli.scenes import write_scenes

PROJECT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted((PROJECT / "docs").glob("*.md")))]
OWN_TESTS = {"docs/commands.md", "docs/from-the-authors.md"}
"""Pages whose commands another test runs."""
LINE = re.compile(r"^    (?:\$ )?((?:cmirnet|torchrun|git|python3|pip|make) .+)$", re.MULTILINE)
USAGE = re.compile(r"\[OPTIONS\]|[A-Z]+…|\b[A-Z]{4,}$")
NOT_RUN = {
    r"git clone .*|python3 -m venv .*|pip install .*": "needs the network; test_wheel.py installs the package",
    r"cmirnet demo": "takes minutes; test_learning.py trains and scores the same model",
    r"torchrun .*": "needs four GPUs; test_many_processes.py, test_cluster.py and predict/test_processes.py start two processes",
    r"cmirnet .*(\.pth| org/name).*": "a file of published size takes a minute; test_official_weights.py and test_convert.py make some",
    r"cmirnet export .* --format official .*": "only published sizes can go back; test_official_weights.py exports them",
    r"cmirnet prepare-data hf://.*": "needs the hub; unit/refer/test_hub.py reads a copy that was fetched before",
    r"cmirnet predict .* s3://.*": "needs a bucket; predict/test_storage.py predicts from one and to one",
    r"cmirnet app .*": "serves until it is stopped; browser/test_app.py opens its page",
    r"cmirnet benchmark .*": "measures for minutes; test_benchmark.py, test_benchmark_infer.py and export/ run each in small",
}
SMALLER = {
    r"prepare-data (?!.*--size)": "--size 96",
    r"train (?!.*--resume)": "--epochs 1 --device cpu",
    r"train .*--resume": "--epochs 2 --device cpu",
    r"cache-features (?!.*--weights)": "--preset smoke",
    r"presets ls --cost": "smoke",
}
NETWORKS = {"--preset refcoco-swin-b": "--preset smoke --dataset refcoco", "--backbone swin-b": "--preset smoke"}
RUNS = {"--preset refcoco-swin-b": "runs/refcoco-unc-swin-b", "--backbone swin-b": "runs/refcocog-umd-swin-b"}
SLOW_PAGES = {f"docs/{page}.md" for page in ("benchmarks", "cluster", "compare", "evaluation", "export", "training", "your-data")}
"""They take seconds to half a minute each, and the README trains, scores and exports too."""


def lines_of(page: str) -> list[str]:
    """The command lines that stand in blocks of their own, each once, less the usage lines."""
    found = LINE.findall((PROJECT / page).read_text(encoding="utf-8"))
    return list(dict.fromkeys(line for line in found if not USAGE.search(line)))


def run_here(page: str) -> list[str]:
    return [line for line in lines_of(page) if not any(re.fullmatch(pattern, line) for pattern in NOT_RUN)]


def smaller(line: str) -> list[str]:
    """The words of a line after `cmirnet`, asking for less."""
    line = line.removeprefix("cmirnet ")
    more = [extra for pattern, extra in SMALLER.items() if re.match(pattern, line)]
    for network, small in NETWORKS.items():
        if line.startswith("train ") and network in line:
            line = line.replace(network, small)
            more += [] if Path(RUNS[network]).exists() else [f"--run-dir {RUNS[network]}"]
    return shlex.split(" ".join([line, *more]))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who comes with data: archives as they are published, photographs, lines about them, a data set of their own."""
    home = tmp_path_factory.mktemp("sources")
    write_scenes(home / "drawn", images={"train": 4, "val": 2, "test": 2})
    drawn = home / "drawn" / "scenes"
    refs = pickle.loads((drawn / "refs(demo).p").read_bytes())
    zip_files(home / "data" / "refcocog.zip", drawn, {"refcocog/refs(umd).p": refs})
    halves = [ref | {"split": "test" + "AB"[ref["image_id"] % 2]} if ref["split"] == "test" else ref for ref in refs]
    zip_files(home / "data" / "refcoco.zip", drawn, {"refcoco/refs(unc).p": halves})
    with zipfile.ZipFile(home / "data" / "train2014.zip", "w") as archive:
        for file in (drawn / "images").glob("*/*"):
            archive.write(file, f"train2014/{file.relative_to(drawn / 'images')}")
    shutil.copytree(drawn / "images" / "train", home / "photos")
    shutil.copytree(drawn, home / "cups")
    (home / "cups" / "refs(demo).p").rename(home / "cups" / "refs(shop).p")
    photos = sorted(path.relative_to(home) for path in (home / "photos").iterdir())
    lines = [{"image": str(photo), "expression": "the red cup", "polygons": [[9, 9, 60, 9, 60, 60]]} for photo in photos]
    write_coco(home / "annotations.json", photos)
    write_coco(home / "export" / "annotations.json", [Path("..", photo) for photo in photos])
    (home / "mine.jsonl").write_text("".join(json.dumps(line | {"split": split}) + "\n" for line in lines for split in ("train", "val")))
    return home


def write_coco(file: Path, photos: list[Path]) -> None:
    file.parent.mkdir(exist_ok=True)
    outline = {"category_id": 1, "segmentation": [[9, 9, 60, 9, 60, 60]], "caption": "the red cup"}
    images = []
    for place, photo in enumerate(photos):
        with Image.open(file.parent / photo) as picture:
            images.append({"id": place, "file_name": str(photo), "width": picture.width, "height": picture.height})
    top = {
        "images": images,
        "annotations": [{"id": place, "image_id": place, **outline} for place in range(len(photos))],
        "categories": [{"id": 1, "name": "cup"}],
    }
    file.write_text(json.dumps(top))


def zip_files(file: Path, drawn: Path, pickles: dict[str, list[dict[str, object]]]) -> None:
    file.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pickles.items():
            archive.writestr(name, pickle.dumps(content, protocol=2))
            archive.write(drawn / "instances.json", f"{Path(name).parent}/instances.json")


@pytest.fixture(scope="module")
def stand_ins(sources: Path) -> dict[str, Path]:
    """What may be named without having been made: pattern of its path → what to copy there."""
    data = ["--data", str(sources / "data"), "--out", str(sources / "cache"), "--size", "96", "--quiet"]
    train = ["--preset", "smoke", "--cache", str(sources / "cache"), "--epochs", "1", "--device", "cpu", "--quiet"]
    for name in ("refcoco", "refcocog"):
        assert run(["prepare-data", name, *data]) == 0
        assert run(["train", *train, "--dataset", name, "--run-dir", str(sources / name)]) == 0
    caches = {f"cache/{name}": sources / "cache" / name for name in ("refcoco-unc", "refcocog-umd")}
    runs = {r"runs/refcocog-[\w-]+": sources / "refcocog", r"runs/[\w-]+": sources / "refcoco"}
    return caches | runs | {r"weights/?": sources / "refcoco" / "weights" / "best"}


@pytest.fixture
def home(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("data", "photos", "cups", "export"):
        shutil.copytree(sources / name, tmp_path / name)
    for name in ("mine.jsonl", "annotations.json"):
        shutil.copy(sources / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put_stand_ins(line: str, stand_ins: dict[str, Path]) -> Iterator[str]:
    """Copy what a line names and is not there, and a cache where it needs one; yields their paths."""
    words = shlex.split(line)
    if words[1] in ("train", "eval") and not Path("cache").exists():
        words.append("cache/refcocog-umd" if "refcocog" in words else "cache/refcoco-unc")
    for word in words:
        source = next((source for pattern, source in stand_ins.items() if re.fullmatch(pattern, word)), None)
        if source and not Path(word).exists() and words[words.index(word) - 1] not in ("--out", "--run-dir"):
            shutil.copytree(source, word)
            yield word.rstrip("/")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW_PAGES else [])
        for page in PAGES
        if page not in OWN_TESTS and run_here(page)
    ],
)
def test_the_commands_of_a_page_run_one_after_the_other(page, home, stand_ins):
    put = []
    for line in run_here(page):
        put += put_stand_ins(line, stand_ins)
        assert run(smaller(line)) == 0, line
    assert page != "README.md" or put == [], "its commands make all that later ones name"


ELSEWHERE = {line for page in PAGES if page not in OWN_TESTS for line in run_here(page)}


@pytest.mark.parametrize("line", [line for line in run_here("docs/commands.md") if line not in ELSEWHERE])
def test_the_example_of_a_command_runs(line, home, stand_ins):
    list(put_stand_ins(line, stand_ins))
    assert run(smaller(line)) == 0


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_still_stands_somewhere(pattern):
    assert any(re.fullmatch(pattern, line) for page in PAGES for line in lines_of(page))
