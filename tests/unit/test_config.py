"""Settings: the published recipe, the order of layers, and that every mistake is named with its place."""

from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

import cmirnet_cli as cmirnet
from cmirnet_cli.config import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    OwnBackbone,
    Settings,
    load_preset,
    preset_names,
    resolve,
    to_yaml,
    yaml_text,
)
from cmirnet_cli.config.published import family, recipe
from cmirnet_cli.errors import ConfigError

OPTIMIZER = ", ".join(f"optimizer.{name}" for name in ("decay_all", "layer_decay", "lr", "name", "options", "weight_decay"))


def problems(*args, **kwargs) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(*args, **kwargs)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value.message.splitlines()


def recipe_of(settings: Settings) -> dict[str, object]:
    schedule, loop = settings.schedule, settings.loop
    return {
        "lr": settings.optimizer.lr,
        "weight decay": settings.optimizer.weight_decay,
        "schedule": (schedule.epochs, schedule.warm_epochs, schedule.warm_slope, schedule.decay_start, schedule.power),
        "batch": loop.batch_size,
        "sizes": (settings.data.resize, settings.data.image_size),
        "best by": loop.select,
        "class weights": settings.loss.class_weights,
    }


SWIN_RECIPE = {
    "lr": 2e-5,
    "weight decay": 1e-2,
    "schedule": (30, 10, 0.05, 0.5, 0.9),
    "batch": 8,
    "sizes": (480, 480),
    "best by": "overall_iou",
    "class weights": (0.9, 1.1),
}
RESNET_RECIPE = {
    "lr": 5e-5,
    "weight decay": 1e-2,
    "schedule": (30, 5, 0.12, 0.4, 0.9),
    "batch": 32,
    "sizes": (520, 480),
    "best by": "mean_iou",
    "class weights": (0.9, 1.1),
}


def test_every_backbone_gets_the_recipe_published_for_its_family():
    recipes = {name: recipe_of(Settings(model=ModelConfig(backbone=name))) for name in get_args(OwnBackbone)}
    swins = dict.fromkeys(("swin-t", "swin-s", "swin-b", "swin-l", "swin-nano"), SWIN_RECIPE)
    assert recipes == swins | dict.fromkeys(("resnet50", "resnet101", "resnet-nano"), RESNET_RECIPE)


@pytest.mark.parametrize(("name", "hint"), [("swinb", "did you mean swin-b?"), ("vit", "choose one of resnet50, resnet101, swin-t")])
def test_an_unknown_backbone_is_of_no_family_and_has_no_recipe(name, hint):
    for ask in (family, recipe):
        with pytest.raises(ConfigError, match=f"there is no backbone '{name}'") as caught:
            ask(name)
        assert caught.value.hint.startswith(hint)


def test_the_default_network_is_the_published_one():
    assert ModelConfig() == ModelConfig(backbone="swin-b", fusion_width=512, text_width=768, graph_neighbours=9, drop_path=0.3)
    assert cmirnet.ModelConfig is ModelConfig


def test_what_goes_beyond_the_paper_is_off_by_default():
    settings = Settings()
    assert (settings.loop.ema_decay, settings.text.dropout, settings.data.flip) == (None, False, False)
    assert (settings.data.sample, settings.model.graph_padding) == ("referent", True)


def test_what_is_given_wins_over_the_recipe_and_the_rest_is_filled():
    settings = Settings.model_validate({"model": {"backbone": "resnet50"}, "optimizer": {"weight_decay": 0.5}, "loop": {"batch_size": 2}})
    assert (settings.optimizer.lr, settings.optimizer.weight_decay) == (5e-5, 0.5)
    assert (settings.loop.batch_size, settings.loop.select) == (2, "mean_iou")


def test_sections_given_as_objects_are_filled_where_they_were_silent():
    settings = Settings(model=ModelConfig(backbone="resnet50"), optimizer=OptimizerConfig(weight_decay=0.5), data=DataConfig(workers=0))
    assert settings.optimizer == OptimizerConfig(lr=5e-5, weight_decay=0.5)
    assert (settings.data.resize, settings.data.workers) == (520, 0)


