"""The Python API: weights in, masks out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from huggingface_hub import HfApi
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.engine.devices import pick_device
from cmirnet_cli.engine.photos import Photo, read_photo
from cmirnet_cli.errors import ImageError
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.features import Seen
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, require_replaceable, save_bundle
from cmirnet_cli.weights.card import model_card, read_scores
from cmirnet_cli.weights.hub import upload
from cmirnet_cli.weights.source import load_weights_or_checkpoint

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """The mask of what one expression refers to.

    Attributes:
        expression: as asked.
        mask: bool (H, W) at the image's own size.
        score: mean probability, 0 to 1, that the network gives the referent on the mask's pixels; 0 for an empty mask.
    """

    expression: str
    mask: NDArray[np.bool_]
    score: float

    def rle(self) -> dict[str, Any]:
        """The mask as COCO run-length encoding: `size` [H, W] and `counts` as text."""
        encoded = coco.encode(np.asfortranarray(self.mask.astype(np.uint8)))
        return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


class Segmenter:
    """A trained model, ready to be asked. `predict` keeps no state, so threads may share one.

    Args:
        bundle: the model with its tokenizer and settings.
        device: where it runs; the model is moved there and put in eval mode.
        batch_size: expressions that go through the network at once.
    """

    def __init__(self, bundle: Bundle, device: torch.device, batch_size: int = 8) -> None:
        self._model = bundle.model.to(device).eval()
        self._config = bundle.config
        self._device = device
        self._batch_size = batch_size
        self.tokenizer: PreTrainedTokenizerBase = bundle.tokenizer

    @classmethod
    def from_pretrained(cls, source: str | Path, device: str = "cpu", *, tokenizer: str | None = None) -> Segmenter:
        """Load weights from a folder, a run directory, a hub id or an authors' `.pth` file.

        Args:
            source: where the weights are; a `.pth` file is read as data, nothing in it is run.
            device: auto, cpu, cuda, cuda:N or mps.
            tokenizer: local folder or hub id, for a `.pth` file, which holds none; by default that of the published text encoder.

        Raises:
            WeightsError: nothing usable is there.
            UsageError: there is no such device.
        """
        return cls(load_weights_or_checkpoint(source, tokenizer), pick_device(device))

    def save_pretrained(
        self, folder: str | Path, *, scores: str | Path | None = None, license: str | None = None, overwrite: bool = False
    ) -> None:
        """Write a self-contained weights folder with a model card (README.md).

        Args:
            folder: where to; it appears whole or not at all.
            scores: a `scores.json` of `cmirnet eval`, for the card.
            license: the hub's identifier of a licence, such as `mit`, for the card.
            overwrite: whether weights that are there already are replaced.

        Raises:
            UsageError: something stands there that may not be replaced.
            WeightsError: `scores` is no such file.
        """
        target = Path(folder)
        require_replaceable(target, overwrite=overwrite)
        self._save(target, str(folder), scores, license)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        scores: str | Path | None = None,
        license: str | None = None,
        private: bool = False,
        message: str = "Add weights",
        api: HfApi | None = None,
    ) -> str:
        """Put the weights on the Hugging Face hub, with a model card; the commit's address.

        Args:
            repo_id: `organisation/name`; made where it is missing.
            scores: as for `save_pretrained`.
            license: as for `save_pretrained`.
            private: whether a repository that is made can be seen by its owners only.
            message: of the commit.
            api: the hub's client, for another address or token than the configured ones.

        Raises:
            WeightsError: the hub cannot be reached or refuses, or `scores` is no such file.
        """
        with TemporaryDirectory() as made:
            folder = Path(made) / "weights"
            self._save(folder, repo_id, scores, license)
            return upload(folder, repo_id, private=private, message=message, api=api)

    def _save(self, folder: Path, name: str, scores: str | Path | None, license: str | None) -> None:
        measured = read_scores(Path(scores)) if scores else None
        parameters = sum(parameter.numel() for parameter in self._model.parameters())
        card = model_card(name, self._config, parameters, measured, license)
        save_bundle(Bundle(self._model, self.tokenizer, self._config), folder, card)

    @property
    def network(self) -> CMIRNet:
        """The network behind the text encoder."""
        return self._model.network

    @property
    def text(self) -> TextEncoder:
        """The text encoder: (ids, keep) to words (B, T, D)."""
        return self._model.text

    def predict(self, image: str | Path | Image.Image | Pixels, expressions: str | Sequence[str]) -> list[Prediction]:
        """One mask for each expression; the work that sees no text is done once.

        Args:
            image: a path (EXIF orientation is applied), a PIL image, or uint8 (H, W, 3) RGB.
            expressions: one or many.

        Raises:
            ImageError: the image cannot be read, or is an array of another kind.
        """
        pixels = _as_pixels(image)
        asked = [expressions] if isinstance(expressions, str) else list(expressions)
        probabilities = self._probabilities(pixels, asked)
        return [_prediction(expression, probability) for expression, probability in zip(asked, probabilities, strict=True)]

    def _probabilities(self, pixels: Pixels, expressions: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        """The referent's probability at every pixel, float32 (H, W), one expression after the other."""
        seen = self._look(pixels)
        for start in range(0, len(expressions), self._batch_size):
            chunk = expressions[start : start + self._batch_size]
            for logits in self._locate(seen, chunk):
                enlarged = F.interpolate(logits.unsqueeze(0), size=pixels.shape[:2], mode="bilinear", align_corners=False)[0]
                yield torch.softmax(enlarged, dim=0)[1].cpu().numpy()

    @torch.inference_mode()
    def _look(self, pixels: Pixels) -> Seen:
        size = (self._config.image_size, self._config.image_size)
        resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        image = torch.from_numpy(resized.copy()).unsqueeze(0).to(self._device)
        return self.network.look(normalise(image))

    @torch.inference_mode()
    def _locate(self, seen: Seen, expressions: Sequence[str]) -> Tensor:
        """Logits (n, 2, S, S) of n expressions about one image."""
        tokens = tokenise(self.tokenizer, expressions, self._config.tokens)
        keep = tokens.keep.to(self._device)
        words = self._model.encode(tokens.ids.to(self._device), keep)
        return self.network.locate(seen.repeat(len(expressions)), words, keep, words[:, 0], auxiliary=False).main


@dataclass(frozen=True)
class Question:
    """A photo and what is asked about it."""

    photo: Photo
    expressions: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What came of a question: pixels uint8 (H, W, 3) and predictions, or the reason why there are none."""

    question: Question
    pixels: Pixels | None
    predictions: tuple[Prediction, ...]
    problem: ImageError | None = None


def answer_all(segmenter: Segmenter, questions: Iterable[Question], advance: Callable[[int], object]) -> Iterator[Answer]:
    """Ask about photo after photo; a photo that cannot be read becomes an answer with its problem and the rest goes on."""
    for question in questions:
        try:
            pixels = read_photo(question.photo.path)
            yield Answer(question, pixels, tuple(segmenter.predict(pixels, question.expressions)))
        except ImageError as problem:
            yield Answer(question, None, (), problem)
        advance(1)


def _as_pixels(image: str | Path | Image.Image | Pixels) -> Pixels:
    if isinstance(image, (str, Path)):
        return read_photo(Path(image))
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"expected an RGB array of uint8 (H, W, 3), not {image.dtype} {image.shape}", hint="convert it first")
    return image


def _prediction(expression: str, probability: NDArray[np.float32]) -> Prediction:
    mask = probability > 0.5
    return Prediction(expression, mask, float(probability[mask].mean()) if mask.any() else 0.0)
