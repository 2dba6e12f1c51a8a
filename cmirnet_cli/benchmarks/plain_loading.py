"""The plain way to load samples, as the published loaders do: files are opened, decoded, resized and outlines drawn anew each time.

The cache is measured against it and must give the same numbers, so nothing of the cache is used here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pycocotools import mask as coco
from torch.utils.data import BatchSampler, Dataset
from torchvision.transforms import functional as F
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import Batch, Tokens
from cmirnet_cli.batches.loader import Loader
from cmirnet_cli.config.published import IMAGENET_MEAN, IMAGENET_STD
from cmirnet_cli.errors import ImageError
from cmirnet_cli.images.pixels import UnreadableImageError, pil_at_work

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Original:
    """One sentence with the image file and the outlines that it refers to.

    Attributes:
        sent_id: REFER's id of the sentence.
        text: the sentence as written.
        file: the image file.
        upright: whether the file's EXIF orientation is applied.
        height, width: the size its outlines were drawn at, in pixels.
        objects: one segmentation per object, in one of COCO's forms.
        united: whether pixels that two parts of an object share belong to it; they are background otherwise.
    """

    sent_id: int
    text: str
    file: Path
    upright: bool
    height: int
    width: int
    objects: tuple[Any, ...]
    united: bool


@dataclass(frozen=True)
class Loaded:
    """One sample: image uint8 (S, S, 3) or normalised float32 (3, S, S), mask uint8 (S, S), ids and attention mask as T numbers each."""

    sent_id: int
    image: Pixels | NDArray[np.float32]
    mask: Pixels
    ids: list[int]
    attended: list[int]


class PlainSet(Dataset[Loaded]):
    """Sentences with their images at `size` × `size` pixels, normalised or not, and their ids cut or padded to `tokens`.

    Raises:
        ImageError: the photograph of a sample is gone or damaged.
    """

    def __init__(
        self, originals: Sequence[Original], size: int, tokenizer: PreTrainedTokenizerBase, tokens: int, *, normalised: bool = False
    ) -> None:
        self.originals = originals
        self.size = size
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.normalised = normalised

    def __len__(self) -> int:
        return len(self.originals)

    def __getitem__(self, item: int) -> Loaded:
        original = self.originals[item]
        sides = (self.size, self.size)
        image = _photograph(original).resize(sides, Image.Resampling.BILINEAR)
        mask = Image.fromarray(_mask(original)).resize(sides, Image.Resampling.NEAREST)
        ids = self.tokenizer.encode(original.text, add_special_tokens=True, verbose=False)[: self.tokens]
        padding = [0] * (self.tokens - len(ids))
        pixels = F.normalize(F.to_tensor(image), IMAGENET_MEAN, IMAGENET_STD).numpy() if self.normalised else np.asarray(image)
        return Loaded(original.sent_id, pixels, np.asarray(mask), ids + padding, [1] * len(ids) + padding)


def plain_batches(samples: PlainSet, batch_size: int, workers: int) -> Loader[Batch]:
    """The sentences in their order, a batch at a time; raises ImageError on the way if a photograph cannot be read any more."""
    in_order = BatchSampler(range(len(samples)), batch_size, drop_last=False)
    return Loader(partial(_batch, samples), in_order, workers)


def _batch(samples: PlainSet, items: Sequence[int]) -> Batch:
    rows = [samples[item] for item in items]
    return Batch(
        image=torch.from_numpy(np.stack([row.image for row in rows])),
        tokens=Tokens(torch.tensor([row.ids for row in rows]), torch.tensor([row.attended for row in rows], dtype=torch.bool)),
        target=torch.from_numpy(np.stack([row.mask for row in rows])),
        sent_ids=tuple(row.sent_id for row in rows),
    )


def _photograph(original: Original) -> Image.Image:
    try:
        with pil_at_work(), Image.open(original.file) as stored:
            return (ImageOps.exif_transpose(stored) if original.upright else stored).convert("RGB")
    except UnreadableImageError as error:
        hint = "put back the photographs that the cache was made from"
        raise ImageError(f"cannot load {original.file}: {error}", hint=hint) from error


def _mask(original: Original) -> Pixels:
    """uint8 (H, W): the parts of each object summed up, the objects united."""
    mask = np.zeros((original.height, original.width), np.uint8)
    for segmentation in original.objects:
        parts = [segmentation] if isinstance(segmentation, Mapping) else segmentation
        count = np.sum(coco.decode([_compressed(part, original.height, original.width) for part in parts]), axis=2)
        mask[count >= 1 if original.united else count == 1] = 1
    return mask


def _compressed(part: Any, height: int, width: int) -> Any:
    """A polygon or an RLE as COCO's compressed RLE."""
    if not isinstance(part, Mapping):
        return coco.frPyObjects([part], height, width)[0]
    return part if isinstance(part["counts"], str | bytes) else coco.frPyObjects(part, height, width)
