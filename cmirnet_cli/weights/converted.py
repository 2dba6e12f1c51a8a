"""Official checkpoints as weights folders: converted once, and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cmirnet_cli.errors import CmirnetError, WeightsError
from cmirnet_cli.files import new_folder, sha256_of
from cmirnet_cli.files.checks import require_room, require_writable
from cmirnet_cli.files.locks import held
from cmirnet_cli.weights.checkpoint_files import TOKENIZER_FILES
from cmirnet_cli.weights.folder import CONFIG_FILE, MODEL_FILE

HOME = "CMIRNET_HOME"
"""The variable that names another folder than `~/.cache/cmirnet`."""
_FORM = "2"
"""Of what a conversion makes; another one makes every checkpoint be converted again."""


def converted(checkpoint: Path, tokenizer: str, notice: Callable[[str], None]) -> Path:
    """The weights folder of an official checkpoint. One of the same content and tokenizer that was converted before is not read again.

    It appears whole or not at all; of several processes that want it at once, one converts and the others wait.

    Args:
        checkpoint: the file, which is read as data.
        tokenizer: local folder or hub id.
        notice: called with a line that says where the folder is.

    Raises:
        WeightsError: `read_official` refuses the file, or the folder cannot be written.
    """
    key = _key(checkpoint, tokenizer)
    if before := _found(key):
        notice(f"{checkpoint.name} was converted before and is kept in {before}")
        return before
    target = _home() / f"{checkpoint.stem[:80]}-{key}"
    by_hand = f"set {HOME} to a folder on another disk, or convert it to one yourself: cmirnet convert {checkpoint} OUT"
    try:
        require_writable(target)
    except CmirnetError as error:
        raise WeightsError(f"{error.message}, where converted checkpoints are kept", hint=by_hand) from error
    lock = target.with_name(f".{target.name}.lock")
    with held(lock, lambda: notice(f"another process is converting {checkpoint.name}; waiting for it")):
        try:
            if not _is_whole(target):
                _convert(checkpoint, tokenizer, target, by_hand)
                notice(f"{checkpoint.name} is converted, with the tokenizer {tokenizer}, and kept in {target}")
        finally:
            with suppress(OSError):
                lock.rmdir()
    return target


def converted_before(checkpoint: Path, tokenizer: str) -> Path | None:
    """The weights folder that `converted` would find; None if it would have to make one."""
    of_its_size = _home().glob(f"*-{_size(checkpoint)}-*")
    return _found(_key(checkpoint, tokenizer)) if any(of_its_size) else None  # reading the file takes seconds


def _home() -> Path:
    cache = os.environ.get(HOME) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "cmirnet"
    return Path(cache).expanduser() / "weights"


def _key(checkpoint: Path, tokenizer: str) -> str:
    """What the name of its conversion ends with: its size, and a hash of all that the conversion depends on."""
    content = f"{_FORM} {sha256_of(checkpoint)} {_identity(tokenizer)}"
    return f"{_size(checkpoint)}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _size(checkpoint: Path) -> str:
    return f"{checkpoint.stat().st_size:x}"


def _found(key: str) -> Path | None:
    return next((folder for folder in sorted(_home().glob(f"*-{key}")) if _is_whole(folder)), None)


def _convert(checkpoint: Path, tokenizer: str, target: Path, by_hand: str) -> None:
    from cmirnet_cli.weights.bundle import write_bundle
    from cmirnet_cli.weights.conversion import read_official

    bundle = read_official(checkpoint, tokenizer).bundle
    size = sum(tensor.numel() * tensor.element_size() for tensor in bundle.model.state_dict().values())
    require_room(target, size, WeightsError, hint=by_hand)
    try:
        with new_folder(target, WeightsError) as building:
            write_bundle(bundle, building)
    except WeightsError:
        if not _is_whole(target):  # where nothing can be locked, another process may have been quicker
            raise


def _is_whole(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file() and (folder / MODEL_FILE).is_file()


def _identity(tokenizer: str) -> str:
    """What names a tokenizer: the content of its files, or the hub id."""
    folder = Path(tokenizer)
    if not folder.is_dir():
        return tokenizer
    return " ".join(f"{name}={sha256_of(folder / name)}" for name in TOKENIZER_FILES if (folder / name).is_file())
