"""Files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cmirnet_cli.errors import CmirnetError, UsageError


def require_free(paths: Sequence[Path], *, overwrite: bool) -> Sequence[Path]:
    """The paths that are about to be written, if nothing stands there.

    Raises:
        UsageError: a file exists and may not be replaced.
    """
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise UsageError(f"{', '.join(map(str, taken))} exists already", hint="choose another place, or replace it with --overwrite")
    return paths


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` beside `path` under a name of its own, then move it there in one step; missing parent folders are made.

    Raises:
        CmirnetError: the file system refuses (no room, no rights, a folder of that name); nothing is left behind.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        hint = "check that its folder can be written to and that the disk has room"
        raise CmirnetError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; raises what `write_bytes` raises."""
    write_bytes(path, text.encode("utf-8"))


def write_image(path: Path, image: Image.Image) -> None:
    """Write a picture in the format that the suffix of `path` names, whole or not at all.

    Raises:
        UsageError: the suffix names no picture format.
        CmirnetError: as for `write_bytes`.
    """
    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise UsageError(f"cannot write a picture as {path.name}: {path.suffix or 'no suffix'} names no picture format", hint="use .png")
    encoded = io.BytesIO()
    image.save(encoded, form, quality=92)
    write_bytes(path, encoded.getvalue())
