"""`cmirnet app`: a real browser uploads real files to the command itself, in a process and folders of its own."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from cmirnet_cli.engine.inference import Inference
from cmirnet_cli.engine.prediction.segmenter import Segmenter

pytest.importorskip("nicegui", reason="the package nicegui is not installed; it is the extra [app]")

CTRL, ENTER, TAB = 2, ("Enter", 13), ("Tab", 9)
LYING = 6
"""EXIF: the picture is to be turned by a quarter."""
LONG = "the cup " * 12
LARGEST_FILE = 100_000
"""Bytes that the command may write into one file: a message, and no image."""


@dataclass(frozen=True)
class Served:
    """A running `cmirnet app`."""

    process: subprocess.Popen[str]
    home: Path
    stderr: Path
    url: str


def write_little() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


@contextmanager
def serving(weights: Path, folder: Path, *words: str, **environment: str) -> Iterator[Served]:
    """Run it where its working directory, its home and its folder for temporary files are one empty folder."""
    home, stderr = folder / "home", folder / "stderr"
    home.mkdir()
    command = [sys.executable, "-m", "cmirnet_cli", "app", str(weights), "--port", "0", "--device", "cpu", "--json", *words]
    places = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(Path(__file__).parents[3])}
    how = {"cwd": home, "env": os.environ | places | environment, "stdout": subprocess.PIPE, "text": True, "preexec_fn": write_little}
    with stderr.open("w") as said, subprocess.Popen(command, stderr=said, **how) as process:
        try:
            told = "".join([*takewhile(lambda line: line != "}\n", process.stdout), "}"])
            yield Served(process, home, stderr, json.loads(told)["url"])
        finally:
            process.kill()


def left_behind(folder: Path) -> list[Path]:
    """What was written there, without the empty folders that wandb makes wherever it is installed, as accelerate imports it."""
    return [path for path in folder.iterdir() if not path.name.endswith(("wandb-media", "wandb-artifacts"))]


@pytest.fixture(scope="module")
def served(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(weights, tmp_path_factory.mktemp("served"), "--no-open", "--max-upload", "3") as served:
        yield served


@pytest.fixture
def page(tab, served):
    """The page, freshly opened."""
    tab.events.clear()
    tab.go("about:blank")
    tab.go(served.url)
    tab.until("document.querySelector('input[type=file]')")
    tab.until("window.socket?.connected")
    return tab


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph that was taken with the camera on its side: stored 90 × 60, seen 60 × 90."""
    path = tmp_path_factory.mktemp("photos") / "on its side.jpg"
    exif = Image.Exif()
    exif[0x0112] = LYING
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(path, exif=exif)
    return path


def take(page, photo: Path) -> None:
    page.choose_file(photo)
    page.until("document.querySelector('.photo')?.naturalWidth")


def ask(page, *expressions: str) -> None:
    """Type and ask by key, and wait for the last answer."""
    page.js("document.querySelector('textarea').select()")
    page.type("\n".join(expressions))
    page.press(*ENTER, modifiers=CTRL)
    page.until(f"document.querySelectorAll('.answers .answer').length === {len(expressions)}")
    page.until("[...document.images].every((each) => each.naturalWidth) && !document.querySelector('.q-btn--disabled, .q-btn[disabled]')")


def links(page, name: str) -> list[str]:
    """Addresses of the downloads of this name."""
    return page.js(f"[...document.querySelectorAll('.answer a')].filter((a) => a.innerText === {json.dumps(name)}).map((a) => a.href)")


def fetched(address: str) -> np.ndarray:
    with urllib.request.urlopen(address, timeout=60) as file:
        return np.asarray(Image.open(io.BytesIO(file.read())))


def test_masks_and_cutouts_are_those_of_the_python_api(page, photo, weights):
    take(page, photo)
    ask(page, "the red cup", "left person")
    predictions = Segmenter.from_pretrained(weights, inference=Inference()).predict(photo, ["the red cup", "left person"])
    for found, mask, cutout in zip(predictions, links(page, "Mask"), links(page, "Cutout"), strict=True):
        assert found.mask.any()
        assert fetched(mask).tolist() == (found.mask * 255).tolist()
        assert fetched(cutout)[..., 3].tolist() == (found.mask * 255).tolist()
    scores = page.js("[...document.querySelectorAll('.answers .answer')].map((each) => each.innerText.match(/score (\\d+ %)/)[1])")
    assert scores == [f"{100 * found.score:.0f} %" for found in predictions]
    assert page.js("document.querySelector('.answer a').download") == "on its side.jpg.the-red-cup.mask.png"
    sizes = page.js("[...document.images].map((each) => [each.naturalWidth, each.naturalHeight])")
    assert sizes == [[427, 640]] * 4, "the photo, all masks on one picture, and each alone; small ones are enlarged"


