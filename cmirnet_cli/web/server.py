"""The server behind the page: for this machine alone by default, and with nothing on disk."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from starlette.formparsers import MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cmirnet_cli.errors import UsageError
from cmirnet_cli.web.page import ICON, MEGABYTE, Site

ENVELOPE = 1 << 16
"""Bytes of an upload around the file."""
SECONDS_TO_LEAVE = 1
"""How long open connections may take to end when the server is stopped."""
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Door:
    """Where a server is reached.

    Attributes:
        listening: its socket.
        host: as the user named it.
    """

    listening: socket.socket
    host: str

    @classmethod
    def opened(cls, host: str, port: int) -> Door:
        """Listen; port 0 takes any free one.

        Raises:
            UsageError: this machine has no such address, or the port is taken or not ours to take.
        """
        try:
            return cls(socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET), host)
        except OSError as error:
            hint = "--host must be an address of this machine; --port 0 takes any free port"
            raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}", hint=hint) from error

    @property
    def is_private(self) -> bool:
        """Whether only this machine gets through."""
        return self._address.is_loopback

    @property
    def url(self) -> str:
        """What to type into a browser on this machine."""
        return f"http://{'localhost' if self._address.is_unspecified else _in_url(self.host)}:{self.listening.getsockname()[1]}/"

    @property
    def names(self) -> Sequence[str]:
        """The hosts that a browser may say it wants: another site whose name was made to lead here (DNS rebinding) says its own."""
        return ["*"] if self._address.is_unspecified else [*THIS_MACHINE, _in_url(self.host)]

    @property
    def _address(self) -> IPv4Address | IPv6Address:
        return ip_address(self.listening.getsockname()[0])


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def serve(site: Site, door: Door) -> None:
    """Serve until Ctrl-C or SIGTERM, which then do what they do everywhere in this process."""
    warnings.filterwarnings("ignore", "`torch", FutureWarning)  # NiceGUI looks at every object there is, torch's old names among them
    how = uvicorn.Config(application(site, door.names), log_level="warning", timeout_graceful_shutdown=SECONDS_TO_LEAVE)
    uvicorn.Server(how).run(sockets=[door.listening])


def application(site: Site, hosts: Sequence[str]) -> FastAPI:
    """The site for a server; there can be one in a process. `hosts`: what a browser may call it."""
    most = site.megabytes * MEGABYTE + ENVELOPE
    MultiPartParser.spool_max_size = most  # an upload stays in memory, in Starlette as in NiceGUI
    server = FastAPI(openapi_url=None, max_body_size=most)
    server.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    site.downloads.serve_on(server)
    ui.page("/")(site.welcome)
    ui.run_with(server, title="cmirnet", favicon=ICON, dark=None, tailwind=False, language="en-US", show_welcome_message=False)
    return server
