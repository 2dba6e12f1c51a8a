"""What can be seen of weights before torch is loaded. Light: imports no torch, and asks the hub only for what is nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

from cmirnet_cli import hub
from cmirnet_cli.config import SCRATCH, ModelConfig, Settings, TextConfig
from cmirnet_cli.config.published import IMAGENET, TIMM
from cmirnet_cli.errors import UsageError, WeightsError
from cmirnet_cli.weights.checkpoint_files import OFFICIAL, PICKLED, VOCABULARIES, chosen_checkpoint, tokenizer_beside
from cmirnet_cli.weights.converted import converted_before
from cmirnet_cli.weights.folder import MODEL_FILE, BundleConfig, find_weights, read_config, require_plausible
from cmirnet_cli.weights.hub import HubName
from cmirnet_cli.weights.lookalikes import refuse_lookalikes, refuse_lookalikes_in

PARTS = (".safetensors", ".onnx", ".pt2", ".json")
"""Suffixes of files that mean nothing without the others of their folder."""
TEXT_OPTION = "--set text.source=FOLDER"
BACKBONE_OPTION = "--backbone-weights FILE (FOLDER/model.safetensors)"
BACKBONE_STARTS = "--backbone-weights takes imagenet, none, or a file from timm, torchvision or the Swin authors"


def hub_name(source: str) -> HubName | None:
    """The name on the hub under which weights are looked for; None for a path here.

    `runs/mine` is a path where there is a folder `runs`, whether `mine` is in it or not.
    """
    name, path = HubName.parse(source), Path(source).expanduser()
    if name is None or path.exists():
        return None
    here = path.parent.is_dir() or path.suffix in PICKLED
    return None if here and name.file is None else name


def check_weights(source: str, tokenizer: str | None = None) -> BundleConfig | None:
    """What a weights folder or a run says of itself; None for an official checkpoint, and for a repository on the hub, which stays there.

    Args:
        source: as for `weights_folder`.
        tokenizer: folder or hub id that was named for an official checkpoint.

    Raises:
        WeightsError: nothing is there, it is damaged or something else, or it would have to be fetched from a hub that does not answer;
            or this is true of an official checkpoint's tokenizer.
    """
    path = Path(source).expanduser()
    if name := hub_name(source):
        hub.require_fetchable(name.remote)
        if tokenizer:
            check_tokenizer(tokenizer)
        return None
    if path.is_file() or path.suffix in PICKLED or checkpoints_in(path):
        checkpoint = require_checkpoint(path)
        beside = tokenizer_beside(checkpoint, checkpoint.parent)
        reads = tokenizer or (str(beside) if beside else TextConfig().source)
        try:
            check_tokenizer(reads)
        except WeightsError:
            if converted_before(checkpoint, reads) is None:
                raise
        return None
    folder = find_weights(path)
    require_plausible(folder)
    return read_config(folder)


def check_named(weights: str, tokenizer: str | None) -> BundleConfig | None:
    """As `check_weights`, of weights and a tokenizer that were named together.

    Raises:
        UsageError: a tokenizer is named for a weights folder, which has its own.
        WeightsError: as there.
    """
    config = check_weights(weights, tokenizer)
    if config and tokenizer:
        raise UsageError(f"a tokenizer is for official checkpoints; {weights} has its own", hint="leave the tokenizer out")
    return config


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
        raise WeightsError(f"{path} is one file of a folder, and the whole folder is needed", hint=f"give the folder: {path.parent}")
    refuse_lookalikes([path], text=True)
    return path


def check_start(settings: Settings) -> BundleConfig | None:
    """Refuse a run that would start with a text encoder or a backbone that is nowhere; whole weights are checked as by `check_weights`.

    Only timm knows where the weights of its other models are, and timm loads torch. So those are not checked here.

    Raises:
        WeightsError: there is none, or it would have to be fetched from a hub that does not answer.
    """
    if settings.loop.init_from:
        return check_weights(settings.loop.init_from, named_tokenizer(settings.text))
    wanted = _encoder(settings.text.source)
    if settings.loop.backbone_weights == "imagenet" and settings.model.family != "timm":
        wanted.append(imagenet_weights(settings.model.backbone))
    hub.require_fetchable(*wanted)
    return None


def default_starts() -> tuple[hub.Remote, hub.Remote]:
    """The text encoder and the backbone's weights that a run starts from if nothing is set."""
    return _on_the_hub(TextConfig().source, "text encoder", TEXT_OPTION), imagenet_weights(ModelConfig().backbone)


def check_text(settings: Settings) -> None:
    """As `check_start`, of the text encoder alone."""
    if settings.loop.init_from:
        check_weights(settings.loop.init_from, named_tokenizer(settings.text))
    else:
        hub.require_fetchable(*_encoder(settings.text.source))


def named_tokenizer(text: TextConfig) -> str | None:
    """The tokenizer that `text.source` names for an official checkpoint; None if nobody changed that setting."""
    return None if text.source in (SCRATCH, TextConfig().source) else text.source


def imagenet_weights(backbone: str) -> hub.Remote:
    """The ImageNet weights of a backbone of ours.

    Raises:
        WeightsError: there are none.
    """
    if (name := IMAGENET.get(backbone)) is None:
        raise WeightsError(f"there are no ImageNet weights for {backbone}", hint="train from scratch with --backbone-weights none")
    return hub.Remote(f"{TIMM}{name}", f"the ImageNet weights {name}", BACKBONE_OPTION)


def _encoder(source: str) -> list[hub.Remote]:
    """What of a pretrained text encoder may have to be fetched: nothing where it is a folder, or made from scratch.

    Raises:
        WeightsError: there is no such folder, or it holds no config.json.
    """
    folder, option = Path(source).expanduser(), TEXT_OPTION
    if source == SCRATCH:
        return []
    if not folder.is_dir():
        return [_on_the_hub(source, "text encoder", option)]
    if not (folder / "config.json").is_file():
        raise WeightsError(f"the text encoder {source!r} has no config.json", hint=f"name the folder that holds it: {option}")
    refuse_lookalikes_in(folder)
    return []


def check_tokenizer(source: str) -> None:
    """Refuse a tokenizer for an official checkpoint that is nowhere.

    Args:
        source: a folder, or a name on the hub.

    Raises:
        WeightsError: there is no such folder, it holds no vocabulary, or the hub does not answer and has never given it.
    """
    option = "--tokenizer FOLDER"
    if not Path(source).is_dir():
        hub.require_fetchable(_on_the_hub(source, "tokenizer", option))
    elif not any(Path(source, name).is_file() for name in VOCABULARIES):
        raise WeightsError(f"the folder {source} holds no {' and no '.join(VOCABULARIES)}", hint=f"name the folder that does: {option}")


def _on_the_hub(source: str, part: str, option: str) -> hub.Remote:
    """What a name on the hub stands for; `weights/bert` is a path where there is a folder `weights`, as in `hub_name`.

    Raises:
        WeightsError: it is a path, and nothing is there.
    """
    top, *inside = source.split("/")
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", source) or Path(source).exists() or (inside and Path(top).is_dir()):
        raise WeightsError(
            f"there is no folder {source} with a {part}",
            hint=f"check the path ({option}), or name one on the hub, such as {TextConfig().source}",
        )
    return hub.Remote(source, f"the {part} {source}", option)
