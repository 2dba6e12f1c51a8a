"""The gallery page: one HTML file that shows predictions and needs nothing but itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from PIL import Image

from cmirnet_cli.reports.page_template import CARD, PAGE, SCRIPT, STYLE

LONGEST_SIDE = 640
"""Pictures in the page are reduced to so many pixels."""


@dataclass(frozen=True)
class GalleryEntry:
    """One prediction to look at.

    Attributes:
        picture: the image with its mask laid over it, any size.
        expression: what was asked for.
        source: where the image came from, as the user named it.
        score: how sure the network is, a fraction from 0 to 1.
    """

    picture: Image.Image
    expression: str
    source: str
    score: float


def gallery_page(entries: Iterable[GalleryEntry], title: str) -> str:
    """The whole page as HTML. Style, script and pictures are inside it, and its content policy forbids it to load anything else.

    Without its script the page still shows every card; the script filters and sorts them. Entries are consumed one at a time.
    """
    cards = [_card(entry) for entry in entries]
    return PAGE.substitute(title=_text(title), count=len(cards), style=STYLE, script=SCRIPT, cards="\n".join(cards))


def _card(entry: GalleryEntry) -> str:
    return CARD.substitute(
        picture=_data_uri(entry.picture),
        expression=_text(entry.expression),
        source=_text(entry.source),
        score=f"{entry.score:.4f}",
        percent=f"{100 * entry.score:.0f}",
    )


def _text(text: str) -> str:
    """Text for HTML, between tags or quotes; what UTF-8 cannot hold (a byte of an odd file name) becomes a question mark."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"), quote=True)


def _data_uri(picture: Image.Image) -> str:
    small = picture.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=85, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