def test_answers_come_into_view_on_a_phone(page, photo):
    page.do("Emulation.setDeviceMetricsOverride", width=390, height=640, deviceScaleFactor=2, mobile=True)
    try:
        take(page, photo)
        ask(page, "the red cup", "left person")
        page.until("document.querySelector('.answers .answer').getBoundingClientRect().top < innerHeight")
        assert page.js("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"
    finally:
        page.do("Emulation.clearDeviceMetricsOverride")


def test_the_slider_draws_anew_without_the_network(page, photo, weights):
    take(page, photo)
    ask(page, "the red cup", "left person")
    before = page.js("[...document.images].slice(1).map((each) => each.src)")
    page.js("document.querySelector('[role=slider] [tabindex]').focus()")
    for _ in range(2):
        page.press("ArrowRight", 39)
    page.until("document.querySelector('[role=slider]').ariaValueNow === '60'")
    page.until(f"[...document.images].slice(1).every((each, place) => each.src !== {json.dumps(before)}[place] && each.naturalWidth)")
    predictions = Segmenter.from_pretrained(weights, inference=Inference()).predict(photo, ["the red cup", "left person"], threshold=0.6)
    for found, mask in zip(predictions, links(page, "Mask"), strict=True):
        assert fetched(mask).tolist() == (found.mask * 255).tolist()
    said = page.js("[...document.querySelectorAll('.answers .answer')].map((each) => each.innerText)")
    for found, text in zip(predictions, said, strict=True):
        assert (f"score {100 * found.score:.0f} %" if found.mask.any() else "nothing found") in text


def test_each_expression_has_a_colour_on_the_common_picture(page, photo):
    take(page, photo)
    ask(page, "the red cup", "left person", "cup")
    page.until("document.querySelectorAll('.legend .swatch').length === 3")
    colours = "[...document.querySelectorAll('{} .swatch')].map((each) => each.style.backgroundColor)"
    legend = page.js(colours.format(".legend"))
    assert len(set(legend)) == 3
    assert page.js(colours.format(".answers")) == legend


def test_an_example_brings_a_picture_and_its_expressions(page):
    page.js("document.querySelector('.example').click()")
    page.until("document.querySelector('.photo')?.naturalWidth === 640 && document.querySelector('textarea').value")
    page.js("document.querySelector('.find').click()")
    page.until("document.querySelectorAll('.answers .answer').length === document.querySelector('textarea').value.split('\\n').length")


def test_nothing_is_asked_of_any_other_machine_and_no_script_complains(page, photo, served):
    take(page, photo)
    ask(page, "the red cup")
    places = {urlsplit(each.removeprefix("blob:")).netloc for each in page.requested if not each.startswith(("data:", "about:"))}
    assert places == {urlsplit(served.url).netloc}
    assert page.complaints == []


def test_only_an_expression_that_is_too_long_says_that_it_is_cut(page, photo):
    take(page, photo)
    ask(page, "the red cup", LONG)
    said = page.js("[...document.querySelectorAll('.answers .answer')].map((each) => each.innerText.includes('Cut at 20 tokens'))")
    assert said == [False, True]


def test_files_that_cannot_be_taken_are_named_and_the_page_goes_on(page, photo, tmp_path):
    take(page, photo)
    (tmp_path / "broken.jpg").write_bytes(photo.read_bytes()[:200])
    (tmp_path / "huge.jpg").write_bytes(b"\xff" * 3_000_001)
    (tmp_path / "bomb.png").write_bytes(enormous_png())
    (tmp_path / "letter.txt").write_text("Dear")
    for name, said in {"broken.jpg": "broken.jpg", "huge.jpg": "3 MB", "bomb.png": "bomb.png", "letter.txt": "not an image"}.items():
        page.choose_file(tmp_path / name)
        page.until(f"document.querySelector('.message').innerText.includes({json.dumps(said)})")
    ask(page, "the red cup")
    assert "Traceback" not in page.js("document.body.innerText")


def test_a_large_upload_stays_in_memory(page, tmp_path):
    large = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)).save(large)
    assert 2_000_000 < large.stat().st_size < 3_000_000
    take(page, large)


def enormous_png() -> bytes:
    """A small file of 400 million pixels, by what its head says."""
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


