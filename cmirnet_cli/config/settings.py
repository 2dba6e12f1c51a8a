"""Every setting with its default and its one-line description: the only home of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    Strict,
    WithJsonSchema,
    model_validator,
)

from cmirnet_cli.config import yaml_text
from cmirnet_cli.config.published import IMAGE_SIZE, PUBLISHED, Family, OwnBackbone, family, recipe
from cmirnet_cli.errors import ConfigError, did_you_mean

SCRATCH = "scratch"
"""The `text.source` that stands for a small text encoder of one's own."""

Tracker = Literal["aim", "clearml", "comet_ml", "dvclive", "mlflow", "swanlab", "tensorboard", "trackio", "wandb"]
"""The trackers that accelerate knows."""


class _Section(BaseModel):
    """Frozen, strict about types, and closed: an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _published(name: str, description: str, **limits: Any) -> Any:
    """A field whose default depends on the backbone; outside `Settings` it is the one published for Swin."""
    return Field(default=PUBLISHED[name]["swin"], description=description, **limits)


def _known_backbone(name: str) -> str:
    """Refuse a name that no backbone can have."""
    try:
        family(name)
    except ConfigError as problem:
        raise ValueError(f"{problem.message}; {problem.hint}") from problem
    return name


BackboneName = Annotated[
    str,
    AfterValidator(_known_backbone),
    WithJsonSchema({"anyOf": [{"enum": list(get_args(OwnBackbone)), "type": "string"}, {"enum": ["timm/NAME"], "type": "string"}]}),
]
"""One of `OwnBackbone`, or `timm/NAME`."""


NAMED_FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
"""`package.module:function`."""
LOSS_TERMS = ("cross_entropy", "dice", "focal")
"""The terms of the loss that have a name of their own."""


def _names(value: Any) -> Any:
    """Names with commas between them, as typed, as a list; anything else as it is."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class ModelConfig(_Section):
    """The network. Its defaults are the published CMIRNet with Swin-B."""

    backbone: BackboneName = Field(default="swin-b", description="visual backbone; timm/NAME: any feature pyramid of timm's")
    network: Annotated[str, Field(pattern=NAMED_FUNCTION)] | None = Field(
        default=None, description="package.module:builder of your own network; null: CMIRNet"
    )
    fusion_width: int = Field(default=512, ge=16, multiple_of=8, description="channels of fusion, graph and decoder")
    text_width: int = Field(
        default=768, gt=0, description="channels of the text encoder's output; by default, as many as the encoder gives"
    )
    graph_neighbours: int = Field(default=9, ge=1, le=20, description="nearest text nodes of each visual node in the graph")
    graph_padding: bool = Field(default=True, description="whether padding may count as neighbouring words in the graph (published)")
    drop_path: float = Field(default=0.3, ge=0, lt=1, description="stochastic depth of the last Swin block, rising linearly from 0")

    @property
    def family(self) -> Family:
        """Which of the two published networks this is."""
        return family(self.backbone)

    @property
    def name(self) -> str:
        """What the network is called where a run is spoken of: the backbone, or the builder of the user's own."""
        return self.network or self.backbone


class TextConfig(_Section):
    """The text encoder and what of it is trained."""

    source: str = Field(
        default="google-bert/bert-base-uncased",
        min_length=1,
        description="hub id or folder of an encoder of transformers, or scratch: a small BERT of your own",
    )
    scratch_layers: int = Field(default=2, ge=1, description="encoder layers of a scratch text encoder")
    scratch_heads: int = Field(default=4, ge=1, description="attention heads of a scratch text encoder")
    tokens: int = Field(default=20, ge=2, le=8192, description="length that sentences are cut or padded to, up to what the encoder reads")
    sentence: Literal["auto", "cls", "eos", "mean"] = Field(
        default="auto",
        description="sentence: the first token (cls), the last real one (eos), their mean; auto: as the encoder has it",
    )
    train: Literal["published", "all", "none"] = Field(
        default="published", description="published: its layers but the last two, not its embeddings; none: it stays as it is"
    )
    dropout: bool = Field(default=False, description="dropout in the text encoder while training")


