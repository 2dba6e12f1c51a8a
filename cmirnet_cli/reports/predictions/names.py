"""Names of prediction files: readable, the same in every run, safe on every file system, and never the same for two things.

`kitchen/cup.jpg`, "the red cup" → `kitchen/cup.jpg.the-red-cup.png`. A name depends on the photo's and on the expression alone, so
runs and processes agree on it without asking each other. Whatever a name cannot say exactly (capitals, marks, length, letters that
file systems refuse) is said by ten digits of a digest after an underscore: "The red cup!" → `the-red-cup_827f415057`.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from cmirnet_cli.storage.uris import ten_digits

LONGEST_SLUG = 60
"""Characters of an expression."""
LONGEST_PART = 100
"""Bytes of a photo's or an expression's part of a name: together they stay below the 255 that file systems allow."""

_FORBIDDEN = frozenset('<>:"/\\|?*')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MARKED = re.compile(r".*_[0-9a-f]{10}", re.DOTALL)


def mask_name(photo: Path, expression: str) -> Path:
    """Where the mask of an expression about a photo lies, as seen from the folder of masks.

    Args:
        photo: relative path of the photo, which names mirror.
        expression: as the user gave it.
    """
    folders = (safe_part(part) for part in photo.parts[:-1])
    return Path(*folders, f"{safe_part(photo.name)}.{slug(expression)}.png")


def slug(expression: str) -> str:
    """The expression as part of a file name: letters and digits of any script in lower case, everything else a dash."""
    folded = unicodedata.normalize("NFKC", expression).casefold()
    letters = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in folded)
    short = _cut("-".join(letters.split())[:LONGEST_SLUG]).strip("-")
    return short if short and short.replace("-", " ") == expression else f"{short or 'expression'}_{ten_digits(expression)}"


def safe_part(name: str) -> str:
    """The name of a file or folder, changed only where a file system could refuse it or take it for another."""
    safe = "".join(letter if _is_safe(letter) else "-" for letter in unicodedata.normalize("NFC", name))
    if _RESERVED.fullmatch(safe):
        safe = f"-{safe}"
    safe = _cut(safe)
    if safe == name and safe[-1] not in ". " and not _MARKED.fullmatch(safe):
        return name
    return f"{safe}_{ten_digits(name)}"


def _is_safe(letter: str) -> bool:
    return letter not in _FORBIDDEN and unicodedata.category(letter)[0] != "C"


def _cut(text: str) -> str:
    return text.encode("utf-8")[:LONGEST_PART].decode("utf-8", "ignore")