def test_training_images_keep_the_published_proportion_at_another_size():
    assert resolve(flags={"model.backbone": "resnet50", "data.image_size": 96}).data.resize == 104
    assert resolve(flags={"model.backbone": "swin-b", "data.image_size": 96}).data.resize == 96


def test_only_published_trunks_start_from_imagenet():
    starts = {
        name: Settings(model=ModelConfig(backbone=name)).loop.backbone_weights
        for name in ("swin-b", "resnet50", "resnet-nano", "swin-nano")
    }
    assert starts == {"swin-b": "imagenet", "resnet50": "imagenet", "resnet-nano": "none", "swin-nano": "none"}


def test_a_backbone_of_timms_gets_the_recipe_of_swin_and_its_own_weights():
    settings = resolve(flags={"model.backbone": "timm/convnextv2_tiny.fcmae_ft_in22k_in1k_384"})
    assert (recipe_of(settings), settings.model.family, settings.loop.backbone_weights) == (SWIN_RECIPE, "timm", "imagenet")


@pytest.mark.parametrize("name", ["timm/", "timm/a b", "timm/org/name", "convnext_tiny"])
def test_a_name_that_no_backbone_can_have_is_refused_without_timm(name):
    assert f"there is no backbone '{name}'" in problems(flags={"model.backbone": name})[0]


def test_a_network_of_ones_own_has_its_own_start():
    assert resolve(overrides=["model.network=mine.nets:build"]).loop.backbone_weights == "none"
    (problem,) = problems(overrides=["model.network=mine:build", "loop.backbone_weights=imagenet"])
    assert "loop.backbone_weights (imagenet) is for CMIRNet, and model.network is mine:build" in problem
    assert "model.network" in problems(overrides=["model.network=../mine.py"])[0]


def test_terms_of_the_loss_are_known_or_functions_of_ones_own():
    terms = resolve(overrides=["loss.terms={cross_entropy: 1, dice: 0.5, mine:term: 2.0}"]).loss.terms
    assert terms == {"cross_entropy": 1.0, "dice": 0.5, "mine:term": 2.0}
    assert problems(overrides=["loss.terms={dise: 1}"])[0].startswith("loss.terms: there is no term 'dise'; did you mean dice?")
    assert "one of them must be more than 0" in problems(overrides=["loss.head_weights=[0, 0]"])[0]


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().optimizer.lr = 1.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fusion_width", 500),
        ("fusion_width", 0),
        ("fusion_width", 8),
        ("graph_neighbours", 21),
        ("graph_neighbours", 0),
        ("drop_path", 1.0),
        ("fusion_width", "512"),
        ("width", 3),
    ],
)
def test_impossible_networks_are_refused(field, value):
    with pytest.raises(ValidationError):
        ModelConfig.model_validate({field: value})


def test_every_setting_is_described_in_one_line():
    for section in Settings.model_fields.values():
        assert section.description
        descriptions = [field.description for field in section.annotation.model_fields.values()]
        assert all(text and "\n" not in text and len(text) <= 100 for text in descriptions)


def test_layers_win_in_their_order(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("optimizer: {lr: 0.1}\nloop: {seed: 1}\nschedule: {epochs: 1}\ndata: {workers: 1}\n")
    environ = {"CMIRNET_LOOP__SEED": "2", "CMIRNET_SCHEDULE__EPOCHS": "2", "CMIRNET_DATA__WORKERS": "2"}
    flags = {"schedule.epochs": 3, "data.workers": 3, "loop.batch_size": None}
    settings = resolve(preset, environ, flags, ["data.workers=4"])
    assert (settings.optimizer.lr, settings.loop.seed, settings.schedule.epochs, settings.data.workers) == (0.1, 2, 3, 4)
    assert settings.loop.batch_size == 8


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        ({"flags": {"data.dataset": "mine"}}, ("mine", None)),
        ({"flags": {"data.dataset": "mine", "data.split_by": "jsonl"}}, ("mine", "jsonl")),
        ({"environ": {"CMIRNET_DATA__DATASET": "mine"}}, ("mine", None)),
        ({"environ": {"CMIRNET_DATA__DATASET": "mine"}, "flags": {"data.split_by": "jsonl"}}, ("mine", "jsonl")),
        ({"overrides": ["data.dataset=mine"]}, ("mine", None)),
        ({"overrides": ["data.split_by=jsonl", "data.dataset=mine"]}, ("mine", "jsonl")),
        ({"flags": {"data.split_by": "google"}}, ("refcoco", "google")),
        ({"flags": {"data.dataset": "refcoco"}}, ("refcoco", "unc")),
    ],
)
def test_another_data_set_replaces_that_of_a_preset_with_its_split(layers, chosen):
    data = resolve("refcoco-swin-b", **layers).data
    assert (data.dataset, data.split_by) == chosen