def test_a_question_without_image_or_expression_says_what_is_missing(page, photo):
    page.js("document.querySelector('.find').click()")
    page.until("document.querySelector('.message').innerText.includes('no image')")
    take(page, photo)
    page.js("document.querySelector('.find').click()")
    page.until("document.querySelector('.message').innerText.includes('no expression')")


def test_an_image_can_be_dropped(page, photo):
    x, y = page.js("(({x, y, width, height}) => [x + width / 2, y + height / 2])(document.querySelector('.zone').getBoundingClientRect())")
    for kind in ("dragEnter", "dragOver", "drop"):
        page.do("Input.dispatchDragEvent", type=kind, x=x, y=y, data={"items": [], "files": [str(photo)], "dragOperationsMask": 1})
    page.until("document.querySelector('.photo')?.naturalWidth")


def test_everything_can_be_done_by_key(page, photo):
    page.do("Page.setInterceptFileChooserDialog", enabled=True)
    page.press(*TAB)
    page.press(*ENTER)
    page.until("document.activeElement.matches('.zone')")
    chooser = next(each["params"] for each in page.events if each["method"] == "Page.fileChooserOpened")
    page.do("DOM.setFileInputFiles", files=[str(photo)], backendNodeId=chooser["backendNodeId"])
    page.until("document.querySelector('.photo') && document.activeElement.matches('textarea')")
    page.type("the red cup")
    page.press(*TAB)
    page.press(*ENTER)
    page.until("document.querySelector('.answers .answer')")
    page.press(*TAB)
    assert page.js("document.activeElement.closest('[role=slider]').ariaLabel") == "Threshold in percent"
    page.press(*TAB)
    assert page.js("document.activeElement.innerText") == "Mask"


def test_what_was_made_is_gone_once_something_else_is_asked_or_the_page_is_left(page, photo):
    take(page, photo)
    ask(page, "the red cup")
    (first,) = links(page, "Mask")
    ask(page, "left person", "cup")
    second = links(page, "Cutout")[0]
    assert (status(first), status(second)) == (404, 200)
    page.go("about:blank")
    deadline = time.monotonic() + 120
    while status(second) == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status(second) == 404


def status(address: str, host: str | None = None, method: str = "GET", size: int = 0) -> int:
    """What a request that no browser sent is answered with; its `Host` may be another one."""
    place = urlsplit(address)
    connection = HTTPConnection(place.netloc, timeout=60)
    connection.request(method, place.path, b"x" * size, {"Host": host or place.netloc})
    return connection.getresponse().status


def test_a_name_that_somebody_made_lead_here_is_refused(served):
    assert status(served.url) == 200
    assert status(served.url, host="attacker.example") == 400


def test_an_upload_past_the_page_is_limited_as_well(page, photo):
    take(page, photo)
    address = next(each for each in page.requested if "/upload/" in each)
    assert status(address, method="POST", size=3_200_000) == 413


def test_who_leaves_in_the_middle_of_an_answer_disturbs_nobody(page, photo, served):
    take(page, photo)
    page.js("document.querySelector('textarea').select()")
    page.type("\n".join(f"cup {number}" for number in range(30)))
    page.press(*ENTER, modifiers=CTRL)
    page.until("document.querySelector('.answers .answer')")
    page.go("about:blank")
    page.go(served.url)
    page.until("document.querySelector('input[type=file]')")
    take(page, photo)
    ask(page, "the red cup")


def test_nothing_was_written_and_nothing_went_wrong(page, photo, served):
    take(page, photo)
    ask(page, "the red cup")
    assert (left_behind(served.home), served.stderr.read_text()) == ([], "")


def test_terminated_while_somebody_looks_at_it_it_ends_with_the_exit_code_of_all_commands(page, served):
    """The last one: it stops what the tests above use."""
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(120) == 143
    assert (left_behind(served.home), served.stderr.read_text()) == ([], "")


@pytest.mark.slow
def test_it_opens_the_page_and_warns_where_the_network_is_let_in_and_ctrl_c_ends_it(weights, tmp_path):
    browser = f"sh -c 'echo $0 > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/opened' %s"
    with serving(weights, tmp_path, "--host", "0.0.0.0", BROWSER=browser) as served:
        assert status(served.url, host="machine.example") == 200
        deadline = time.monotonic() + 120
        while not (tmp_path / "opened").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (tmp_path / "opened").read_text().strip() == served.url
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(120) == 130
        warning, interrupted = served.stderr.read_text().splitlines()
    assert warning.startswith("warning: anybody in the network can reach this page")
    assert interrupted == "interrupted"
