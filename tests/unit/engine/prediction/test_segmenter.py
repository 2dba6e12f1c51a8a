"""`Segmenter.predict`: every kind of image, many expressions, thresholds, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from torch.nn import functional as F

from cmirnet_cli.batches.batch import normalise, tokenise, word_tokenizer
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.engine.prediction.masks import MaskRule
from cmirnet_cli.engine.prediction.photo_files import find_photos
from cmirnet_cli.engine.prediction.predictor import predict_photos
from cmirnet_cli.engine.prediction.queries import ImageQuery
from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import ImageError, UsageError, WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig
from cmirnet_cli.weights.encoder import scratch_encoder

WORDS = ["the red cup", "left person", "dog", "the dog on the left", "cup on the right", "red", "person", "right one", "the cup"]
SIZE = 64


@pytest.fixture(scope="module", params=["resnet-nano", "swin-nano"])
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    """Random weights that find both classes in noise."""
    torch.manual_seed(0)
    config = ModelConfig(backbone=request.param, fusion_width=32, text_width=24)
    tokenizer = word_tokenizer(WORDS)
    encoder = scratch_encoder(TextConfig(source="scratch"), config.text_width, tokenizer)
    model = ReferringModel(build_network(config), TextEncoder(encoder))
    noise = torch.randn(4, 3, SIZE, SIZE), torch.randint(4, 9, (4, 20)), torch.ones(4, 20, dtype=torch.bool)
    with torch.no_grad():
        for _ in range(10):
            model.train()(*noise)
        background, referent = model.eval()(*noise).main.unbind(dim=1)
        model.network.heads[-1].bias[1] -= (referent - background).median()
    described = BundleConfig(model=config, encoder=encoder.config.to_dict(), tokens=20, image_size=SIZE, dataset="made")
    return Segmenter(Bundle(model, tokenizer, described), torch.device("cpu"), expressions_at_once=4)


@pytest.fixture(scope="module")
def in_threes(segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """The same weights, which look at three photos together."""
    folder = tmp_path_factory.mktemp("model") / "weights"
    segmenter.save_pretrained(folder)
    return Segmenter.from_pretrained(folder, photos_at_once=3)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def same(first: list, second: list) -> bool:
    return all(
        a.expression == b.expression and a.score == b.score and np.array_equal(a.mask, b.mask) for a, b in zip(first, second, strict=True)
    )


def test_a_mask_is_where_the_networks_enlarged_logits_favour_the_referent(segmenter: Segmenter, pixels: np.ndarray):
    image = np.array(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    tokens = tokenise(segmenter.tokenizer, ["the red cup"], 20)
    with torch.inference_mode():
        words = segmenter.text(tokens.ids, tokens.keep)
        logits = segmenter.network(normalise(torch.from_numpy(image).unsqueeze(0)), words, tokens.keep, words[:, 0]).main
    enlarged = F.interpolate(logits, size=pixels.shape[:2], mode="bilinear", align_corners=False)[0]
    (found,) = segmenter.predict(pixels, "the red cup")
    assert 0 < found.mask.mean() < 1
    assert np.array_equal(found.mask, enlarged.argmax(dim=0).bool().numpy())
    assert found.score == pytest.approx(enlarged.softmax(dim=0)[1].numpy()[found.mask].mean(), abs=1e-6)
    assert np.array_equal(coco.decode(found.rle()), found.mask)


def test_many_expressions_are_answered_as_each_alone(segmenter: Segmenter, pixels: np.ndarray):
    together = segmenter.predict(pixels, WORDS)
    alone = [segmenter.predict(pixels, text)[0] for text in WORDS]
    for many, one in zip(together, alone, strict=True):
        assert many.expression == one.expression
        assert many.score == pytest.approx(one.score, abs=1e-5)
        assert (many.mask != one.mask).mean() < 0.001


def test_every_kind_of_image_gives_the_same_masks(segmenter: Segmenter, pixels: np.ndarray, tmp_path: Path):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = segmenter.predict(pixels, WORDS[:2])
    planes = torch.from_numpy(pixels).permute(2, 0, 1)
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), planes, planes / 255, planes.double() / 255):
        assert same(segmenter.predict(image, WORDS[:2]), expected)


def test_a_list_of_images_is_answered_by_a_list_of_lists(segmenter: Segmenter, pixels: np.ndarray):
    other = Image.fromarray(pixels[:30])
    first, second = segmenter.predict([pixels, other], WORDS[:2])
    assert same(first, segmenter.predict(pixels, WORDS[:2]))
    assert same(second, segmenter.predict(other, WORDS[:2]))
    assert segmenter.predict([], "cup") == []


@pytest.mark.parametrize("expressions", [WORDS[:1], WORDS[:2], WORDS])
def test_photos_that_go_through_together_are_answered_as_one_by_one(segmenter: Segmenter, in_threes: Segmenter, expressions: list[str]):
    photos = [np.random.default_rng(n).integers(0, 256, (40 + 3 * n, 60 - 2 * n, 3), dtype=np.uint8) for n in range(5)]
    for photo, found in zip(photos, in_threes.predict(photos, expressions), strict=True):
        for together, alone in zip(found, segmenter.predict(photo, expressions), strict=True):
            assert together.expression == alone.expression
            assert together.score == pytest.approx(alone.score, abs=1e-5)
            assert together.mask.shape == photo.shape[:2]
            assert (together.mask != alone.mask).mean() < 0.001


def test_a_photos_answer_depends_on_no_photo_beside_it(in_threes: Segmenter, pixels: np.ndarray):
    others = [np.random.default_rng(n).integers(0, 256, (30, 90, 3), dtype=np.uint8) for n in range(4)]
    alone = in_threes.predict(pixels, WORDS[:2])
    for images, place in (([pixels, *others], 0), ([*others, pixels], 4), ([others[0], pixels, others[1]], 1)):
        assert same(in_threes.predict(images, WORDS[:2])[place], alone)


def test_an_answer_that_is_not_taken_does_not_come_with_the_next(in_threes: Segmenter, tmp_path: Path):
    for name in "abcd":
        Image.effect_noise((40, 30 + ord(name) % 7), 90).convert("RGB").save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    queries = [ImageQuery(photo, WORDS[:2]) for photo in find_photos([str(tmp_path)]).photos]
    taken = {}
    for result in predict_photos(in_threes, queries, MaskRule(), lambda done: None):
        name = result.query.photo.name.stem
        assert (result.problem is not None) == (name == "b")
        taken[name] = list(result.predictions) if name in "bd" else [next(result.predictions)]
    assert {name: [found.expression for found in results] for name, results in taken.items()} == {
        "a": WORDS[:1],
        "b": [],
        "c": WORDS[:1],
        "d": WORDS[:2],
    }
    assert same(taken["d"], in_threes.predict(tmp_path / "d.png", WORDS[:2]))


def test_no_expression_gives_no_mask(segmenter: Segmenter, pixels: np.ndarray):
    assert segmenter.predict(pixels, []) == []


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((0, 5, 3), np.uint8), torch.zeros(4, 5, 3), torch.full((3, 4, 5), 9.0), 7],
)
def test_an_array_of_another_kind_is_refused(segmenter: Segmenter, image: object):
    with pytest.raises(ImageError):
        segmenter.predict(image, "cup")


def test_a_picture_whose_white_is_unknown_is_refused(segmenter: Segmenter):
    with pytest.raises(ImageError, match="32 bits"):
        segmenter.predict(Image.fromarray(np.zeros((4, 5), np.float32)), "cup")


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_expression_is_refused(segmenter: Segmenter, pixels: np.ndarray, text: str):
    with pytest.raises(UsageError, match="empty"):
        segmenter.predict(pixels, ["cup", text])


@pytest.mark.parametrize("text", ["🍎", "الكوب الأحمر", "the cup " * 250, "x" * 5000, "\u202ecup", "a\tb\nc"])
def test_any_text_has_an_answer(segmenter: Segmenter, pixels: np.ndarray, text: str):
    assert segmenter.predict(pixels, text)[0].mask.shape == (50, 70)


def test_expressions_beyond_the_networks_tokens_are_named(segmenter: Segmenter):
    fits, cut = " ".join(["cup"] * 18), " ".join(["cup"] * 19)
    assert segmenter.too_long(["red", fits, cut]) == [cut]


@pytest.mark.parametrize("threshold", [0.0, 0.45, 0.5, 0.55, 1.0])
def test_a_threshold_is_a_probability_that_must_be_exceeded(segmenter: Segmenter, pixels: np.ndarray, threshold: float):
    (soft,) = segmenter.predict(pixels, "cup", soft=True)
    (found,) = segmenter.predict(pixels, "cup", threshold=threshold)
    assert np.array_equal(found.mask, soft.probability > threshold)
    assert found.probability is None


def test_eight_threads_get_what_one_gets(segmenter: Segmenter):
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (30 + n, 40, 3), dtype=np.uint8) for n in range(24)]
    asked = [WORDS[n % 5 : n % 5 + 3] for n in range(24)]
    expected = list(map(segmenter.predict, images, asked))
    with ThreadPoolExecutor(8) as threads:
        for found, wanted in zip(threads.map(segmenter.predict, images, asked), expected, strict=True):
            assert same(found, wanted)


def test_weights_that_give_nan_are_an_error_and_no_empty_mask(segmenter: Segmenter, pixels: np.ndarray):
    bias = segmenter.network.heads[-1].bias
    before = bias.detach().clone()
    torch.nn.init.constant_(bias, torch.nan)
    try:
        with pytest.raises(WeightsError, match="the network gives NaN for 'the red cup'"):
            segmenter.predict(pixels, "the red cup")
    finally:
        bias.data.copy_(before)


@pytest.mark.parametrize("expressions", [[["the red cup"], ["dog"]], [3], [b"dog"], b"dog"])
def test_expressions_that_are_no_text_are_refused(segmenter: Segmenter, pixels: np.ndarray, expressions: object):
    with pytest.raises(UsageError, match="an expression is text, not"):
        segmenter.predict([pixels, pixels], expressions)  # type: ignore[arg-type]


def test_iterating_checks_pixels_as_predict_does(segmenter: Segmenter, pixels: np.ndarray):
    for wrong in (pixels / 255, pixels[..., 0], pixels.transpose(2, 0, 1), np.dstack([pixels, pixels[..., :1]])):
        with pytest.raises(ImageError, match="expected an RGB array"):
            next(segmenter.predict_iter(wrong, "dog", MaskRule()))


def test_no_images_at_once_would_give_nothing_and_are_refused(segmenter: Segmenter, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "weights")
    with pytest.raises(UsageError, match="photos_at_once 0"):
        Segmenter.from_pretrained(tmp_path / "weights", photos_at_once=0)


def test_a_tokenizer_beside_weights_that_have_their_own_is_refused(segmenter: Segmenter, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "weights")
    with pytest.raises(UsageError, match=r"a tokenizer is for official checkpoints; .*weights has its own"):
        Segmenter.from_pretrained(tmp_path / "weights", tokenizer=str(tmp_path / "weights"))


def test_one_expression_is_looked_up_whole(segmenter: Segmenter):
    assert segmenter.unknown("the red cup") == segmenter.too_long("the red cup") == []
    assert segmenter.unknown("🍎") == ["🍎"]