class DataConfig(_Section):
    """The prepared data and the size they are used at."""

    dataset: str | None = Field(default=None, min_length=1, description="data set; null: the only one that is prepared")
    split_by: str | None = Field(default=None, description="who split the data set (unc, umd, google, …); null: the only one prepared")
    cache: Annotated[Path, Strict(False), AfterValidator(Path.expanduser)] = Field(
        default=Path("cache"), description="folder with the prepared caches"
    )
    image_size: int = Field(default=IMAGE_SIZE, ge=64, multiple_of=32, description="height and width the network sees, in pixels")
    resize: int = _published("data.resize", "size training images are brought to before a random crop to image_size", gt=0)
    sample: Literal["referent", "sentence"] = Field(
        default="referent", description="an epoch takes one random sentence of each referent (published), or every sentence once"
    )
    flip: bool = Field(default=False, description="mirror half of the training images and swap left and right in their sentences")
    workers: int = Field(default=2, ge=0, description="processes that load data; 0: only the main one")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels, the smallest first, that images are brought to: before they are cropped in training, and to be scored."""
        return tuple(sorted({self.image_size, self.resize}))

    @model_validator(mode="after")
    def _crop_fits(self) -> DataConfig:
        if self.resize < self.image_size:
            raise ValueError(f"data.resize ({self.resize}) must be at least data.image_size ({self.image_size})")
        return self


class LossConfig(_Section):
    """The loss of every decoder level: the published cross-entropy, and terms beside it or in its place."""

    terms: dict[str, PositiveFloat] = Field(
        default={"cross_entropy": 1.0},
        min_length=1,
        description="cross_entropy (published), dice, focal or package.module:function, each with its weight",
    )
    class_weights: Annotated[tuple[PositiveFloat, PositiveFloat], Strict(False)] = Field(
        default=(0.9, 1.1), description="weights of background and referent in the cross-entropy"
    )
    head_weights: Annotated[tuple[NonNegativeFloat, ...], Strict(False)] | None = Field(
        default=None, description="deep supervision: weights of the heads, finest first; null: all the same (published)"
    )

    @model_validator(mode="after")
    def _terms_exist(self) -> LossConfig:
        unknown = [name for name in self.terms if name not in LOSS_TERMS and not re.fullmatch(NAMED_FUNCTION, name)]
        if unknown:
            hint = did_you_mean(unknown[0], [*LOSS_TERMS, "package.module:function"])
            raise ValueError(f"loss.terms: there is no term {unknown[0]!r}; {hint}")
        if self.head_weights is not None and not any(self.head_weights):
            raise ValueError("loss.head_weights: one of them must be more than 0")
        return self


class OptimizerConfig(_Section):
    """The optimiser: the published AdamW, or any other of timm's."""

    name: str = Field(default="adamw", pattern=r"^[a-z][a-z0-9_]*$", description="adamw (published), sgd, lion, muon, … as timm names them")
    lr: float = _published("optimizer.lr", "base learning rate", gt=0)
    weight_decay: float = Field(default=1e-2, ge=0, description="weight decay")
    decay_all: bool = Field(default=True, description="weight decay on all that is trained (published); false: not on biases and norms")
    layer_decay: float | None = Field(
        default=None, gt=0, le=1, description="factor of the learning rate from each block of the backbone to the one before; null: none"
    )
    options: dict[str, Any] = Field(
        default={}, description="further options of the optimiser, such as {momentum: 0.95} or {betas: [0.9, 0.99]}"
    )


class ScheduleConfig(_Section):
    """The learning rate over time. Published: a straight line down for `warm_epochs`, then a polynomial down to 0."""

    name: Literal["published", "cosine", "tanh", "step", "multistep", "poly", "wsd", "rsqrt", "constant"] = Field(
        default="published", description="published, or a schedule of timm's"
    )
    epochs: int = Field(default=30, ge=1, description="epochs of the whole run")
    warm_epochs: int = _published("schedule.warm_epochs", "published: epochs of the straight line", ge=0)
    warm_slope: float = _published("schedule.warm_slope", "published: how much the factor falls in each of these epochs", ge=0)
    decay_start: float = _published("schedule.decay_start", "published: factor that the polynomial starts from", ge=0, le=1)
    power: float = Field(default=0.9, gt=0, description="published: exponent of the polynomial")
    options: dict[str, Any] = Field(
        default={}, description="options of a timm schedule, such as {warmup_epochs: 2, warmup_lr: 1.0e-6, min_lr: 1.0e-6}"
    )

    @model_validator(mode="after")
    def _factor_stays_positive(self) -> ScheduleConfig:
        lowest = 1 - self.warm_slope * min(self.warm_epochs, self.epochs)
        if self.name == "published" and lowest < 0:
            raise ValueError(f"schedule.warm_slope ({self.warm_slope:g}) brings the learning rate to {lowest:g} times lr, below 0")
        if self.name == "published" and self.options:
            raise ValueError(f"schedule.options ({', '.join(self.options)}) are for timm's schedules: name one with schedule.name")
        return self


