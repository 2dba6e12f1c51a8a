"""What a page shows: entries, and cards, which are entries with a picture. Plain data; pictures are data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from PIL import Image

from cmirnet_cli.images.palette import Colour

LONGEST_SIDE = 640
"""Pixels. Larger pictures are reduced."""
PHOTOGRAPHS = 78
"""JPEG quality for pages with hundreds of photographs."""
MARK = "mark"
"""The kind of group that an entry's marks are."""


@dataclass(frozen=True)
class Meter:
    """A fraction from 0 to 1, shown as a bar and in hundredths.

    Attributes:
        label: says what it measures.
        fraction: is shown.
        when: the token of a choice; the meter is shown while that is chosen. Empty: always.
        good: whether the bar has the colour of success, or that of failure.
    """

    label: str
    fraction: float
    when: str = ""
    good: bool = True


@dataclass(frozen=True)
class Entry:
    """One thing on a page, in words.

    Attributes:
        sentences: shown one a line.
        notes: small print; the search finds it, too.
        keys: what entries are sorted by, a value for each. A key is a word of small letters and digits.
        marks: words that set the entry apart, such as a warning; the page can show the entries of one mark alone.
        meters: at the foot of a card; in the list, their numbers alone.
        groups: tokens of the groups the entry is in; the page can show the entries of one group alone.
        anchor: the name of its card; in the list, the numbers lead to the card of the same name, if there is one.
    """

    sentences: Sequence[str]
    notes: Sequence[str]
    keys: Mapping[str, float | str]
    marks: Sequence[str] = ()
    meters: Sequence[Meter] = ()
    groups: Sequence[str] = ()
    anchor: str = ""

    @property
    def data(self) -> dict[str, str]:
        """The attributes that the page's script reads: the value of each key, and the groups."""
        values = {f"data-{key}": value if isinstance(value, str) else f"{value:.6g}" for key, value in self.keys.items()}
        groups = [*self.groups, *(token(MARK, mark) for mark in self.marks)]
        return values | ({"data-in": " ".join(groups)} if groups else {})


@dataclass(frozen=True)
class Layer:
    """A transparent picture, laid over a card's own and of its size; the page has a switch for all layers of one name, with its colour."""

    name: str
    picture: str
    colour: Colour | None = None


@dataclass(frozen=True)
class Card:
    """An entry with its picture, and the layers over it, the first one lowest."""

    entry: Entry
    picture: str
    layers: Sequence[Layer] = ()


@lru_cache
def token(kind: str, name: str) -> str:
    """The name of a group within a page, without spaces: `category`, `hot dog` → `category:hot%20dog`."""
    return f"{kind}:{quote(name, safe='', errors='replace')}"


def jpeg(picture: Image.Image, quality: int = 85) -> str:
    """A picture of any mode as a data URI, reduced where it is larger than `LONGEST_SIDE`; `quality`: 1 to 95."""
    small = picture.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return _data_uri(small, "JPEG", quality=quality, subsampling=0, optimize=True)


def png(picture: Image.Image) -> str:
    """A picture as a data URI, pixel for pixel and with its transparency."""
    return _data_uri(picture, "PNG", optimize=True)


def _data_uri(picture: Image.Image, form: str, **options: Any) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
