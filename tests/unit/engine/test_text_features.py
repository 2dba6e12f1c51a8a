"""Text features in place of the text encoder: the same words, masks and losses; features of other encoders are refused by name."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from cmirnet_cli.cache.features import Dtype, TextFeatures, features_name
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.evaluation.loop import Evaluator, evaluate_split
from cmirnet_cli.engine.text_features import TextReader, features_for_training, matching_features
from cmirnet_cli.engine.training.callbacks import EpochReport, StepReport
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.run_directory import RunDirectory
from cmirnet_cli.engine.training.start import resumed_trainer, starting_bundle, starting_text
from cmirnet_cli.errors import CacheError, ConfigError, DataError
from cmirnet_cli.weights.bundle import Bundle, load_bundle, save_bundle

RECIPE: dict[str, dict[str, Any]] = {
    "model": {"backbone": "resnet-nano", "fusion_width": 32, "text_width": 24},
    "text": {"source": "scratch", "scratch_layers": 1, "train": "none"},
    "data": {"image_size": 64, "resize": 72, "workers": 0},
    "optimizer": {"lr": 1e-3},
    "schedule": {"epochs": 2},
    "loop": {"batch_size": 2, "backbone_weights": "none", "ema_decay": 0.9},
}
CPU = torch.device("cpu")


def settings(**changes: dict[str, object]) -> Settings:
    return Settings.model_validate(RECIPE | {name: RECIPE[name] | values for name, values in changes.items()})


def reader_of(bundle: Bundle) -> TextReader:
    return TextReader(bundle.model.text, bundle.tokenizer, bundle.config.tokens)


def store(cache: Cache, reader: TextReader, dtype: Dtype = "fp32") -> TextFeatures:
    return TextFeatures.write(cache, reader.spec("the test", dtype), reader.read(cache.distinct_sentences(), CPU, 5))


class Notes:
    """Listens and remembers what does not depend on the clock."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.scores: list[float | None] = []

    def step(self, report: StepReport) -> None:
        self.losses.append(report.loss)

    def epoch(self, report: EpochReport) -> None:
        self.scores += [report.overall_iou, report.mean_iou]


def trained(folder: Path, cache: Cache, chosen: Settings, features: TextFeatures | None, *, ruined: bool = False) -> tuple[Notes, Trainer]:
    """A whole run; `ruined` leaves the text encoder with nothing sensible to say."""
    trainer = Trainer(starting_bundle(chosen, cache), chosen, cache, CPU, features)
    if ruined:
        torch.nn.init.constant_(trainer.bundle.model.text.encoder.embeddings.word_embeddings.weight, math.nan)
    notes = Notes()
    digest = features.manifest.digest if features else None
    trainer.run(RunDirectory.create(folder, chosen, cache.manifest.fingerprint.key, digest), [notes])
    return notes, trainer


def network_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.bundle.model.network.state_dict()


