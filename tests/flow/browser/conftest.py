"""Pages in a real browser: one Chromium for all tests, without a window, that reaches this machine alone, in a profile of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "--window-size=1200,900",
)
HELP = """
const type = (text) => { filter.value = text; filter.dispatchEvent(new Event('input')); };
const choose = (list, place) => { list.selectedIndex = place; list.dispatchEvent(new Event('change')); };
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
const visible = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.getClientRects().length);
const count = () => document.getElementById('shown').textContent;
const seen = {};"""
"""What the scripts of visits are written with; `seen` comes back."""


class Tab:
    """A page of a running browser, driven over the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._sent = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
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

    def until(self, expression: str, seconds: float = 120) -> None:
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
        found = self.do("Runtime.evaluate", expression="document.querySelector('input[type=file]')")["result"]
        self.do("DOM.setFileInputFiles", objectId=found["objectId"], files=[str(path)])

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
    def complaints(self) -> list[str]:
        """Errors and warnings of the page: what its scripts print, what they throw, what the browser refuses."""
        kept = {"Runtime.consoleAPICalled": "args", "Runtime.exceptionThrown": "exceptionDetails", "Log.entryAdded": "entry"}
        events = [(sent["params"], sent["params"][kept[sent["method"]]]) for sent in self.events if sent.get("method") in kept]
        harmless = {"log", "info", "debug", "verbose"}
        return [json.dumps(what) for event, what in events if event.get("type", event.get("entry", {}).get("level")) not in harmless]


@pytest.fixture(scope="session")
def browser_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the only page of the browser is driven."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    profile = tmp_path_factory.mktemp("profile")
    words = [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (profile / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as browser:
        try:
            yield _first_page(profile / "DevToolsActivePort")
        finally:
            browser.terminate()


@pytest.fixture(scope="module")
def tab(browser_page: str) -> Iterator[Tab]:
    """The browser's page, empty; connected anew for each file, as a connection that nobody uses for long may end."""
    client = pytest.importorskip("websockets.sync.client", reason="the browser is driven over websockets, which the extra [app] brings")
    with client.connect(browser_page, max_size=None, close_timeout=0) as socket:
        yield Tab(socket)


@dataclass(frozen=True)
class Visit:
    """What became of a page: its title, what the script kept in `seen`, and every complaint in the browser's console."""

    title: str
    seen: dict[str, Any]
    console: list[str]


@pytest.fixture
def visit(tab: Tab, tmp_path: Path) -> Callable[..., Visit]:
    """Opens a page from the disk and runs a script once everything is loaded; what it puts into `seen` comes back."""
    numbers = count()

    def drive(page: str, script: str = "") -> Visit:
        file = tmp_path / f"visited-{next(numbers)}.html"
        file.write_text(page, encoding="utf-8")
        tab.go("about:blank")
        tab.events.clear()
        tab.go(file.as_uri())
        seen = tab.js(f"(() => {{ {HELP} {script}; return seen; }})()")
        return Visit(tab.js("document.title"), seen, tab.complaints)

    return drive


def _first_page(written: Path) -> str:
    """Where the first page of a browser is driven, once it has written on which port it listens."""
    deadline = time.monotonic() + 60
    while not (written.exists() and written.read_text()):
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.05)
    port = written.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as listed:
        return next(each["webSocketDebuggerUrl"] for each in json.load(listed) if each["type"] == "page")
