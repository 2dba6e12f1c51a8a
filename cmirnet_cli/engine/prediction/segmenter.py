"""The Python API: weights in, masks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

import numpy as np
import torch
from huggingface_hub import HfApi
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import Tokens, normalise, tokenise
from cmirnet_cli.engine.devices import pick_device
from cmirnet_cli.engine.inference import AS_PUBLISHED, Inference
from cmirnet_cli.engine.prediction import THRESHOLD
from cmirnet_cli.engine.prediction.masks import MaskRule, Probabilities
from cmirnet_cli.engine.prediction.photos import ImageLike, as_pixels
from cmirnet_cli.engine.prediction.prediction import Prediction, Predictions
from cmirnet_cli.engine.prediction.predictor import ImageExpressions, predict_batches
from cmirnet_cli.engine.prediction.queries import checked_expression
from cmirnet_cli.engine.prediction.vocabulary import Vocabulary
from cmirnet_cli.errors import UsageError
from cmirnet_cli.images.pixels import Pixels, resized
from cmirnet_cli.model.cmirnet import Network
from cmirnet_cli.model.fast.optimizations import FastNetwork
from cmirnet_cli.model.features import ImageFeatures
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, save_bundle
from cmirnet_cli.weights.card import model_card, read_scores
from cmirnet_cli.weights.check import check_named
from cmirnet_cli.weights.folder import require_replaceable
from cmirnet_cli.weights.hub import upload
from cmirnet_cli.weights.source import load_weights


class Segmenter:
    """A trained model, ready to predict. `predict` keeps no state, so threads may share one.

    Args:
        bundle: the model with its tokenizer and settings.
        device: where it runs; the model is moved there and put in eval mode.
        expressions_at_once: expressions about one image that go through the network at once.
        photos_at_once: images that are encoded together; of several, as many go through with an expression each.

    Raises:
        UsageError: fewer than one is to go through at once.
    """

    def __init__(self, bundle: Bundle, device: torch.device, expressions_at_once: int = 8, photos_at_once: int = 1) -> None:
        if min(expressions_at_once, photos_at_once) < 1:
            wrong = f"expressions_at_once is {expressions_at_once} and photos_at_once {photos_at_once}"
            raise UsageError(f"{wrong}: at least one must go through the network", hint="choose 1 or more")
        self._model = bundle.model.to(device).eval()
        self._config = bundle.config
        self._device = device
        self.expressions_at_once = expressions_at_once
        self.photos_at_once = photos_at_once
        self._vocabulary = Vocabulary(bundle.tokenizer, bundle.config.tokens)
        self.tokenizer: PreTrainedTokenizerBase = bundle.tokenizer

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        device: str = "cpu",
        *,
        tokenizer: str | None = None,
        inference: Inference = AS_PUBLISHED,
        photos_at_once: int = 1,
    ) -> Segmenter:
        """Load weights from a folder, a run directory, an official `.pth` file, or the Hugging Face hub.

        Args:
            source: where the weights are; on the hub `org/name`, `org/name@revision` or `org/name:path/in/repository.pth`. An official
                `.pth` file is read as data, nothing in it is run; it is converted once, into `~/.cache/cmirnet` (or `CMIRNET_HOME`).
            device: auto, cpu, cuda, cuda:N or mps.
            tokenizer: local folder or hub id, for an official `.pth` file, which holds none; by default the one that lies beside it, else
                that of the published text encoder.
            inference: how the network is computed. As published by default; `Inference()` makes all optimizations that were measured
                to help, and then the segmenter cannot be saved.
            photos_at_once: how many images of a list are encoded together: meant for GPUs, takes more memory.

        Raises:
            WeightsError: nothing usable is there.
            UsageError: there is no such device, `photos_at_once` is less than 1, or the weights have their own tokenizer.
        """
        place = pick_device(device)
        if tokenizer:
            check_named(str(source), tokenizer)
        bundle = inference.prepare(load_weights(source, tokenizer), place)
        return cls(bundle, place, photos_at_once=photos_at_once)

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
            WeightsError: `scores` is not such a file.
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
            api: the hub's client, for another address or token than those configured.

        Raises:
            WeightsError: the hub cannot be reached or refuses, or `scores` is not such a file.
        """
        with TemporaryDirectory() as made:
            folder = Path(made) / "weights"
            self._save(folder, repo_id, scores, license)
            return upload(folder, repo_id, private=private, message=message, api=api)

    def _save(self, folder: Path, name: str, scores: str | Path | None, license: str | None) -> None:
        if isinstance(self.network, FastNetwork):
            raise UsageError("an optimized network cannot be saved", hint="load the weights again without `inference`, and save those")
        measured = read_scores(Path(scores)) if scores else None
        parameters = sum(parameter.numel() for parameter in self._model.parameters())
        card = model_card(name, self._config, parameters, measured, license)
        save_bundle(Bundle(self._model, self.tokenizer, self._config), folder, card)

    @property
    def network(self) -> Network:
        """The network behind the text encoder."""
        return self._model.network

    @property
    def text(self) -> TextEncoder:
        """The text encoder: (ids, keep) to words (B, T, D)."""
        return self._model.text

    @overload
    def predict(
        self,
        image: ImageLike,
        expressions: str | Sequence[str],
        *,
        threshold: float = ...,
        largest_component: bool = ...,
        soft: bool = ...,
        min_score: float = ...,
    ) -> Predictions: ...

    @overload
    def predict(
        self,
        image: list[Any] | tuple[ImageLike, ...],
        expressions: str | Sequence[str],
        *,
        threshold: float = ...,
        largest_component: bool = ...,
        soft: bool = ...,
        min_score: float = ...,
    ) -> list[Predictions]: ...

    def predict(
        self,
        image: ImageLike | list[Any] | tuple[ImageLike, ...],
        expressions: str | Sequence[str],
        *,
        threshold: float = THRESHOLD,
        largest_component: bool = False,
        soft: bool = False,
        min_score: float = 0.0,
    ) -> Predictions | list[Predictions]:
        """One mask for each expression; the work that sees no text is done once for each image. Threads may share a segmenter.

        Args:
            image: a path (EXIF orientation is applied), a PIL image, a NumPy array uint8 (H, W, 3) or a tensor (3, H, W), uint8 or
                floating from 0 to 1, all RGB; or a list of them, which gives a list of lists.
            expressions: one or many.
            threshold: a pixel is in the mask if its probability is higher.
            largest_component: whether only the largest connected part of each mask is kept.
            soft: whether `Prediction.probability` is kept, four bytes a pixel.
            min_score: a mask with a lower score is emptied.

        Raises:
            ImageError: an image cannot be read, or is an array of another kind.
            UsageError: an expression is empty.
        """
        mask_rule, checked = MaskRule(threshold, largest_component, min_score), _all_checked(expressions)
        images = (ImageExpressions(as_pixels(each), checked) for each in (image if isinstance(image, (list, tuple)) else [image]))
        predictions = self._predict(images, mask_rule, soft)
        if not isinstance(image, (list, tuple)):
            return Predictions(predictions)
        return [Predictions(islice(predictions, len(checked))) for _ in image]

    def predict_iter(
        self, pixels: Pixels, expressions: str | Sequence[str], mask_rule: MaskRule, *, soft: bool = False
    ) -> Iterator[Prediction]:
        """As `predict` of RGB pixels, uint8 (H, W, 3), one mask after the other: no more than a batch is in memory.

        Raises:
            ImageError: the pixels are of another kind.
            UsageError: an expression is empty.
        """
        return self._predict([ImageExpressions(as_pixels(pixels), _all_checked(expressions))], mask_rule, soft)

    def _predict(self, images: Iterable[ImageExpressions], mask_rule: MaskRule, soft: bool) -> Iterator[Prediction]:
        predictions = predict_batches(self, images, mask_rule)
        return predictions if soft else (replace(each, probability=None) for each in predictions)

    def too_long(self, expressions: str | Sequence[str]) -> list[str]:
        """Those expressions of which the network reads only the beginning, as they have more than `tokens` tokens."""
        return self._vocabulary.too_long(_all_checked(expressions))

    def unknown(self, expressions: str | Sequence[str]) -> list[str]:
        """Those expressions of which the tokenizer knows no word, such as an emoji: their masks owe nothing to them."""
        return self._vocabulary.unknown(_all_checked(expressions))

    @property
    def tokens(self) -> int:
        """How many tokens of an expression the network reads, its start and end marks included."""
        return self._config.tokens

    @torch.inference_mode()
    def encode_image(self, photos: Sequence[Pixels]) -> list[ImageFeatures]:
        """As `Predictor.encode_image`."""
        size = self._config.image_size
        images = np.stack([resized(pixels, size, size) for pixels in photos])
        return self._model.encode_image(normalise(torch.from_numpy(images).to(self._device))).rows()

    def probabilities(
        self, features: Sequence[ImageFeatures], expressions: Sequence[str], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[Probabilities]:
        """As `Predictor.probabilities`."""
        together = ImageFeatures.together(features) if self.photos_at_once > 1 else features[0].repeat(len(features))
        with self._vocabulary.tokenising:
            tokens = tokenise(self.tokenizer, expressions, self.tokens).to(self._device)
        for logits, size in zip(self._decode(together, tokens), sizes, strict=False):
            enlarged = F.interpolate(logits.unsqueeze(0), size=size, mode="bilinear", align_corners=False)[0]
            yield torch.softmax(enlarged, dim=0)[1].cpu().numpy()

    @torch.inference_mode()
    def _decode(self, features: ImageFeatures, tokens: Tokens) -> Tensor:
        """Logits (n, 2, S, S) of n rows."""
        words = self._model.encode_text(tokens.ids, tokens.keep)
        return self._model.decode(features, words, tokens.keep, auxiliary=False).main


def _all_checked(expressions: str | Sequence[str]) -> Sequence[str]:
    return list(map(checked_expression, [expressions] if isinstance(expressions, str) else expressions))
