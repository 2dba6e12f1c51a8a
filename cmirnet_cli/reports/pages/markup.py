"""Text and pictures as pieces of an HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image


def text(content: str) -> str:
    """Text for HTML, between tags or quotes; what UTF-8 cannot hold (a byte of an odd file name) becomes a question mark."""
    return escape(content.encode("utf-8", "replace").decode("utf-8"), quote=True)


def shortened(content: str, letters: int) -> str:
    """The first so many letters, with an ellipsis where there are more."""
    return content if len(content) <= letters else f"{content[:letters].rstrip()}…"


def definitions(facts: Mapping[str, str]) -> str:
    """Label and value, line by line."""
    return f"<dl>{''.join(f'<dt>{text(label)}</dt><dd>{text(value)}</dd>' for label, value in facts.items())}</dl>"


def table(heads: Sequence[str], bodies: Iterable[str]) -> str:
    """A table with these heads above its bodies; each body is the HTML of rows that belong together."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in heads)
    return f"<table><thead><tr>{head}</tr></thead>{''.join(f'<tbody>{body}</tbody>' for body in bodies)}</table>"


def jpeg(picture: Image.Image, longest_side: int, quality: int = 85) -> str:
    """The picture as a data URI; one that is larger than `longest_side` pixels is reduced."""
    small = picture.convert("RGB")
    small.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return _data_uri(small, "JPEG", quality=quality, subsampling=0, optimize=True)


def png(picture: Image.Image) -> str:
    """The picture as a data URI, pixel for pixel and with its transparency."""
    return _data_uri(picture, "PNG", optimize=True)


def _data_uri(picture: Image.Image, form: str, **options: Any) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