def test_a_flag_that_chooses_the_trunk_chooses_its_recipe():
    assert recipe_of(resolve(flags={"model.backbone": "resnet101"})) == RESNET_RECIPE


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "0.0001", "+1.0e-4", "1.e-4"])
def test_numbers_are_read_however_they_are_written(text):
    assert resolve(environ={"CMIRNET_OPTIMIZER__LR": text}).optimizer.lr == 1e-4
    assert resolve(overrides=[f"optimizer.lr={text}"]).optimizer.lr == 1e-4


def test_values_are_yaml():
    settings = resolve(overrides=["loss.class_weights=[1, 2.5]", "text.dropout=true", "data.split_by=null", "data.cache=/tmp/a=b"])
    assert settings.loss.class_weights == (1.0, 2.5)
    assert settings.text.dropout is True
    assert settings.data.split_by is None
    assert settings.data.cache == Path("/tmp/a=b")


def test_the_home_folder_is_understood_in_a_cache_path():
    assert resolve(overrides=["data.cache=~/cache"]).data.cache == Path.home() / "cache"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("optimizer.lrr=1", "--set optimizer.lrr=1: there is no setting optimizer.lrr; did you mean optimizer.lr?"),
        ("lr=1", "--set lr=1: there is no setting lr; did you mean optimizer.lr?"),
        ("optimizer.batch_size=1", "--set optimizer.batch_size=1: there is no setting optimizer.batch_size; did you mean loop.batch_size?"),
        ("zzz=1", "--set zzz=1: there is no setting zzz"),
        ("optimizer=1", f"--set optimizer=1: optimizer is a group of settings: {OPTIMIZER}"),
        ("optimizer.lr", "--set optimizer.lr: expected --set section.name=value"),
        ("optimizer.lr=-1", "--set optimizer.lr=-1: optimizer.lr = -1: should be greater than 0"),
        ("optimizer.lr=.inf", "--set optimizer.lr=.inf: optimizer.lr = inf: should be a finite number"),
        ("optimizer.lr=fast", "--set optimizer.lr=fast: optimizer.lr = 'fast': should be a valid number"),
        ("optimizer.lr=", "--set optimizer.lr=: optimizer.lr = None: should be a valid number"),
        (
            "optimizer.lr=[",
            "--set optimizer.lr=[: '[' is not valid YAML: expected the node content, but found '<stream end>' in line 1, column 2",
        ),
        ("data.image_size=100", "--set data.image_size=100: data.image_size = 100: should be a multiple of 32"),
        ("loop.precision=fp8", "--set loop.precision=fp8: loop.precision = 'fp8': should be 'auto', 'fp32', 'bf16' or 'fp16'"),
        ("loop.ema_decay=1", "--set loop.ema_decay=1: loop.ema_decay = 1: should be less than 1"),
        ("loop.ema_decay=0", "--set loop.ema_decay=0: loop.ema_decay = 0: should be greater than 0"),
        ("data.sample=image", "--set data.sample=image: data.sample = 'image': should be 'referent' or 'sentence'"),
        ("data.flip=1", "--set data.flip=1: data.flip = 1: should be a valid boolean"),
        ("loss.class_weights=[1]", "--set loss.class_weights=[1]: loss.class_weights = [1]: Field required"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_remedy(given, problem):
    assert problems(overrides=[given]) == [problem]


def test_a_misspelt_trunk_gets_a_suggestion():
    assert problems(flags={"model.backbone": "swinb"})[0].endswith("did you mean swin-b?")


def test_all_mistakes_of_all_layers_are_reported_at_once(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("optimizer: {lr: fast}\nmodle: {backbone: swin-b}\n")
    environ = {"CMIRNET_OPTIMIZER_LR": "1", "CMIRNET_LOOP__BATCH_SIZE": "0"}
    assert problems(preset, environ, {"optimizer.lr": -1.0, "loop.batch_size": 4}, ["schedule.epochs=no"]) == [
        "6 settings are wrong",
        f"  {preset}: there is no setting modle.backbone; did you mean model.backbone?",
        f"  {preset}: optimizer.lr = 'fast': should be a valid number",
        "  CMIRNET_OPTIMIZER_LR: there is no setting optimizer_lr; did you mean optimizer.lr?",
        "  CMIRNET_LOOP__BATCH_SIZE: loop.batch_size = 0: should be greater than or equal to 1",
        "  --lr: optimizer.lr = -1.0: should be greater than 0",
        "  --set schedule.epochs=no: schedule.epochs = False: should be a valid integer",
    ]


def test_variables_that_name_no_section_are_left_alone():
    assert (
        resolve(
            environ={"CMIRNET_SHARED": "/data", "CMIRNET_DATASETS": "/x", "CMIRNET_MODELS": "/y", "PATH": "/bin", "_CMIRNET_COMPLETE": "x"}
        )
        == Settings()
    )


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ["text.source=scratch", "model.text_width=98"],
            "model.text_width (98) must be a multiple of text.scratch_heads (4), as text.source is scratch"
            " (given by --set text.source=scratch, --set model.text_width=98)",
        ),
        (
            ["loop.seed=1", "text.tokens=8", "text.dropout=true"],
            "model.graph_neighbours (9) cannot exceed text.tokens (8) (given by --set text.tokens=8)",
        ),
        (
            ["data.resize=96", "loop.seed=1"],
            "data.resize (96) must be at least data.image_size (480) (given by --set data.resize=96)",
        ),
        (
            ["schedule.warm_slope=0.25"],
            "schedule.warm_slope (0.25) brings the learning rate to -1.5 times lr, below 0 (given by --set schedule.warm_slope=0.25)",
        ),
    ],
)
def test_values_that_contradict_each_other_are_explained(overrides, problem):
    assert problems(overrides=overrides) == [problem]


