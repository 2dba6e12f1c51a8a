"""What `cmirnet doctor` says of libraries, the hub and the machine: in processes of their own, with what they find changed around them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

METADATA = """Metadata-Version: 2.1
Name: cmirnet
Version: 0.1.0
Requires-Dist: numpy>=999
Requires-Dist: no-such-library-of-ours
Requires-Dist: rich
Requires-Dist: no-such-extra-library; extra == "shiny"
Requires-Dist: torchvision
Provides-Extra: shiny
Provides-Extra: dev
"""
TORCHVISION = """Metadata-Version: 2.1
Name: torchvision
Version: 0.99
Requires-Dist: numpy==1.0
Requires-Dist: nowhere-of-ours
"""


def doctor(folder: Path, **environment: str) -> tuple[int, dict[str, dict[str, object]]]:
    """Exit code and findings by subject."""
    words = [sys.executable, "-m", "cmirnet_cli", "doctor", "--json"]
    known = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    ended = subprocess.run(words, cwd=folder, env=known | environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, {finding["subject"]: finding for finding in json.loads(ended.stdout)["findings"]}


class Answering(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering_hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextmanager
def silent_hub() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.slow
def test_a_hub_that_answers_and_a_text_encoder_that_was_fetched_are_ok(tmp_path):
    home = tmp_path / "hub/models--google-bert--bert-base-uncased"
    (home / "snapshots/0123").mkdir(parents=True)
    (home / "snapshots/0123/config.json").write_text("{}")
    with answering_hub() as address:
        _, found = doctor(tmp_path, HF_ENDPOINT=address, HF_HUB_CACHE=str(tmp_path / "hub"))
    assert (found["hub"]["severity"], found["hub"]["message"]) == ("ok", f"{address} answers")
    assert (found["text encoder"]["severity"], found["backbone"]["severity"]) == ("ok", "note")
    assert "hf download timm/swin_base_patch4_window12_384.ms_in22k --local-dir FOLDER" in found["backbone"]["advice"]


@pytest.mark.slow
def test_a_hub_that_says_nothing_is_a_note_after_three_seconds_at_most(tmp_path):
    from cmirnet_cli.doctor.environment import PATIENCE

    with silent_hub() as address:
        code, found = doctor(tmp_path, HF_ENDPOINT=address)
    assert (code, found["hub"]["severity"]) == (0, "note")
    assert "--set text.source=FOLDER" in found["hub"]["advice"]
    assert PATIENCE <= 3


def test_waiting_for_the_hub_ends_in_time():
    code = (
        "import time; from cmirnet_cli.doctor.environment import hub_findings as f; t = time.time(); list(f(0.5)); print(time.time() - t)"
    )
    with silent_hub() as address:
        words = [sys.executable, "-c", code]
        ended = subprocess.run(words, env=os.environ | {"HF_ENDPOINT": address}, capture_output=True, text=True, check=True)
    assert float(ended.stdout) < 3


def test_offline_on_purpose_nothing_is_asked_and_all_else_is_told(tmp_path):
    with answering_hub() as address:
        code, found = doctor(tmp_path, HF_ENDPOINT=address, HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(tmp_path / "hub"))
    assert (code, found["hub"]["severity"], found["text encoder"]["severity"]) == (0, "note", "note")
    assert "HF_HUB_OFFLINE is set" in found["hub"]["message"]
    assert {"python", "libraries", "extra [export]", "extra [logging]", "cpu", "memory", "disk for cache", "disk for runs"} <= set(found)
    assert sys.version.split()[0] in found["python"]["message"]


@pytest.fixture(scope="module")
def odd_libraries(tmp_path_factory):
    """Exit code and findings where some are missing, too old, or made for others."""
    folder = tmp_path_factory.mktemp("odd")
    for name, described in (("cmirnet-0.1.0", METADATA), ("torchvision-0.99", TORCHVISION)):
        (folder / f"{name}.dist-info").mkdir()
        (folder / f"{name}.dist-info/METADATA").write_text(described)
    return doctor(folder, PYTHONPATH=str(folder), HF_HUB_OFFLINE="1")


def test_libraries_that_are_missing_or_too_old_are_an_error_with_the_command_that_installs_them(odd_libraries):
    code, found = odd_libraries
    assert (code, found["libraries"]["severity"]) == (1, "error")
    assert "numpy is" in found["libraries"]["message"]
    assert "not >=999" in found["libraries"]["message"]
    assert found["libraries"]["advice"] == "install them with: pip install 'numpy>=999' 'no-such-library-of-ours'"
    assert (found["extra [shiny]"]["severity"], found["extra [shiny]"]["message"]) == ("note", "no-such-extra-library is missing")
    assert "extra [dev]" not in found


def test_libraries_that_do_not_fit_together_are_a_warning_that_names_both(odd_libraries):
    found = odd_libraries[1]["library versions"]
    assert found["severity"] == "warning"
    assert found["message"].startswith("torchvision 0.99 asks for numpy==1.0: numpy is ")
    assert "nowhere" not in found["message"]


@pytest.mark.parametrize("kind", ["ImportError", "OSError"])
def test_a_torch_that_cannot_be_loaded_is_an_error_and_all_else_is_still_looked_at(well, tmp_path, kind):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(f"raise {kind}('libcudart.so.99: cannot open shared object file')")
    code, found = doctor(well.folder, PYTHONPATH=str(tmp_path), HF_HUB_OFFLINE="1")
    assert code == 1
    assert "libcudart.so.99" in found["torch"]["message"]
    assert [found[name]["severity"] for name in ("scenes (demo)", "cache/scenes-demo", "runs/first", "runs/first/weights/best")] == [
        "ok"
    ] * 4


def test_neither_transformers_nor_timm_is_loaded_to_look_at_runs(well):
    code = (
        "import sys, json; from cmirnet_cli.app import run; run(json.loads(sys.argv[1])); "
        "print(sorted({'transformers', 'timm', 'h5py', 'torchvision', 'accelerate'} & set(sys.modules)), file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, json.dumps([*well.words, "--json"])]
    ended = subprocess.run(words, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "[]"