@torch.inference_mode()
def test_features_are_what_the_library_s_encoder_says_of_each_sentence_alone(cache: Cache, minilm: Path):
    chosen = settings(text={"source": str(minilm)}, model={"text_width": 384})
    features = store(cache, reader_of(starting_bundle(chosen, cache)))
    encoder, tokenizer = AutoModel.from_pretrained(minilm), AutoTokenizer.from_pretrained(minilm)
    assert len(cache.distinct_sentences()) == 19
    for text in cache.distinct_sentences():
        asked = tokenizer(text, padding="max_length", truncation=True, max_length=20, return_tensors="pt")
        expected = encoder(**asked).last_hidden_state.numpy()
        assert asked["attention_mask"].sum() < 20
        np.testing.assert_allclose(features.words([text]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_features_do_not_depend_on_how_many_sentences_are_read_at_once(cache: Cache, evaluator: Evaluator, batch_size: int):
    reader, texts = TextReader(evaluator.model.text, evaluator.tokenizer, evaluator.tokens), cache.distinct_sentences()
    usual = np.concatenate(list(reader.read(texts, CPU, 8)))
    np.testing.assert_array_equal(np.concatenate(list(reader.read(texts, CPU, batch_size))), usual)


def test_evaluation_with_features_gives_the_same_scores_and_masks_bit_for_bit(cache: Cache, evaluator: Evaluator):
    keeping = replace(evaluator, keep_masks=True)
    usual = evaluate_split(keeping, cache, "val", 64, ["paper", "original"], controls=["shuffled-text"])
    features = store(cache, TextReader(evaluator.model.text, evaluator.tokenizer, evaluator.tokens))
    stored = evaluate_split(replace(keeping, features=features), cache, "val", 64, ["paper", "original"], controls=["shuffled-text"])
    assert all(score.rle for score in usual.sentences)
    assert stored == usual


def test_evaluation_reads_the_features_and_not_the_encoder(cache: Cache, evaluator: Evaluator):
    reader = TextReader(evaluator.model.text, evaluator.tokenizer, evaluator.tokens)
    spec = reader.spec("noise", "fp32")
    noise = np.random.default_rng(0).standard_normal((len(cache.distinct_sentences()), 20, spec.width)).astype(np.float32)
    features = TextFeatures.write(cache, spec, [noise])
    usual, other = (evaluate_split(each, cache, "val", 64, ["paper"]) for each in (evaluator, replace(evaluator, features=features)))
    assert usual != other


def test_half_precision_features_move_few_pixels(cache: Cache, evaluator: Evaluator):
    features = store(cache, TextReader(evaluator.model.text, evaluator.tokenizer, evaluator.tokens), "fp16")
    pairs = [evaluate_split(each, cache, "val", 64, ["paper"]).sentences for each in (evaluator, replace(evaluator, features=features))]
    for usual, half in zip(*pairs, strict=True):
        assert abs(usual.overlaps["paper"].union - half.overlaps["paper"].union) < 0.05 * 64 * 64


@pytest.mark.slow
def test_run_with_features_has_the_losses_scores_and_weights_of_one_that_asks_its_frozen_encoder(cache: Cache, tmp_path: Path):
    chosen = settings(data={"workers": 2})
    usual, asked = trained(tmp_path / "asked", cache, chosen, None)
    features = store(cache, reader_of(starting_bundle(chosen, cache)))
    stored, read = trained(tmp_path / "read", cache, chosen, features, ruined=True)
    assert stored.losses == usual.losses
    assert len(usual.losses) == 6
    assert (tmp_path / "read" / "weights" / "last" / "model.safetensors").is_file()
    ours, theirs = network_of(read), network_of(asked)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert stored.scores == usual.scores


def test_features_made_from_the_recipe_stand_in_for_the_encoder_that_the_run_starts_with(cache: Cache):
    chosen = settings()
    text, tokenizer = starting_text(chosen, cache)
    features = store(cache, TextReader(text, tokenizer, chosen.text.tokens))
    lines: list[str] = []
    begun = features_for_training(starting_bundle(chosen, cache), chosen, cache, lines.append)
    assert begun is not None
    assert begun.manifest == features.manifest
    assert lines == [
        f"using stored text features instead of the text encoder: {cache.folder / features.manifest.name} (fp32, made with the test)"
    ]


def test_text_encoder_of_a_run_is_the_same_with_and_without_its_network(cache: Cache, tmp_path: Path, minilm: Path):
    save_bundle(starting_bundle(settings(loop={"seed": 7}), cache), tmp_path / "given")
    wide = {"text_width": 384}
    for chosen in (
        settings(loop={"seed": 3}),
        settings(text={"source": str(minilm)}, model=wide),
        settings(loop={"init_from": str(tmp_path / "given")}),
    ):
        text, tokenizer = starting_text(chosen, cache)
        assert TextReader(text, tokenizer, 20).origin() == reader_of(starting_bundle(chosen, cache)).origin()


def test_cache_without_features_asks_the_encoder_and_says_nothing(cache: Cache):
    said: list[str] = []
    assert features_for_training(starting_bundle(settings(), cache), settings(), cache, said.append) is None
    assert said == []


def test_trained_encoder_has_no_use_for_features(cache: Cache):
    store(cache, reader_of(starting_bundle(settings(), cache)))
    chosen = settings(text={"train": "all"})
    assert features_for_training(starting_bundle(chosen, cache), chosen, cache) is None


@pytest.mark.parametrize(
    ("changes", "differs", "command"),
    [
        ({"loop": {"seed": 5}}, r"encoder is '\w{12}', not '\w{12}'$", "--set loop.seed=5"),
        ({"text": {"tokens": 22}}, r"encoder is '\w{12}', not '\w{12}', tokens is 20, not 22$", "--set text.tokens=22"),
    ],
)
def test_features_of_other_encoders_are_refused_with_what_differs_and_the_command_that_makes_the_right_ones(
    cache: Cache, changes: dict[str, dict[str, object]], differs: str, command: str
):
    name = store(cache, reader_of(starting_bundle(settings(), cache))).manifest.name
    chosen = settings(**changes)
    with pytest.raises(CacheError, match=rf"none of the text features in .*: {name} \(made with the test\): {differs}") as caught:
        features_for_training(starting_bundle(chosen, cache), chosen, cache)
    assert caught.value.hint.startswith(f"make them with: cmirnet cache-features {cache.folder} --set text.source=scratch")
    assert command in caught.value.hint


def test_features_of_another_tokenizer_are_refused_by_name(cache: Cache, minilm: Path):
    chosen = settings(text={"source": str(minilm)}, model={"text_width": 384})
    bundle = starting_bundle(chosen, cache)
    scratch = starting_bundle(settings(), cache)
    store(cache, TextReader(bundle.model.text, scratch.tokenizer, 20))
    with pytest.raises(CacheError, match=r"\(made with the test\): tokenizer is '\w{12}', not '\w{12}'$"):
        features_for_training(bundle, chosen, cache)


def test_right_features_are_found_beside_others(cache: Cache):
    bundles = [starting_bundle(settings(loop={"seed": seed}), cache) for seed in (1, 2, 3)]
    stored = [store(cache, reader_of(bundle)).manifest for bundle in bundles]
    found = [matching_features(cache, reader_of(bundle), "") for bundle in bundles]
    assert [each.manifest for each in found if each] == stored


def test_flips_leave_features_aside_and_say_so(cache: Cache):
    store(cache, reader_of(starting_bundle(settings(), cache)))
    chosen, said = settings(data={"flip": True}), []
    assert features_for_training(starting_bundle(chosen, cache), chosen, cache, said.append) is None
    assert said == ["text features are not used: data.flip changes sentences, and they are of the sentences as written"]


def test_frozen_encoder_with_dropout_is_refused(cache: Cache):
    chosen = settings(text={"dropout": True})
    with pytest.raises(ConfigError, match=r"text\.dropout is on, and the text encoder is frozen"):
        features_for_training(starting_bundle(chosen, cache), chosen, cache)


def run_of(folder: Path, cache: Cache, digest: str | None) -> RunDirectory:
    """A run that was begun with the features of this sha256, or without any."""
    return RunDirectory.create(folder, settings(), cache.manifest.fingerprint.key, digest)


@pytest.mark.slow
def test_resumed_run_with_features_ends_like_one_that_was_left_alone(cache: Cache, tmp_path: Path):
    features = store(cache, reader_of(starting_bundle(settings(), cache)), "fp16")
    alone, undisturbed = trained(tmp_path / "alone", cache, settings(), features)
    directory, notes = run_of(tmp_path / "run", cache, features.manifest.digest), Notes()
    Trainer(starting_bundle(settings(), cache), settings(), cache, CPU, features)._run_epoch(directory, [])
    resumed = resumed_trainer(directory, settings(), cache, CPU)
    directory.rewind(resumed.steps_taken, resumed.progress.epoch, settings())
    resumed.run(directory, [notes])
    assert resumed.features is not None
    assert notes.losses == alone.losses[3:]
    ours, theirs = network_of(resumed), network_of(undisturbed)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    kept = matching_features(cache, reader_of(load_bundle(directory.weights / "best")), "")
    assert kept is not None, "the features serve the weights that come of the run, too"


def test_run_that_was_begun_without_features_goes_on_without(cache: Cache, tmp_path: Path):
    store(cache, reader_of(starting_bundle(settings(), cache)))
    assert resumed_trainer(run_of(tmp_path / "run", cache, None), settings(), cache, CPU).features is None


def test_run_whose_features_are_gone_or_others_is_refused(cache: Cache, tmp_path: Path):
    reader = reader_of(starting_bundle(settings(), cache))
    digest = store(cache, reader).manifest.digest
    directory = run_of(tmp_path / "run", cache, digest)
    shutil.rmtree(cache.folder / features_name(reader.origin()))
    with pytest.raises(DataError, match=rf"text features of sha256 {digest[:12]}, .* has none of its text encoder"):
        resumed_trainer(directory, settings(), cache, CPU)
    other = store(cache, reader, "fp16").manifest.digest[:12]
    with pytest.raises(DataError, match=rf"text features of sha256 {digest[:12]}, .* has {other}"):
        resumed_trainer(directory, settings(), cache, CPU)
