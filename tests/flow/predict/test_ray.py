"""`cmirnet predict --engine ray` on a cluster of three nodes on this machine: whatever is killed, every image is answered once.

First with work of the tests' own, which dies where it is told to; then with the whole command, whose actors run an export, for they then
need no torch. The commands are those of docs/cluster.md.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from cmirnet_cli.app import run
from cmirnet_cli.engine.on_ray import run as on_ray
from cmirnet_cli.engine.on_ray.cluster import RayOptions
from cmirnet_cli.errors import CmirnetError, ImageError
from tests.flow.predict.conftest import files

pytest.importorskip("ray", reason="Ray is not installed; it is one of the dev extras")

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cluster.md"
PIECES = 200
SEEN_DEAD = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}
"""A cluster notices a dead node within seconds, in place of half a minute."""
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


def lines_of_page() -> list[str]:
    """The commands of docs/cluster.md about Ray, without comments."""
    section = PAGE.read_text(encoding="utf-8").split("## Prediction on Ray\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]


OWN = {"TEST_OF_RAY": f"{os.getpid()}"}
"""Tells the processes that these tests start from those of tests that run beside them."""


def left_over() -> list[psutil.Process]:
    """Processes of clusters that a command started and that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if OWN.items() <= process.environ().items() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def actor_of(nodes: Nodes) -> psutil.Process:
    """An actor on one of the nodes, which this process has started."""
    below = psutil.Process().children(recursive=True)
    return next(process for process in below if " ".join(process.cmdline()).startswith("ray::MapWorker"))


class Nodes:
    """A head that works for nobody, and two nodes with a core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {**NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": SEEN_DEAD}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = str(self.cluster.address)
        self.add()
        self.add()

    def add(self) -> None:
        """Start a node; on a busy machine Ray's processes may miss Ray's own limit for each other, and are started again."""
        for last in (False, False, True):
            try:
                self.cluster.add_node(**NODE)
                return
            except Exception:
                if last:
                    raise

    def kill(self) -> None:
        """Kill a node at once, with all actors on it."""
        self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Nodes()
        yield started
        started.cluster.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class Writing:
    """Writes a file for each piece, of ten images. Pieces may kill their process, once or always, or fail."""

    folder: Path
    dies_once: int = -1
    dies: int = -1
    fails: int = -1

    def begin(self, device: str) -> Callable[..., int]:
        return self.write

    def describe(self, piece: int) -> str:
        return f"piece {piece}"

    def write(self, piece: int, advance: Callable[[int], object], *, again: bool) -> int:
        for _ in range(10):
            advance(1)
        if piece == self.fails:
            raise ImageError("7.png is broken", hint="leave it out")
        if piece == self.dies or (piece == self.dies_once and not again):
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"{piece}").write_text("again" if again else "once")
        return piece


def count(last: int, listed: Path) -> Generator[int, None, None]:
    """Pieces, and in a file how many of them were listed."""
    for piece in range(last):
        listed.write_text(str(piece))
        yield piece


def test_every_piece_is_done_and_reported_once_or_named_though_actors_and_a_node_die(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(on_ray, "ATTEMPTS", 2)
    reported: list[int] = []
    images: list[int] = []
    ahead: list[int] = []
    out, listed = tmp_path / "out", tmp_path / "listed"
    out.mkdir()

    def take(report: int) -> None:
        reported.append(report)
        ahead.append(int(listed.read_text() or 0) - len(reported))
        if len(reported) == PIECES // 2:
            nodes.kill()

    work = Writing(out, dies_once=7, dies=9)
    with pytest.raises(CmirnetError, match="no result for piece 9: the process died 2 times there"):
        on_ray.run_on_ray(lambda: count(PIECES, listed), work, RayOptions(nodes.address), take, images.append)
    nodes.add()
    assert sorted(reported) == sorted(int(file.name) for file in out.iterdir()) == [each for each in range(PIECES) if each != 9]
    assert (out / "7").read_text() == "again"
    assert sum(images) == 10 * (PIECES - 1)
    assert max(ahead) < on_ray.AHEAD < PIECES, "listing does not run far ahead of the work"


@pytest.mark.parametrize("form", ["png", "parquet"])
def test_actors_that_do_not_fit_cost_no_earlier_result(
    nodes: Nodes, cmirnet: Callable[..., Any], weights: Path, photos: Path, tmp_path: Path, form: str
):
    words = ["predict", weights, photos, "-e", "cup", "--device", "cpu", "--format", form, "-o", tmp_path / "out"]
    assert cmirnet(*words).code in (0, 3)
    written = files(tmp_path / "out")
    refused = cmirnet(*words, "--overwrite", "--engine", "ray", "--ray-address", nodes.address, "--actors", 99)
    assert refused.code == 2
    assert "--actors 99 do not fit" in refused.err
    assert files(tmp_path / "out") == written


def test_an_error_in_an_actor_ends_the_command_as_if_it_were_here(nodes: Nodes, tmp_path: Path):
    with pytest.raises(ImageError, match="is broken") as raised:
        on_ray.run_on_ray(lambda: count(9, tmp_path / "listed"), Writing(tmp_path, fails=7), RayOptions(nodes.address), print, print)
    assert raised.value.hint == "leave it out"


OTHERS = """
import sys
import ray

