"""Files that have the name of weights, or of a part of them, and are something else: what a failed or unfinished download leaves.

Told from the first bytes, never from the name. Imports no torch.
"""

from __future__ import annotations

import re
import shlex
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterable
from pathlib import Path

from cmirnet_cli.errors import WeightsError, shown

_HEAD = 4096
"""Bytes that are looked at."""
_LFS = re.compile(rb"version https?://(git-lfs\.github\.com|hawser\.github\.com)/spec/")
_LFS_SIZE = re.compile(rb"^size (\d+)\s*$", re.MULTILINE)
_ANNEX = re.compile(rb"(/annex/objects/|[./]*git/annex/objects/)")
_PAGE = re.compile(rb"(<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(!doctype\s+html|html|head|body|script|meta)\b", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_XML = re.compile(rb"<\?xml\b|<error\b", re.IGNORECASE)
_XML_ERROR = re.compile(rb"<(?:Code|Message)>(.*?)</(?:Code|Message)>", re.DOTALL)
_ARCHIVES = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
}
_OTHERS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as TensorFlow and Keras write them",
    b"GGUF": "a GGUF file",
    b"%PDF-": "a PDF document",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
}
_TAR_MARK = slice(257, 262)
_GZIP = 16 + zlib.MAX_WBITS

_DOWNLOAD = "download the file itself again, and compare its size with the source's"


def refuse_lookalikes(paths: Iterable[Path], *, text: bool = False) -> None:
    """Refuse the first of these files that is something other than it should be. What is not a file is left to whoever reads it.

    Args:
        paths: of files with numbers (weights), or of text (configurations, vocabularies).
        text: whether they may hold text.

    Raises:
        WeightsError: one is a Git LFS or git-annex pointer, a web page, a server's error document, an archive or, where numbers belong,
            empty or text.
    """
    for path in paths:
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError as error:
            raise WeightsError(f"{path} cannot be read: {error.strerror or error}", hint="check the path and its permissions") from error
        found = _pointer(head, path.parent) or _document(head) or _other_format(head) or (None if text else _plain_text(head))
        if found:
            raise WeightsError(f"{path} is {found[0]}", hint=found[1])


def refuse_lookalikes_in(folder: Path) -> None:
    """As `refuse_lookalikes` for all files of a folder in transformers' layout that an encoder and its tokenizer may come from."""
    texts = [path for pattern in ("*.json", "*.txt", "*.model") for path in sorted(folder.glob(pattern))]
    refuse_lookalikes(texts, text=True)
    refuse_lookalikes(weight_files(folder))


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers takes an encoder's weights from: of several forms, the first that is there."""
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        if (folder / f"{stem}{suffix}").is_file():
            return [folder / f"{stem}{suffix}"]
        if (folder / f"{stem}{suffix}.index.json").is_file():
            return sorted(folder.glob(f"{stem}-*-of-*{suffix}"))
    return []


def _pointer(head: bytes, folder: Path) -> tuple[str, str] | None:
    """What stands for a file that was not fetched, and what to do about it."""
    written, place = _without_blanks(head), shlex.quote(str(folder))
    if _LFS.match(written):
        size = _LFS_SIZE.search(written)
        stands_for = f" for {int(size[1]) / 1e6:,.1f} MB" if size else ""
        hint = f"run `git lfs pull` in {place} (Git LFS: https://git-lfs.com), or download the file itself"
        return f"a Git LFS pointer{stands_for}, not the file itself", hint
    if _ANNEX.match(written):
        return "a git-annex pointer, not the file itself", f"run `git annex get` in {place}"
    return None


def _document(head: bytes) -> tuple[str, str] | None:
    """What a server sends in place of a file, compressed or not."""
    written = _without_blanks(_unpacked(head))
    if _PAGE.match(written):
        title = _TITLE.search(written)
        return f"a web page{f' ({_plain(title[1])})' if title else ''}, saved under this name", _DOWNLOAD
    if _XML.match(written):
        said = ": ".join(_plain(each) for each in _XML_ERROR.findall(written))
        return f"an XML document{f' ({said})' if said else ''}, saved under this name", _DOWNLOAD
    return None


def _other_format(head: bytes) -> tuple[str, str] | None:
    """A format that does not hold weights as PyTorch or safetensors write them."""
    archive = next((name for start, name in _ARCHIVES.items() if head.startswith(start)), None)
    if archive or head[_TAR_MARK] == b"ustar":
        return archive or "a tar archive", "unpack it, and give the file inside"
    other = next((name for start, name in _OTHERS.items() if head.startswith(start)), None)
    return (other, "give weights that PyTorch or safetensors wrote") if other else None


def _plain_text(head: bytes) -> tuple[str, str] | None:
    """What holds no numbers: nothing, or text, such as a server's error in a line or as JSON."""
    if not head:
        return "empty", _DOWNLOAD
    try:
        text = getincrementaldecoder("utf-8")().decode(_without_blanks(head))
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    return f"text, where numbers belong: {shown(' '.join(text.split()))}", _DOWNLOAD


def _without_blanks(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def _plain(words: bytes) -> str:
    return shown(" ".join(words.decode("utf-8", errors="replace").split()))


def _unpacked(head: bytes) -> bytes:
    """The beginning of what a gzip archive holds, as far as it can be read; anything else as it is."""
    try:
        return zlib.decompressobj(wbits=_GZIP).decompress(head, _HEAD)
    except zlib.error:
        return head
