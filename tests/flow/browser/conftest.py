"""Pages in a real browser: Chromium without a window, without a network, in a profile of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--window-size=1200,900",
)


@dataclass(frozen=True)
class Visit:
    """What became of a page: its title, what the script kept in `seen`, and every line of the browser's console."""

    title: str
    seen: dict[str, Any]
    console: list[str]


Drive = Callable[..., Visit]


class Dump(HTMLParser):
    """The page's title and its body's `data-seen`."""

    title, seen, _inside = "", "{}", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "title"
        self.seen = dict(attrs).get("data-seen") or self.seen

    def handle_data(self, data: str) -> None:
        self.title += data if self._inside else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture
def visit(chromium: str, tmp_path: Path) -> Drive:
    """Opens a copy of a page that runs one more script once everything is loaded; what it puts into `seen` comes back."""

    def drive(page: str, script: str = "") -> Visit:
        copy = tmp_path / "visited.html"
        late = f"addEventListener('load', () => {{ const seen = {{}}; {script}; document.body.dataset.seen = JSON.stringify(seen); }});"
        copy.write_text(page.replace("</body>", f"<script>{late}</script></body>"), encoding="utf-8")
        words = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()]
        ended = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
        dump = Dump()
        dump.feed(ended.stdout)
        return Visit(dump.title, json.loads(dump.seen), re.findall(r"CONSOLE.*", ended.stderr))

    return drive


class Tab:
    """A page of a running browser, driven over the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._sent = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Network", "Runtime"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and what came of it; events that arrive meanwhile are kept."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(timeout=60))).get("id") != self._sent:
            self.events.append(message)
        return message["result"]

    def js(self, expression: str) -> Any:
        """The value of an expression on the page."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < deadline, (
                f"not within {seconds} s: {expression}; the page says {self.js('document.body.innerText')!r}"
            )
            time.sleep(0.05)

    def go(self, url: str) -> None:
        """Open a page, and wait until it is there: a browser that is sent elsewhere meanwhile may never answer."""
        self.do("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def choose_file(self, path: Path) -> None:
        """What a user does in the file dialog of the page's only file input."""
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        node = self.do("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
        self.do("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def type(self, text: str) -> None:
        """Put text where the focus is."""
        self.do("Input.insertText", text=text)

    def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press and let go of a key; modifier 2 is Ctrl."""
        for kind in ("rawKeyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    @property
    def requested(self) -> list[str]:
        """The addresses of all requests, those of sockets too."""
        return [
            sent["params"]["request"]["url"] if "request" in sent["params"] else sent["params"]["url"]
            for sent in self.events
            if sent.get("method") in ("Network.requestWillBeSent", "Network.webSocketCreated")
        ]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings of the page's scripts."""
        calls = [sent["params"] for sent in self.events if sent.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
        return [call for call in calls if call.get("type") not in ("log", "info", "debug")]


@pytest.fixture(scope="module")
def tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A page of a browser that reaches this machine alone."""
    client = pytest.importorskip("websockets.sync.client", reason="the browser is driven over websockets, which the extra [app] brings")
    profile = tmp_path_factory.mktemp("profile")
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    words = [chromium, *FLAGS, rules, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with (profile / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as browser:
        try:
            with client.connect(_first_page(profile / "DevToolsActivePort"), max_size=None, close_timeout=0) as socket:
                yield Tab(socket)
        finally:
            browser.terminate()


def _first_page(written: Path) -> str:
    """Where the first page of a browser is driven, once it has written on which port it listens."""
    deadline = time.monotonic() + 60
    while not (written.exists() and written.read_text()):
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.05)
    port = written.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as listed:
        return next(each["webSocketDebuggerUrl"] for each in json.load(listed) if each["type"] == "page")