ray.init(sys.argv[1], log_to_driver=False, logging_level="CRITICAL")
ray.get(ray.util.placement_group([{"CPU": 1}] * int(ray.cluster_resources()["CPU"])).ready())
print("all cores are taken", flush=True)
sys.stdin.read()
"""


def test_a_cluster_that_others_use_is_not_waited_for_without_end(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(on_ray, "STARTS_WITHIN", 1)
    command = [sys.executable, "-c", OTHERS, nodes.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as others:
        assert others.stdout
        assert others.stdout.readline() == "all cores are taken\n"
        with pytest.raises(CmirnetError, match="had no room for 2 actors within 1 s"):
            on_ray.run_on_ray(lambda: count(2, tmp_path / "listed"), Writing(tmp_path), RayOptions(nodes.address), print, print)


@dataclass
class Gate:
    """An image on a web server that is sent once the gate is open: no command ends before that."""

    url: str
    opened: Event


@pytest.fixture
def gate() -> Iterator[Gate]:
    opened, image = Event(), b"P6 9 8 255\n" + bytes(range(216))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            opened.wait()
            self.do_HEAD()
            self.wfile.write(image)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(image)))
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Gate(f"http://127.0.0.1:{server.server_port}/gate.ppm", opened)
        opened.set()
        server.shutdown()


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred small images of noise, one of which is broken."""
    folder = tmp_path_factory.mktemp("hundred")
    for number in range(100):
        pixels = np.random.default_rng(number).integers(0, 256, (24 + number % 9, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    (folder / "041.png").write_bytes((folder / "040.png").read_bytes()[:90])
    return folder


@pytest.fixture(scope="module")
def export(weights: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "weights"
    assert run(["export", str(weights), "--images", str(photos / "kitchen"), "-e", "cup", "--out", str(folder), "--quiet"]) == 0
    return folder


def begin(folder: Path, words: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cmirnet_cli", *words]
    return subprocess.Popen(command, cwd=folder, env=os.environ | OWN, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_chunks(out: Path, count: int, command: subprocess.Popen[str]) -> None:
    """Until so many chunks are written by a command that cannot end."""
    while len(list(out.glob("*.parquet"))) < count:
        assert command.poll() is None, command.communicate()
        time.sleep(0.01)


def test_masks_are_those_of_the_local_engine_though_an_actor_a_node_and_the_command_are_killed(
    nodes: Nodes, gate: Gate, cmirnet: Callable[..., Any], export: Path, hundred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("weights").symlink_to(export)
    Path("photos").symlink_to(hundred)
    words = shlex.split(lines_of_page()[3].replace("node1:6379", nodes.address))[1:]
    assert words[:6] == ["predict", "weights/", "photos/", "-e", "the red cup", "--engine"]
    more = [gate.url, "-e", "left person", "--format", "parquet", "--chunk", "3", "--device", "cpu", "--json"]
    with begin(tmp_path, [*words, *more, "-o", "ray"]) as command:
        wait_for_chunks(tmp_path / "ray", 2, command)
        actor_of(nodes).kill()
        wait_for_chunks(tmp_path / "ray", 6, command)
        nodes.kill()
        wait_for_chunks(tmp_path / "ray", 10, command)
        command.kill()
    nodes.add()
    gate.opened.set()
    resumed = cmirnet(*words, *more, "-o", "ray", "--skip-existing")
    local = cmirnet(*words[: words.index("--engine")], *more, "-o", "local")
    assert (resumed.code, local.code) == (3, 3)
    assert files(tmp_path / "ray") == files(tmp_path / "local")
    assert 30 <= resumed.data["skipped"] < 101
    counts = {name: local.data[name] for name in ("images", "masks", "broken", "chunks")}
    assert counts == {"images": 101, "masks": 200, "broken": 1, "chunks": 34}
    assert {name: resumed.data[name] for name in counts} == counts


def test_a_cluster_of_its_own_writes_and_says_what_the_local_engine_does_and_is_gone_afterwards(
    cmirnet: Callable[..., Any], weights: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("weights").symlink_to(weights)
    Path("photos").symlink_to(photos)
    words = shlex.split(lines_of_page()[0])[1:]
    more = ["-r", "-e", "left person", "--overlay", "--gallery", "--coco", "predictions/coco.json", "--device", "cpu", "--json", "-q"]
    with begin(tmp_path, [*words, *more]) as command:
        said, told = command.communicate()
    left = left_over()
    written = files(tmp_path / "predictions")
    local = cmirnet(*words[: words.index("--engine")], *more, "--overwrite")
    assert (command.returncode, said, told) == (3, local.out, local.err), "Ray says nothing of its own"
    assert written == files(tmp_path / "predictions")
    assert len(written) == 1 + 7 * 2 * 2 + 3
    assert not left


def test_ray_start_makes_two_machines_one_cluster():
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    lines = [line.replace("node1", "localhost").replace("6379", str(port)) for line in lines_of_page() if line.startswith("ray ")]
    words = [[str(Path(sys.executable).with_name("ray")), *shlex.split(line)[1:], "--num-cpus", "1"] for line in lines]
    small = ["--object-store-memory", str(80 << 20), "--include-dashboard", "false"]
    places = {"env": os.environ | {"RAY_AUTH_MODE": "disabled"}, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([*words[0], *small], **places) as first:
        check = [words[0][0], "health-check", "--address", f"localhost:{port}"]
        while subprocess.run(check, capture_output=True, check=False).returncode:
            assert first.poll() is None, first.communicate()
        with subprocess.Popen([*words[1], *small[:2]], **places) as second:
            ray.init(f"localhost:{port}", log_to_driver=False, logging_level="CRITICAL")
            while sum(node["Alive"] for node in ray.nodes()) < 2:
                assert second.poll() is None, second.communicate()
                time.sleep(0.05)
            assert ray.cluster_resources()["CPU"] == 2
            ray.shutdown()
            second.terminate()
        first.terminate()


STOPPED = """
import os, signal, sys
from cmirnet_cli.engine.on_ray.cluster import RayOptions
from cmirnet_cli.engine.on_ray.run import run_on_ray

class Work:
    def begin(self, device):
        return lambda piece, advance, *, again: piece
    def describe(self, piece):
        return str(piece)

def endless():
    piece = 0
    while True:
        yield piece
        piece += 1

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as the program does
run_on_ray(endless, Work(), RayOptions(actors=1), lambda piece: piece == 20 and os.kill(os.getpid(), signal.SIGTERM), lambda images: None)
"""


def test_a_command_that_is_stopped_takes_its_cluster_with_it():
    ended = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False, env=os.environ | OWN)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "")
    assert not left_over()