class TrainConfig(_Section):
    """The training loop."""

    batch_size: int = _published("loop.batch_size", "sentences in a batch, over all processes", ge=1)
    accumulate: int = Field(default=1, ge=1, description="pieces that each process computes a batch in, to save memory")
    gradient_checkpointing: bool = Field(default=False, description="compute activations twice instead of keeping them, to save memory")
    sync_batch_norm: bool = Field(default=False, description="batch norm over all processes; else each sees its own part (GPUs only)")
    clip_norm: float | None = Field(default=None, gt=0, description="largest norm of the gradient; null: no limit, as published")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="number format of the network; auto: fp16 on a CUDA device, as published, fp32 elsewhere"
    )
    compile: bool = Field(default=False, description="compile the network's parts with torch.compile: a slow first step, faster later ones")
    ema_decay: float | None = Field(
        default=None, gt=0, lt=1, description="decay per step of the moving average of weights that is validated and saved; null: none"
    )
    seed: int = Field(default=0, ge=0, description="seed of everything random")
    checkpoint_every: int = Field(default=1000, ge=1, description="steps between checkpoints; one more is written after every epoch")
    track: Annotated[tuple[Tracker, ...], Strict(False), BeforeValidator(_names)] = Field(
        default=(), description="trackers that get every step and epoch: a list, or names separated by commas"
    )
    tensorboard: bool = Field(default=False, description="old form of track: [tensorboard]; will be removed in version 0.3")
    validate_every: int = Field(default=1, ge=1, description="epochs between validations")
    select: Literal["overall_iou", "mean_iou"] = _published("loop.select", "validation score that decides which weights are best")
    backbone_weights: str = Field(
        default="imagenet", min_length=1, description="what the backbone starts from: imagenet (published), none (random), or a file"
    )
    init_from: str | None = Field(
        default=None, min_length=1, description="weights that the whole model starts from: folder, run, hub id or official .pth"
    )

    @property
    def trackers(self) -> tuple[Tracker, ...]:
        """Each tracker once, in the order given."""
        return tuple(dict.fromkeys((*self.track, *(("tensorboard",) if self.tensorboard else ()))))

    @model_validator(mode="after")
    def _compiled_or_recomputed(self) -> TrainConfig:
        if self.compile and self.gradient_checkpointing:
            raise ValueError("loop.compile and loop.gradient_checkpointing cannot be on together: one saves time, the other memory")
        return self


class Settings(_Section):
    """All settings. Defaults that depend on the backbone come from the published recipe of its family."""

    model: ModelConfig = Field(default=ModelConfig(), description="the network")
    text: TextConfig = Field(default=TextConfig(), description="the text encoder")
    data: DataConfig = Field(default=DataConfig(), description="the data")
    loss: LossConfig = Field(default=LossConfig(), description="the loss")
    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="the optimiser")
    schedule: ScheduleConfig = Field(default=ScheduleConfig(), description="the learning rate over time")
    loop: TrainConfig = Field(default=TrainConfig(), description="the training loop")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_the_recipe(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        filled = {name: _set_fields(section) for name, section in data.items()}
        backbone, size = _section_value(filled, "model", "backbone"), _section_value(filled, "data", "image_size")
        try:
            values = recipe(str(backbone), size if isinstance(size, int) else IMAGE_SIZE)
        except ConfigError:  # none is given, or one that the field refuses
            values = recipe(ModelConfig().backbone, size if isinstance(size, int) else IMAGE_SIZE)
        if _section_value(filled, "model", "network") is not None:
            values["loop.backbone_weights"] = "none"  # its builder knows where it starts
        for dotted, value in values.items():
            section, _, key = dotted.partition(".")
            fields = filled.setdefault(section, {})
            if isinstance(fields, dict):
                fields.setdefault(key, value)
        return filled

    @model_validator(mode="after")
    def _one_start(self) -> Settings:
        if self.loop.init_from and self.loop.backbone_weights not in ("imagenet", "none"):
            raise ValueError(
                f"loop.init_from ({self.loop.init_from}) brings the whole network: "
                f"loop.backbone_weights ({self.loop.backbone_weights}) cannot be given as well"
            )
        return self

    @model_validator(mode="after")
    def _own_network_starts_by_itself(self) -> Settings:
        if self.model.network and self.loop.backbone_weights != "none":
            raise ValueError(
                f"loop.backbone_weights ({self.loop.backbone_weights}) is for CMIRNet, and model.network is {self.model.network}"
            )
        return self

    @model_validator(mode="after")
    def _text_fits_the_network(self) -> Settings:
        if self.text.source == SCRATCH and self.model.text_width % self.text.scratch_heads:
            raise ValueError(
                f"model.text_width ({self.model.text_width}) must be a multiple of text.scratch_heads ({self.text.scratch_heads}), "
                f"as text.source is scratch"
            )
        if self.model.graph_neighbours > self.text.tokens:
            raise ValueError(f"model.graph_neighbours ({self.model.graph_neighbours}) cannot exceed text.tokens ({self.text.tokens})")
        return self


def _set_fields(section: Any) -> Any:
    """A section as a dict of the fields that were set; validation refuses anything that is not a section."""
    if isinstance(section, BaseModel):
        return {name: getattr(section, name) for name in section.model_fields_set}
    return dict(section) if isinstance(section, Mapping) else section


def _section_value(sections: Mapping[str, Any], section: str, key: str) -> Any:
    fields = sections.get(section)
    return fields.get(key) if isinstance(fields, dict) else None


def to_yaml(settings: Settings) -> str:
    """Every setting as YAML; `resolve` reads it back as a preset file."""
    return yaml_text.dump(settings.model_dump(mode="json"))
