"""What a command is about to write: whether its place is free, and pictures by the suffix of their name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cmirnet_cli.durable import write_bytes
from cmirnet_cli.errors import UsageError


def require_free(paths: Sequence[Path], *, overwrite: bool) -> Sequence[Path]:
    """The paths that are about to be written, if nothing stands there.

    Raises:
        UsageError: a file exists and may not be replaced.
    """
    taken = [path for path in paths if path.exists()]
    if taken and not overwrite:
        raise UsageError(f"{', '.join(map(str, taken))} exists already", hint="choose another place, or replace it with --overwrite")
    return paths


def write_image(path: Path, image: Image.Image, *, wait: bool = True) -> None:
    """Write a picture in the format that the suffix of `path` names, whole or not at all; `wait` as for `durable.new_file`.

    Raises:
        UsageError: the suffix names no picture format.
        CmirnetError: as for `write_bytes`.
    """
    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise UsageError(f"cannot write a picture as {path.name}: {path.suffix or 'no suffix'} names no picture format", hint="use .png")
    encoded = io.BytesIO()
    image.save(encoded, form, quality=92)
    write_bytes(path, encoded.getvalue(), wait=wait)
