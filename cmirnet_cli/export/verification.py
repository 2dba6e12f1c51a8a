"""Reads an export back from the disk and has it prove that it computes what its weights compute.

Legend: B batch, S image side, H × W in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.batches.transforms import normalise
from cmirnet_cli.errors import ExportError, WeightsError
from cmirnet_cli.export.graph import require_standard
from cmirnet_cli.export.parity import TOLERANCES, Compared, Parity, compare
from cmirnet_cli.export.preprocessing import Floats, Pixels, SentenceReader, Sentences, normalised, resized
from cmirnet_cli.export.program import PROGRAM_FILE
from cmirnet_cli.export.runtime import CPU, ExportedModel
from cmirnet_cli.export.samples import ExportSample
from cmirnet_cli.export.spec import ExportSpec, read_spec, require_whole
from cmirnet_cli.model.cmirnet import STRIDE
from cmirnet_cli.weights.bundle import Bundle, load_bundle

Runner: TypeAlias = Callable[[Floats, Sentences], Floats]
"""Normalised images float32 (B, 3, H, W) and their sentences to logits float32 (B, 2, H, W)."""


def verify(folder: Path, reference: Bundle, samples: Sequence[ExportSample], source: str, advance: Callable[[int], object]) -> Parity:
    """Compare an export with its weights, in batches of 1 and of 3; where its graphs take any size, also at other sizes.

    Args:
        folder: the export.
        reference: the weights, loaded for this alone.
        samples: at least one; where they are fewer than four, the first ones are taken again.
        source: where the samples come from, in words.
        advance: told how many samples were compared.

    Raises:
        ExportError: the export is damaged, not standard, prepares its input otherwise, or does not agree.
    """
    spec = read_spec(folder)
    run, reader = open_runner(folder, spec), SentenceReader.of(folder, spec.input)
    batches: list[Compared] = []
    for batch, (height, width) in planned(samples, spec):
        images = np.stack([resized(sample.pixels, height, width) for sample in batch])
        batches.append(_compared(run, reader, spec, reference, images, [sample.sentence for sample in batch]))
        advance(len(batch))
    parity = Parity(source, len(samples), CPU if spec.format == "onnx" else None, TOLERANCES[spec.precision], tuple(batches))
    parity.require_within()
    return parity


def planned(samples: Sequence[ExportSample], spec: ExportSpec) -> Iterator[tuple[list[ExportSample], tuple[int, int]]]:
    """Batches with the height and width of their images: the first sample alone, then three at a time."""
    size = spec.input.image_size
    first, three, rest = list(samples[:1]), list(islice(cycle(samples), 1, 4)), samples[4:]
    yield first, (size, size)
    yield three, (size, size)
    yield from ((list(rest[start : start + 3]), (size, size)) for start in range(0, len(rest), 3))
    if spec.dynamic_size:
        yield first, (size + 2 * STRIDE, size + STRIDE)
        yield three, (size, size + STRIDE)


def open_runner(folder: Path, spec: ExportSpec) -> Runner:
    """What runs an export of any format on the CPU.

    Raises:
        ExportError: it cannot be loaded, or is not standard.
    """
    require_whole(folder, spec)
    return {"onnx": _onnx_runner, "torch": _program_runner, "safetensors": _weights_runner}[spec.format](folder)


@torch.inference_mode()
def reference_logits(reference: Bundle, images: Pixels, sentences: Sequence[str]) -> tuple[Floats, Sentences, Floats]:
    """Images uint8 (B, H, W, 3) and sentences as the weights' own program prepares them, and its logits float32 (B, 2, H, W)."""
    model = reference.model
    image = normalise(torch.from_numpy(images))
    tokens = tokenise(reference.tokenizer, sentences, reference.config.tokens)
    words = model.encode_text(tokens.ids, tokens.keep)
    logits = model.decode(model.encode_image(image), words, tokens.keep, auxiliary=False).main
    return image.numpy(), Sentences(tokens.ids.numpy(), tokens.keep.long().numpy()), logits.numpy()


def _compared(
    run: Runner, reader: SentenceReader, spec: ExportSpec, reference: Bundle, images: Pixels, sentences: Sequence[str]
) -> Compared:
    image, tokens, logits = reference_logits(reference, images, sentences)
    own_image, own_tokens = normalised(images, spec.input), reader.read(sentences)
    if not np.array_equal(own_image, image):
        raise ExportError("the export prepares images otherwise than its weights", hint="please report it")
    if not (np.array_equal(own_tokens.ids, tokens.ids) and np.array_equal(own_tokens.mask, tokens.mask)):
        raise ExportError(f"the export's tokenizer.json reads one of {sentences} otherwise than its weights", hint="please report it")
    return compare(run(own_image, own_tokens), logits)


def _onnx_runner(folder: Path) -> Runner:
    for graph in read_spec(folder).files:
        require_standard(folder / graph)
    return ExportedModel.open(folder, "cpu").logits


def _program_runner(folder: Path) -> Runner:
    module = torch.export.load(folder / PROGRAM_FILE).module()

    def run(image: Floats, sentences: Sentences) -> Floats:
        with torch.inference_mode():
            logits: Floats = module(*map(torch.from_numpy, (image, sentences.ids, sentences.mask))).numpy()
        return logits

    return run


def _weights_runner(folder: Path) -> Runner:
    try:
        model = load_bundle(folder).model
    except WeightsError as error:
        raise ExportError(f"the weights that were written cannot be read: {error.message}", error.hint) from error

    @torch.inference_mode()
    def run(image: Floats, sentences: Sentences) -> Floats:
        logits: Floats = model(*map(torch.from_numpy, (image, sentences.ids, sentences.mask.astype(bool)))).main.numpy()
        return logits

    return run