def test_a_run_shorter_than_the_warm_phase_is_possible():
    assert resolve(flags={"schedule.epochs": 2}).schedule.warm_epochs == 10


def test_an_unknown_preset_names_the_nearest(tmp_path):
    assert problems("refcoco-swinb") == ["there is no preset 'refcoco-swinb'; did you mean refcoco-swin-b?"]
    assert problems(tmp_path / "no.yaml")[0].startswith(f"preset file {tmp_path / 'no.yaml'} does not exist; ")
    assert problems("zzz") == [f"there is no preset 'zzz'; choose one of {', '.join(preset_names())}"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"- a\n", "holds no settings"),
        (b"", "holds no settings"),
        (b"model: {\n", "is not valid YAML: expected the node content"),
        (b"\xff\xfe\x00", "is not valid YAML: 'utf-8' codec can't decode"),
        (b"model: !!python/object/apply:os.getcwd []\n", "is not valid YAML: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(content, problem, tmp_path):
    preset = tmp_path / "bad.yaml"
    preset.write_bytes(content)
    (message,) = problems(preset)
    assert message.startswith(str(preset))
    assert problem in message


def test_resolved_settings_are_read_back_unchanged(tmp_path):
    settings = resolve("demo", overrides=["optimizer.lr=2e-5", "data.dataset='1e-4'", "data.cache=/some/where"])
    kept = tmp_path / "config.yaml"
    kept.write_text(to_yaml(settings))
    assert resolve(kept) == settings
    assert settings.data.dataset == "1e-4"


def test_other_readers_of_yaml_see_the_same_numbers():
    numbers = yaml.safe_load(to_yaml(Settings()))["optimizer"]
    assert (numbers["lr"], numbers["weight_decay"]) == (2e-5, 0.01)


def test_a_header_may_run_over_several_lines(tmp_path):
    assert load_preset("smoke").purpose.endswith("before a long run.")
    assert "#" not in load_preset("smoke").data


def test_yaml_mistakes_name_line_and_column():
    with pytest.raises(ValueError, match="in line 2, column 5"):
        yaml_text.parse("a: 1\nb: [")
