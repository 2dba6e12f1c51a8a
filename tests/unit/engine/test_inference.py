"""How a model is prepared to be asked, and how ways of asking are compared."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cmirnet_cli.batches.batch import tokenise
from cmirnet_cli.benchmarks.infer import Agreement, Way, inference_batches, own_copies, predict_all, predict_batch
from cmirnet_cli.benchmarks.stand_ins import random_bundle
from cmirnet_cli.engine.inference import AS_PUBLISHED, Inference
from cmirnet_cli.engine.prediction.masks import MaskRule
from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import UsageError
from cmirnet_cli.model.fast.names import OPTIMIZATIONS, optimizations_named
from cmirnet_cli.model.fast.optimizations import FastNetwork
from cmirnet_cli.weights.bundle import Bundle, save_bundle
from cmirnet_cli.weights.encoder import encoder_fingerprint

CPU = torch.device("cpu")
SAID = ("the red cup", "left person on the sofa")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle("resnet-nano", 96, SAID, **{"model.fusion_width": 128})


def test_names_as_typed_become_optimizations():
    assert optimizations_named("auto") == ("auto",)
    assert optimizations_named("auto, compile") == ("auto", "compile")
    assert optimizations_named("none") == ()
    assert optimizations_named("heads, winograd") == ("heads", "winograd")


def test_unknown_optimization_is_an_error_that_lists_the_known_ones():
    with pytest.raises(UsageError, match="no optimization 'winnograd'") as caught:
        Inference(optimizations=("winnograd",))
    assert all(name in str(caught.value.hint) for name in OPTIMIZATIONS)


def test_unknown_precision_is_an_error_that_lists_the_known_ones():
    with pytest.raises(UsageError, match="no precision 'fp16'") as caught:
        Inference(precision="fp16")
    assert caught.value.hint == "choose fp32 or bf16"


def test_packed_weights_are_neither_compiled_nor_taken_to_another_device():
    with pytest.raises(UsageError, match="'packed' cannot be compiled"):
        Inference(optimizations=("packed", "compile"))
    elsewhere = random_bundle("resnet-nano", 96, SAID)
    with pytest.raises(UsageError, match="'packed' does not apply to a network with resnet-nano") as caught:
        Inference(optimizations=("packed",)).prepare(elsewhere, torch.device("meta"))
    assert "on meta there are: batch-norm" in str(caught.value.hint)


def test_text_encoder_reads_the_same_words_with_packed_weights():
    bundle = random_bundle("resnet-nano", 96, SAID)
    plain = deepcopy(bundle.model.text)
    packed = Inference(optimizations=("packed",)).prepare(bundle, CPU).model.text
    assert nn.Linear not in map(type, packed.modules())
    assert encoder_fingerprint(packed.encoder) == encoder_fingerprint(plain.encoder)
    tokens = tokenise(bundle.tokenizer, SAID, 20)
    with torch.inference_mode():
        torch.testing.assert_close(packed(tokens.ids, tokens.keep), plain(tokens.ids, tokens.keep), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("threshold", [50, -0.1, float("nan")])
def test_threshold_that_is_no_probability_is_refused(threshold: float):
    with pytest.raises(UsageError, match=f"^the threshold {threshold:g} is not a probability$"):
        MaskRule(threshold)


def test_without_optimizations_the_model_stays_the_very_same(bundle: Bundle):
    assert Inference(optimizations=()).prepare(bundle, CPU).model is bundle.model
    assert Inference().on(CPU) == tuple(name for name in OPTIMIZATIONS if name != "compile")
    assert Inference(optimizations=("compile", "auto")).on(CPU) == tuple(name for name in OPTIMIZATIONS if name != "packed")


def test_every_way_answers_every_expression_and_the_exact_one_like_the_plain_one(bundle: Bundle):
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    (photo_and_words,) = inference_batches(bundle, [photo], SAID, CPU)
    ways = [Way.of("plain", AS_PUBLISHED, every_head=True), Way.of("fp32", Inference()), Way.of("bf16", Inference("bf16"))]
    models = own_copies(bundle, ways, CPU)
    plain, exact, rounded = (predict_batch(way, models[way.name], photo_and_words) for way in ways)
    assert plain.shape == exact.shape == rounded.shape == (len(SAID), 2, 96, 96)
    assert isinstance(models["fp32"].network, FastNetwork)
    assert Agreement.of([exact], [plain]).error < 1e-3 < Agreement.of([rounded], [plain]).error


def test_images_that_go_through_at_once_are_answered_like_one_by_one(bundle: Bundle):
    photos = list(np.random.default_rng(1).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8))
    plain, ours = Way.of("plain", AS_PUBLISHED, every_head=True), Way.of("one head", AS_PUBLISHED)
    together = inference_batches(bundle, photos, SAID, CPU, batch_size=2)
    assert [len(each) for each in together] == [4, 2]
    expected = torch.cat([predict_batch(plain, bundle.model, one) for each in together for one in each.one_by_one()])
    found = torch.cat(predict_all(ours, bundle.model, together))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    apart = (found[:, None] - expected).abs().amax(dim=(2, 3, 4))  # random weights hardly tell sentences from each other
    assert apart.argmin(dim=1).tolist() == list(range(6))


def test_agreement_is_counted_as_by_hand():
    plain = torch.zeros(1, 2, 2, 2)
    plain[0, 1, 0] = 1  # the upper row
    found = torch.zeros(1, 2, 2, 2)
    found[0, 1, 0, 0] = 1  # its left pixel
    agreement = Agreement.of([found], [plain])
    assert (agreement.pixels, agreement.iou) == (0.75, 0.5)
    assert agreement.error == pytest.approx(1 / float(plain.std()))


def test_masks_that_are_empty_everywhere_agree():
    nothing = torch.zeros(1, 2, 2, 2)
    nothing[0, 0, 0, 0] = 1
    assert Agreement.of([nothing], [nothing]).iou == 1.0


@pytest.mark.slow
def test_segmenter_with_a_optimized_network_finds_the_same_masks_and_refuses_to_be_saved(tmp_path: Path, bundle: Bundle):
    save_bundle(bundle, tmp_path / "weights")
    photo = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    plain, fast = (Segmenter.from_pretrained(tmp_path / "weights", inference=how) for how in (AS_PUBLISHED, Inference()))
    for one, other in zip(plain.predict(photo, SAID), fast.predict(photo, SAID), strict=True):
        assert (one.mask == other.mask).mean() >= 0.9995
    with pytest.raises(UsageError, match="optimized network cannot be saved"):
        fast.save_pretrained(tmp_path / "again")
    plain.save_pretrained(tmp_path / "again")
