"""What can be seen of weights before torch is loaded. Light: imports no torch, and asks the hub only for what is nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

from cmirnet_cli import hub
from cmirnet_cli.config import SCRATCH, Settings
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.checkpoint_files import OFFICIAL, PICKLED, chosen_checkpoint
from cmirnet_cli.weights.folder import MODEL_FILE, BundleConfig, find_weights, read_config, require_plausible
from cmirnet_cli.weights.hub import HubName
from cmirnet_cli.weights.lookalikes import refuse_lookalikes, refuse_lookalikes_in

PARTS = (".safetensors", ".onnx", ".pt2", ".json")
"""Suffixes of files that mean nothing without the others of their folder."""


def hub_name(source: str) -> HubName | None:
    """The name on the hub under which weights are looked for; None for a path here.

    `runs/mine` is a path where there is a folder `runs`, whether `mine` is in it or not.
    """
    name, path = HubName.parse(source), Path(source).expanduser()
    if name is None or path.exists():
        return None
    here = path.parent.is_dir() or path.suffix in PICKLED
    return None if here and name.file is None else name


def check_weights(source: str) -> BundleConfig | None:
    """What a weights folder or a run says of itself; None for an official checkpoint, and for a repository on the hub, which stays there.

    Raises:
        WeightsError: nothing is there, it is damaged or something else, or it would have to be fetched from a hub that does not answer.
    """
    path = Path(source).expanduser()
    if name := hub_name(source):
        hub.require_fetchable(name.repository, f"there is no folder {source}, and the repository {name}", "FOLDER in its place")
        return None
    if path.is_file() or path.suffix in PICKLED or checkpoints_in(path):
        require_checkpoint(path)
        return None
    folder = find_weights(path)
    require_plausible(folder)
    return read_config(folder)


def checkpoints_in(folder: Path) -> dict[str, int | None]:
    """The official checkpoints that lie in a folder, in bytes; none for a weights folder, whatever else is in it."""
    if not folder.is_dir() or (folder / MODEL_FILE).is_file():
        return {}
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.suffix in OFFICIAL and path.is_file()}


def require_checkpoint(path: Path) -> Path:
    """An official checkpoint: a file, or the only one in a folder.

    Raises:
        WeightsError: it is not there, it is something else, or a folder holds several.
    """
    if path.is_dir():
        path /= chosen_checkpoint(str(path), checkpoints_in(path))
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint {path}", hint="name an official .pth file")
    if path.suffix in PARTS:
        raise WeightsError(f"{path} is one file of a folder, which is needed whole", hint=f"give the folder: {path.parent}")
    refuse_lookalikes([path], text=True)
    return path


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
        refuse_lookalikes_in(folder)
    elif folder.exists() or not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", source):
        raise WeightsError(
            f"there is no folder {source} with a text encoder",
            hint="check the path in text.source, or name one on the hub, such as google-bert/bert-base-uncased",
        )
    else:
        hub.require_fetchable(source, f"the text encoder {source}", option)
