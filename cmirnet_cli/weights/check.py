"""What can be seen of weights before torch is loaded. Light: imports no torch, and asks the hub only for what is nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

from cmirnet_cli import hub
from cmirnet_cli.config import SCRATCH, Settings
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.folder import BundleConfig, find_weights, read_config, require_plausible

HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
PICKLED = (".pth", ".pt", ".bin", ".ckpt")


def is_hub_id(source: str) -> bool:
    """Whether weights are looked for on the hub: it can be the name of a repository, or of a file in one, and not of a path here.

    `runs/mine` is a path where there is a folder `runs`, whether `mine` is in it or not.
    """
    repository, _, _ = source.partition(":")
    path = Path(source).expanduser()
    here = path.exists() or path.parent.is_dir() or path.suffix in PICKLED
    return bool(HUB_ID.fullmatch(repository)) and (":" in source or not here)


def check_weights(source: str) -> BundleConfig | None:
    """What a weights folder or a run says of itself; None for a file, and for a repository of the hub, which is not fetched here.

    Raises:
        WeightsError: nothing is there, it is damaged, or it would have to be fetched from a hub that does not answer.
    """
    path = Path(source).expanduser()
    if is_hub_id(source):
        repository = source.partition(":")[0]
        hub.require_fetchable(repository, f"there is no folder {source}, and the repository {repository}", "FOLDER in its place")
        return None
    if path.is_file():
        return None
    if path.suffix in PICKLED:
        require_file(path)
    folder = find_weights(path)
    require_plausible(folder)
    return read_config(folder)


def check_start(settings: Settings) -> BundleConfig | None:
    """Refuse a text encoder that a run would start with and that is nowhere; as `check_weights`, where whole weights bring it.

    Raises:
        WeightsError: there is none, or it would have to be fetched from a hub that does not answer.
    """
    if settings.loop.init_from:
        return check_weights(settings.loop.init_from)
    if settings.text.source != SCRATCH:
        check_encoder(settings.text.source)
    return None


def require_file(path: Path) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        WeightsError: there is no such file.
    """
    if not path.is_file():
        what = f"{path} is a folder, not a checkpoint" if path.is_dir() else f"there is no checkpoint {path}"
        raise WeightsError(what, hint="name an authors' .pth file")


def check_encoder(source: str) -> None:
    """Refuse a pretrained text encoder that is nowhere.

    Args:
        source: a folder, or a name on the hub.

    Raises:
        WeightsError: there is no such folder, it holds no config.json, or the hub does not answer and has never given it.
    """
    folder, option = Path(source).expanduser(), "--set text.source=FOLDER"
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise WeightsError(f"the text encoder {source!r} has no config.json", hint=f"name the folder that holds it: {option}")
    elif folder.exists() or not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", source):
        raise WeightsError(
            f"there is no folder {source} with a text encoder",
            hint="check the path in text.source, or name one on the hub, such as google-bert/bert-base-uncased",
        )
    else:
        hub.require_fetchable(source, f"the text encoder {source}", option)
