"""Which kinds of picture files there are, which of them can be read on this machine, and what the others need.

JPEG, PNG and their like are always read. HEIC, AVIF and JPEG 2000 depend on libraries: HEIC on the package pillow-heif, the extra
`[heic]`, the others on how Pillow was built. Nothing reads JPEG XL and the raw files of cameras.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from PIL import Image, features

_RUN_PROGRAMS = frozenset({"EPS"})
"""Formats that PIL hands to another program: Ghostscript runs what a PostScript file says."""

HEIC, AVIF, JPEG_2000, JPEG_XL, RAW, MACOS = "HEIC", "AVIF", "JPEG 2000", "JPEG XL", "camera raw", "macOS side"

_SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "usual": (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
        HEIC: (".heic", ".heif", ".hif"),
        AVIF: (".avif", ".avifs"),
        JPEG_2000: (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"),
        JPEG_XL: (".jxl",),
        RAW: (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
    }
)
KINDS = (*_SUFFIXES, MACOS)
"""All kinds, in the order in which they are named."""
_KIND_OF = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}

_NEEDS: Mapping[str, str] = MappingProxyType(
    {
        HEIC: "pip install 'cmirnet[heic]' reads HEIC",
        AVIF: "pip install 'cmirnet[heic]' reads AVIF",
        JPEG_2000: "a Pillow built with OpenJPEG, as pip installs it, reads JPEG 2000",
        JPEG_XL: "save JPEG XL files as JPEG or PNG",
        RAW: "save camera raw files as JPEG or PNG",
    }
)

_HEIC_BRANDS, _AVIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), (b"avif", b"avis")


def kind_of(path: Path) -> str | None:
    """The kind of picture that a file's name promises, such as `HEIC`; `usual` for what is always read, None for no picture."""
    if path.name.startswith("._"):
        return MACOS
    return _KIND_OF.get(path.suffix.lower())


def is_read(kind: str) -> bool:
    """Whether files of this kind are read on this machine."""
    if kind == HEIC:
        return _registers_heic()
    if kind in (AVIF, JPEG_2000):
        return ("avif" if kind == AVIF else "jpg_2000") in features.get_supported()
    return kind == "usual"


def suffixes() -> list[str]:
    """The endings of the picture files that are read on this machine, in alphabetical order."""
    return sorted(suffix for suffix, kind in _KIND_OF.items() if is_read(kind))


def needs_of(kinds: Mapping[str, int]) -> str:
    """What makes files of these kinds readable, in words; empty where nothing is to be done."""
    return "; ".join(_NEEDS[kind] for kind in kinds if kind in _NEEDS)


def why_unknown(head: bytes) -> str:
    """Why PIL does not know a file, from its first bytes: what it is, if that can be said, and what would read it."""
    if head[4:8] == b"ftyp" and (kind := _kind_of_brand(head)):
        return f"it is {kind}, but damaged" if is_read(kind) else f"it is {kind}: {_NEEDS[kind]}"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return f"it is {JPEG_XL}: save it as JPEG or PNG"
    if head.startswith(b"\0\x05\x16\x07"):
        return "it is a side file of macOS, without a picture"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the picture: run git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not a picture: download it again"
    return "it is not in an image format that can be read here" if head else "it is empty"


def _kind_of_brand(head: bytes) -> str | None:
    """HEIC or AVIF, by the brands of an ISO media file: its own, then those it is compatible with."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, min(length, len(head)), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return AVIF
    return HEIC if any(brand in _HEIC_BRANDS for brand in brands) else None


def pil_formats() -> tuple[str, ...]:
    """PIL's names of the formats that are read, the usual ones first, as PIL tries them."""
    _registers_heic()
    Image.preinit()
    Image.init()
    return tuple(name for name in Image.ID if name not in _RUN_PROGRAMS)


@cache
def _registers_heic() -> bool:
    """Teach PIL to read HEIC where pillow-heif is installed; whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
