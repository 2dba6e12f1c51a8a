"""`export.json`: what an export is, and how its input is prepared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cmirnet_cli.errors import ExportError, UsageError, first_line
from cmirnet_cli.files import sha256_of
from cmirnet_cli.weights.lookalikes import refuse_lookalikes

SCHEMA_VERSION = 1
SPEC_FILE = "export.json"
TOKENIZER_FILE = "tokenizer.json"
MODEL, TEXT, VISION = "model.onnx", "text.onnx", "vision.onnx"
AGAIN = "the export was changed or damaged; copy it again, or export the weights again"

Format = Literal["onnx", "torch", "safetensors", "official"]
ExportPrecision = Literal["fp32", "fp16", "int8"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class ExportOptions:
    """What is to be written; the fields are those of `ExportSpec`."""

    format: Format
    precision: ExportPrecision = "fp32"
    split: bool = False
    dynamic_size: bool = False


class ExportOrigin(BaseModel):
    """What was exported, and with what.

    Attributes:
        weights: as named on the command line.
        sha256: of `model.safetensors`.
        backbone: of the network, or the builder of the user's own.
        dataset: what the weights were trained on, as `<dataset>-<split_by>`; empty where that is not known.
        program: version of this program.
        libraries: name → version of those that took part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str
    sha256: str
    backbone: str
    dataset: str
    program: str
    libraries: dict[str, str]


class Input(BaseModel):
    """How images and sentences are prepared.

    Attributes:
        image_size: side in pixels that an RGB image is resized to, its aspect not kept.
        resize: PIL's filter.
        mean: subtracted from values of 0 to 1, per channel.
        std: divided by after that.
        tokens: a sentence is encoded with special tokens, cut to so many ids, and padded to as many.
        pad: the id that it is padded with.
        end: the id that a cut sentence still ends with, if it ended with it before; None: there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(ge=32, le=32768, multiple_of=32)
    resize: Literal["bilinear"] = "bilinear"
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
    tokens: int = Field(ge=2, le=8192)
    pad: int = Field(default=0, ge=0, lt=2**31)
    end: int | None = Field(default=None, ge=0, lt=2**31)


class ExportSpec(BaseModel):
    """All of `export.json`.

    Attributes:
        schema_version: of this file.
        format: of the graph files.
        precision: of their arithmetic.
        split: whether text and vision are two graphs.
        dynamic_size: whether they take any height and width that are multiples of 32.
        input: how it is prepared.
        origin: where it comes from.
        files: graph file → sha256.
        tokenizer: sha256 of `tokenizer.json`; None in exports from before it was noted, whose tokenizer is not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    format: Format
    precision: ExportPrecision
    split: bool
    dynamic_size: bool
    input: Input
    origin: ExportOrigin
    files: dict[str, str]
    tokenizer: str | None = None

    @model_validator(mode="after")
    def _graphs_are_those_of_its_form(self) -> ExportSpec:
        expected = {TEXT, VISION} if self.split else {MODEL}
        if self.format == "onnx" and set(self.files) != expected:
            raise ValueError(f"its graphs are {sorted(self.files)} where {sorted(expected)} belong")
        return self


def holds_export(folder: Path) -> bool:
    """Whether a folder is an export, of whatever format."""
    return (folder / SPEC_FILE).is_file()


def read_spec(folder: Path) -> ExportSpec:
    """What an export says of itself.

    Raises:
        ExportError: `export.json` is missing, damaged or of another schema version.
        WeightsError: it is a Git LFS pointer, a web page or the like.
    """
    path = folder / SPEC_FILE
    refuse_lookalikes([path], text=True)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            raise ExportError(f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION}", hint=AGAIN)
        return ExportSpec.model_validate(data)
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path} cannot be read: {first_line(error)}", hint=AGAIN) from error


def require_whole(folder: Path, spec: ExportSpec) -> None:
    """Compare every graph file, and the tokenizer's, with its digest.

    Raises:
        ExportError: one is missing, or is not what was written.
        WeightsError: one is a Git LFS pointer, a web page or the like.
    """
    digests = spec.files | ({TOKENIZER_FILE: spec.tokenizer} if spec.tokenizer else {})
    for name, digest in digests.items():
        path = folder / name
        refuse_lookalikes([path], text=True)
        if not path.is_file() or sha256_of(path) != digest:
            raise ExportError(f"{path} is not the file that was exported", hint=AGAIN)


def fingerprint(folder: Path) -> str:
    """The sha256 of `export.json`, which holds those of the other files: it names an export in results."""
    return sha256_of(folder / SPEC_FILE)


def require_apart(folder: Path, weights: Path) -> None:
    """Refuse to export into the place of the weights themselves, or of a folder that they lie in.

    Raises:
        UsageError: they lie in `folder`.
    """
    if weights.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{folder} holds the weights that are to be exported", hint="choose another place with --out")


def require_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Refuse to export to where something is: an export may be replaced with leave, anything else never.

    Raises:
        UsageError: something stands there that may not be replaced, or the place has no name of its own.
    """
    if folder.name in ("", ".."):
        raise UsageError(f"an export needs a folder of its own, and {folder} cannot be one", hint="name a new folder with --out")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not holds_export(folder) or any(inner.is_dir() for inner in folder.iterdir()):
        raise UsageError(f"{folder} exists already and holds other things than an export", hint="choose another place with --out")
    if not overwrite:
        raise UsageError(f"{folder} exists already", hint="choose another place with --out, or replace it with --overwrite")
