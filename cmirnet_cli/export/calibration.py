"""Typical inputs of graphs, from which int8 takes the ranges of activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cmirnet_cli.export.parts import Part
from cmirnet_cli.export.preprocessing import SentenceReader, normalised, resized
from cmirnet_cli.export.quantization import Feed, to_int8
from cmirnet_cli.export.runtime import CPU, IDS, IMAGE, MASK, WORDS, open_session
from cmirnet_cli.export.samples import ExportSample
from cmirnet_cli.export.spec import TEXT, Input


def calibrate(folder: Path, parts: Sequence[Part], prepared: Input, samples: Sequence[ExportSample]) -> None:
    """Rewrite the fp32 graphs of an export in int8; that of the text goes last, as vision is calibrated with its words."""
    for part in reversed(parts):
        to_int8(folder / part.file, feeds(folder, part, prepared, samples))


def feeds(folder: Path, part: Part, prepared: Input, samples: Sequence[ExportSample]) -> Iterator[Feed]:
    """What a graph takes of one sample after the other."""
    reader = SentenceReader.of(folder, prepared)
    text = open_session(folder / TEXT, CPU) if WORDS in part.inputs else None
    for sample in samples:
        sentence = reader.read([sample.sentence])
        image = resized(sample.pixels, prepared.image_size, prepared.image_size)
        known: Feed = {IMAGE: normalised(image[None], prepared), IDS: sentence.ids, MASK: sentence.mask}
        if text is not None:
            known = {**known, WORDS: text.run([WORDS], {IDS: sentence.ids, MASK: sentence.mask})[0]}
        yield {name: known[name] for name in part.inputs}
