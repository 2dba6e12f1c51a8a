"""Files that pages offer: in memory, under addresses that nobody guesses, and gone with their page."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fastapi import FastAPI, HTTPException, Response

PLACE = "/made"


@dataclass(frozen=True)
class Download:
    """A file that is made when somebody asks for it."""

    make: Callable[[], bytes]
    kind: str


@dataclass(frozen=True)
class Downloads:
    """What can be fetched at the moment."""

    offers: dict[str, Download] = field(default_factory=dict)

    def put(self, make: Callable[[], bytes], kind: str) -> str:
        """Download a file.

        Args:
            make: gives its bytes, in a thread of its own, each time it is fetched.
            kind: its media type.

        Returns:
            Its address on this server.
        """
        token = secrets.token_urlsafe(16)
        self.offers[token] = Download(make, kind)
        return f"{PLACE}/{token}"

    def remove(self, addresses: Iterable[str]) -> None:
        """Download these no longer."""
        for address in addresses:
            del self.offers[address.removeprefix(f"{PLACE}/")]

    def serve_on(self, server: FastAPI) -> None:
        """Let a server hand out what is offered."""

        @server.get(PLACE + "/{token}")
        def made(token: str) -> Response:
            if (offer := self.offers.get(token)) is None:
                raise HTTPException(404, "this is no longer available: search again on the page")
            return Response(offer.make(), media_type=offer.kind, headers={"Cache-Control": "no-store"})
