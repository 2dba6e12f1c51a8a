"""Who gets through the door, and what can be downloaded."""

from __future__ import annotations

import pytest

from cmirnet_cli.errors import UsageError

pytest.importorskip("nicegui", reason="the package nicegui is not installed; it is the extra [app]")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from cmirnet_cli.web.downloads import Downloads
from cmirnet_cli.web.server import Door


@pytest.mark.parametrize(
    ("host", "private", "named", "others"),
    [
        ("127.0.0.1", True, "127.0.0.1", False),
        ("localhost", True, "localhost", False),
        ("::1", True, "[::1]", False),
        ("0.0.0.0", False, "localhost", True),
    ],
)
def test_only_an_address_of_this_machine_alone_is_private(host, private, named, others):
    door = Door.opened(host, 0)
    with door.listening:
        assert door.is_private == private
        assert door.url == f"http://{named}:{door.listening.getsockname()[1]}/"
        assert (door.names == ["*"]) == others
        assert others or named in door.names


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_that_this_machine_does_not_have_is_refused_by_its_name(host):
    with pytest.raises(UsageError, match=host):
        Door.opened(host, 0)


def test_a_port_that_is_taken_is_refused_by_its_number():
    with Door.opened("127.0.0.1", 0).listening as taken, pytest.raises(UsageError, match=str(port := taken.getsockname()[1])):
        Door.opened("127.0.0.1", port)


def test_downloads_are_what_is_offered_and_nothing_else():
    downloads, server = Downloads(), FastAPI()
    downloads.serve_on(server)
    browser = TestClient(server)
    one, other = downloads.put(lambda: b"one", "image/png"), downloads.put(lambda: b"other", "image/jpeg")
    assert (browser.get(one).content, browser.get(one).headers["content-type"]) == (b"one", "image/png")
    downloads.remove([one])
    assert (browser.get(one).status_code, browser.get(other).content) == (404, b"other")
    assert browser.get(f"{other}x").status_code == 404
