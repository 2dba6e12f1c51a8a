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
            `encode_image(image)` and `decode(features, words, keep, sentence)`, an image is encoded once for many expressions.
        name: of its builder, for errors.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """The network's own features, or the image itself."""
        encode: Callable[[Tensor], Any] | None = getattr(self.network, "encode_image", None)
        made = image if encode is None else encode(image)
        size = (image.shape[2], image.shape[3])
        return ImageFeatures((made,) if isinstance(made, Tensor) else tuple(made), size)

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """As `CMIRNet.decode`.

        Raises:
            ConfigError: the network gives no logits of that shape.
        """
        decode: Callable[..., Any] | None = getattr(self.network, "decode", None)
        text = words, keep, sentence
        made = self.network(features.maps[0], *text) if decode is None else decode(features.maps, *text)
        main, others = made if isinstance(made, tuple) else (made, [])
        if main.shape[1:] != (2, *features.size):
            wrong = f"model.network = {self.name}: its logits have the shape {tuple(main.shape)}, the image {features.size}"
            raise ConfigError(wrong, hint="Logits.main must be (B, 2, H, W), of the image's height and width")
        return Logits(main, list(others) if auxiliary else [])


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
