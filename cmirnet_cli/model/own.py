"""What a setting names as `package.module:function`: a network of one's own, or a term of the loss.

Only packages that are installed are imported, or that `PYTHONPATH` names. Nothing is imported from a weights folder or the hub.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import ConfigError, WeightsError
from cmirnet_cli.model.cmirnet import Network
from cmirnet_cli.model.features import ImageFeatures, Logits

INSTALL = "install the package that holds it (pip install -e FOLDER), or name its folder in PYTHONPATH"


def imported(name: str, setting: str) -> Callable[..., Any]:
    """The function that a setting names as `package.module:function`.

    Raises:
        ConfigError: there is no such package, module or function.
    """
    place, _, function = name.partition(":")
    with _without_current_folder():
        try:
            module = import_module(place)
        except ImportError as error:
            raise ConfigError(f"{setting} = {name}: {place} cannot be imported: {error}", hint=INSTALL) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise ConfigError(f"{setting} = {name}: {place} has no function {function}", hint=f"the module is {module.__file__}")
    made: Callable[..., Any] = found
    return made


def require_installed(name: str, folder: Path) -> None:
    """Refuse weights whose network is built by code that is not installed, or that would come from their own folder.

    Raises:
        WeightsError: names the code.
    """
    package = name.partition(":")[0].partition(".")[0]
    with _without_current_folder():
        spec = find_spec(package)
    places = [] if spec is None else [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else ())]
    inside = [place for place in places if Path(place).resolve().is_relative_to(folder.resolve())]
    if spec is None or inside:
        found = f"is only found in {inside[0]}" if inside else "is not installed"
        raise WeightsError(
            f"the network of the weights at {folder} is built by {name}, and {package} {found}",
            hint=f"{INSTALL}; code is never run from a weights folder or the hub",
        )


def own_network(config: ModelConfig) -> OwnNetwork:
    """The network that `model.network` names, as its builder makes it of the settings.

    Raises:
        ConfigError: there is no such builder, or it makes something else.
    """
    builder = imported(str(config.network), "model.network")
    network = builder(config)
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise ConfigError(f"model.network = {config.network}: it returns a {kind}", hint="a builder returns a torch.nn.Module")
    return OwnNetwork(network, str(config.network))


class OwnNetwork(Network):
    """Somebody's own network where the harness expects one.

    Args:
        network: called with image (B, 3, H, W), words (B, T, D), keep bool (B, T) and sentence (B, D), it gives `Logits`. Where it has
            both `encode_image(image)` and `decode(features, words, keep, sentence)`, an image is encoded once for many expressions.
        name: of its builder, for errors.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name
        self.has_parts = hasattr(network, "encode_image") and hasattr(network, "decode")

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """The network's own features, or the image itself."""
        made: Any = self.network.encode_image(image) if self.has_parts else image  # type: ignore[operator]
        size = (image.shape[2], image.shape[3])
        return ImageFeatures((made,) if isinstance(made, Tensor) else tuple(made), size)

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """As `CMIRNet.decode`.

        Raises:
            ConfigError: the network gives no logits of that shape.
        """
        text = words, keep, sentence
        made: Any = self.network.decode(features.maps, *text) if self.has_parts else self.network(features.maps[0], *text)  # type: ignore[operator]
        main, others = made if isinstance(made, tuple) and len(made) == 2 else (made, [])
        shape = (words.shape[0], 2, *features.size)
        for each in (main, *others):
            if not isinstance(each, Tensor) or each.shape != shape:
                wrong = f"model.network = {self.name}: as scores of a head it gives {_described(each)}, not the shape {shape}"
                raise ConfigError(wrong, hint="return Logits(main, auxiliary), all of them (B, 2, H, W) of the image's height and width")
        return Logits(main, list(others) if auxiliary else [])


def own_term(function: Callable[[Tensor, Tensor], Tensor], name: str, logits: Tensor, target: Tensor) -> Tensor:
    """What a term of the user's own makes of logits (B, 2, H, W) and a target (B, H, W): the loss of each row, (B,).

    Raises:
        ConfigError: it gives something else, or what nothing can be learnt from.
    """
    rows = function(logits, target)
    if not isinstance(rows, Tensor) or rows.shape != target.shape[:1]:
        wrong = f"loss.terms: {name} gives {_described(rows)} for {len(target)} rows"
        raise ConfigError(wrong, hint="it must give one loss for each row, (B,)")
    if logits.requires_grad and not rows.requires_grad:
        wrong = f"loss.terms: {name} gives a loss without a gradient, from which nothing is learnt"
        raise ConfigError(wrong, hint="compute it from the logits, without argmax, comparisons, detach or NumPy")
    return rows


def _described(made: object) -> str:
    return f"the shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"


@contextmanager
def _without_current_folder() -> Iterator[None]:
    """Nothing is imported from the folder that a command happens to run in, which `python -m` and `python -c` look in first."""
    started_as_module = getattr(sys.modules["__main__"], "__spec__", None) is not None
    implied = bool(sys.path) and (sys.path[0] == "" or (started_as_module and Path(sys.path[0]).resolve() == Path.cwd()))
    before = list(sys.path)
    if implied:
        del sys.path[0]
    try:
        yield
    finally:
        sys.path[:] = before
