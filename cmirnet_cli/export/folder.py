"""Writes an export, which appears only when it has proved that it agrees with its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from cmirnet_cli import __version__
from cmirnet_cli.batches.batch import end_mark, padding
from cmirnet_cli.config.published import IMAGENET_MEAN, IMAGENET_STD
from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.graph import PROGRAM_FILE, parts_of, trace, write_graph
from cmirnet_cli.export.preprocessing import ExportSample, Samples
from cmirnet_cli.export.quantization import calibrate, to_fp16
from cmirnet_cli.export.readme import readme
from cmirnet_cli.export.runtime import MISSING
from cmirnet_cli.export.spec import SPEC_FILE, TOKENIZER_FILE, ExportOptions, ExportOrigin, ExportSpec, Format, Input
from cmirnet_cli.export.verification import OFFICIAL_FILE, PARITY_FILE, Parity, reference_logits, verify
from cmirnet_cli.files import replaced_folder, sha256_of
from cmirnet_cli.images.pixels import resized
from cmirnet_cli.weights.bundle import Bundle, write_bundle
from cmirnet_cli.weights.folder import MODEL_FILE
from cmirnet_cli.weights.to_official import official_checkpoint

SAMPLE_FILE = "sample.npz"
README_FILE = "README.md"
LIBRARIES = ("torch", "transformers", "tokenizers", "PIL")
ONNX_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ExportSource:
    """The weights: as named, the sha256 of their file, and what loads them, anew each time."""

    name: str
    sha256: str
    load: Callable[[], Bundle]


@dataclass(frozen=True)
class Exported:
    """What was written: graph file → bytes, and how it compares."""

    files: dict[str, int]
    parity: Parity


def require_libraries(format: Format) -> None:
    """Refuse to begin where the extra packages are missing that a format needs.

    Raises:
        ExportError: one of them is not installed.
    """
    if format != "onnx":
        return
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"export to ONNX needs packages that are not installed: {error}", hint=MISSING) from error


def export(
    source: ExportSource, target: Path, options: ExportOptions, samples: Samples, advance: Callable[[int], object] = lambda compared: None
) -> Exported:
    """Write an export, read it back, and compare it with freshly loaded weights; only then does it take its place.

    Args:
        source: the weights.
        target: the export's folder; an export that exists already is replaced.
        options: what to write.
        samples: what it is compared and calibrated on.
        advance: is called with how many samples were compared.

    Raises:
        ExportError: it does not agree, cannot be written, or needs packages that are not installed. Nothing is left behind.
        WeightsError: the weights cannot be loaded.
    """
    require_libraries(options.format)
    with replaced_folder(target, ExportError) as folder:
        spec = write_export(source, folder, options, samples)
        reference = source.load()
        parity = verify(folder, reference, samples.compared, samples.source, advance)
        _write_json(folder / PARITY_FILE, parity.described())
        _write_sample(folder / SAMPLE_FILE, reference, samples.compared[0])
        (folder / README_FILE).write_text(readme(spec, parity), encoding="utf-8")
        return Exported({name: (folder / name).stat().st_size for name in spec.files}, parity)


def write_export(source: ExportSource, folder: Path, options: ExportOptions, samples: Samples) -> ExportSpec:
    """Write all that running an export takes into an existing folder; it is not yet compared with its weights.

    Raises:
        ExportError: it cannot be written, or its tokenizer is not a file.
    """
    bundle = source.load()
    bundle.tokenizer.save_pretrained(folder)
    if not (folder / TOKENIZER_FILE).is_file():
        kind = type(bundle.tokenizer).__name__
        raise ExportError(f"the tokenizer {kind} is Python code and cannot be exported", hint="use one that has a tokenizer.json")
    prepared = Input(
        image_size=bundle.config.image_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        tokens=bundle.config.tokens,
        pad=padding(bundle.tokenizer),
        end=end_mark(bundle.tokenizer),
    )
    files = _write_model(bundle, folder, options, prepared, samples.calibrating)
    digests = {name: sha256_of(folder / name) for name in files}
    libraries = [*LIBRARIES, *(ONNX_LIBRARIES if options.format == "onnx" else ())]
    origin = ExportOrigin(
        weights=source.name,
        sha256=source.sha256,
        backbone=bundle.config.model.name,
        dataset=bundle.config.dataset,
        program=__version__,
        libraries={name: import_module(name).__version__ for name in libraries},
    )
    tokenizer = sha256_of(folder / TOKENIZER_FILE)
    spec = ExportSpec(**vars(options), input=prepared, origin=origin, files=digests, tokenizer=tokenizer)
    _write_json(folder / SPEC_FILE, spec.model_dump(mode="json"))
    return spec


def _write_model(bundle: Bundle, folder: Path, options: ExportOptions, prepared: Input, calibrating: Sequence[ExportSample]) -> list[str]:
    """Write the model into a folder; the names of the files.

    Raises:
        ExportError: it does not fit into such a file.
    """
    if options.format == "safetensors":
        write_bundle(bundle, folder)
        return [MODEL_FILE]
    if options.format == "official":
        torch.save(official_checkpoint(bundle), folder / OFFICIAL_FILE)
        return [OFFICIAL_FILE]
    parts = parts_of(bundle, split=options.split)
    programs = [trace(part, dynamic_size=options.dynamic_size) for part in parts]
    if options.format == "torch":
        buffer = BytesIO()  # where the disk is full, torch's own writer ends the whole process
        torch.export.save(programs[0], buffer)
        (folder / PROGRAM_FILE).write_bytes(buffer.getbuffer())
        return [PROGRAM_FILE]
    for part, program in zip(parts, programs, strict=True):
        write_graph(program, part, folder / part.file)
    if options.precision == "fp16":
        for part in parts:
            to_fp16(folder / part.file)
    if options.precision == "int8":
        calibrate(folder, parts, prepared, calibrating)
    return [part.file for part in parts]


def _write_sample(path: Path, reference: Bundle, sample: ExportSample) -> None:
    """The first sample as it goes in, and what the weights make of it."""
    size = reference.config.image_size
    pixels = resized(sample.pixels, size, size)[None]
    image, sentence, logits = reference_logits(reference, pixels, [sample.sentence])
    ids, mask, text = sentence.ids, sentence.mask, np.array([sample.sentence])
    np.savez_compressed(path, pixels=pixels, sentence=text, image=image, input_ids=ids, attention_mask=mask, logits=logits)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
