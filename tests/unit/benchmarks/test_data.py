"""Comparing ways to load, with batches made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cmirnet_cli.batches.batch import Batch, Tokens, normalise
from cmirnet_cli.benchmarks.data import FirstBatches, choose_collate, require_identical, time_loading
from cmirnet_cli.benchmarks.plain_loading import Original
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import resolve
from cmirnet_cli.errors import CmirnetError, DataError, WeightsError


def batch(*sent_ids: int) -> Batch:
    rows = torch.arange(len(sent_ids), dtype=torch.uint8)
    image = rows.view(-1, 1, 1, 1).expand(-1, 8, 8, 3).contiguous()
    tokens = Tokens(torch.tensor([[7, sent_id, 8, 0] for sent_id in sent_ids]), torch.tensor([[True, True, True, False]] * len(sent_ids)))
    return Batch(image, tokens, image[..., 0].clone(), sent_ids)


def way(*batches: Batch) -> Callable[[], Iterable[Batch]]:
    return lambda: iter(batches)


def complaint(found: Batch) -> str:
    with pytest.raises(CmirnetError) as caught:
        require_identical({"plain": way(batch(1, 2), batch(3, 4)), "decoded": way(batch(1, 2), found)})
    return caught.value.message


def touched(tensor: torch.Tensor) -> torch.Tensor:
    """The same but for the last number of the last row."""
    other = tensor.clone()
    other.view(-1)[-1] = ~other.view(-1)[-1]
    return other


def test_same_batches_pass_and_are_counted():
    heard: list[int] = []
    same = way(batch(1, 2), batch(3, 4))
    require_identical({"plain": same, "decoded": same, "encoded": same}, heard.append)
    assert heard == [1, 1]


def test_one_pixel_is_enough_to_differ():
    wrong = replace(batch(3, 4), image=touched(batch(3, 4).image))
    assert complaint(wrong) == "decoded does not load what plain loads: the pixels of sentence 4"


def test_one_pixel_of_the_mask_is_enough_to_differ():
    assert complaint(replace(batch(3, 4), target=touched(batch(3, 4).target))).endswith("loads: the mask of sentence 4")


def test_one_token_is_enough_to_differ():
    tokens = batch(3, 4).tokens
    assert complaint(replace(batch(3, 4), tokens=Tokens(touched(tokens.ids), tokens.keep))).endswith("the tokens of sentence 4")
    assert complaint(replace(batch(3, 4), tokens=Tokens(tokens.ids, touched(tokens.keep)))).endswith("the attention mask of sentence 4")


def test_another_sentence_is_a_difference():
    assert complaint(batch(3, 5)).endswith("sentences (3, 5) instead of (3, 4)")


def test_the_first_that_differ_are_named_and_the_others_counted():
    assert complaint(replace(batch(4, 3), sent_ids=(3, 4))).endswith("the tokens of sentence 3, the tokens of sentence 4")
    wrong = replace(batch(4, 3), sent_ids=(3, 4), image=255 - batch(3, 4).image)
    assert complaint(wrong).endswith("the pixels of sentence 3, the pixels of sentence 4, the tokens of sentence 3 and 1 more")


def test_fewer_batches_are_a_difference():
    with pytest.raises(ValueError, match="shorter"):
        require_identical({"plain": way(batch(1), batch(2)), "decoded": way(batch(1))})


def test_normalised_pixels_are_compared_with_normalised_pixels():
    plain = batch(1, 2)
    require_identical({"plain": way(plain), "published": way(replace(plain, image=normalise(plain.image)))})
    with pytest.raises(CmirnetError, match="the pixels of sentence 2"):
        require_identical({"plain": way(plain), "published": way(replace(plain, image=-normalise(plain.image)))})


def first_batches(cache: Cache, samples: int, batch_size: int = 2) -> FirstBatches:
    settings = resolve(flags={"data.image_size": 64, "data.resize": 64, "data.workers": 0, "loop.batch_size": batch_size})
    return FirstBatches.of(cache, "train", settings, choose_collate(None, cache, "train", 20), samples)


def test_they_are_the_first_batches_that_training_takes(small_cache: Cache):
    short, whole = first_batches(small_cache, 5), first_batches(small_cache, 100)
    assert (short.sample_count, whole.sample_count) == (4, 6)
    assert [found.sent_ids for found in short.load()] == [found.sent_ids for found in whole.load()][:2]


def test_a_tokenizer_that_cannot_be_had_is_refused_with_options_of_this_command(small_cache: Cache, tmp_path: Path):
    with pytest.raises(WeightsError, match=r"tokenizer .* cannot be loaded") as caught:
        choose_collate(str(tmp_path / "nope"), small_cache, "train", 20)
    hint = str(caught.value.hint)
    assert [word for word in hint.split() if word.startswith("--")] == ["--tokenizer"]
    assert "the words of the data" in hint


def test_sentences_are_those_of_the_batches(small_cache: Cache):
    run = first_batches(small_cache, 6)
    assert [sent_id for _, sent_id in run.sentence_ids()] == [sent_id for found in run.load() for sent_id in found.sent_ids]
    assert len(run.sentence_ids()) == 6


def test_a_sample_that_the_original_data_lack_is_named(small_cache: Cache):
    run = first_batches(small_cache, 6)
    known = {key: Original(key[1], "", small_cache.folder, False, 1, 1, (), False) for key in run.sentence_ids()[:3]}
    ref_id, sent_id = run.sentence_ids()[3]
    with pytest.raises(DataError, match=f"no sentence {sent_id} of referent {ref_id}, which"):
        run.originals(known)


def test_less_than_a_batch_is_refused_with_the_numbers(small_cache: Cache):
    with pytest.raises(DataError, match=r"6 samples of train in .* do not fill one batch of 8"):
        first_batches(small_cache, 100, batch_size=8)


def test_every_round_loads_all_batches_and_the_threads_are_as_before(small_cache: Cache):
    loaded: list[int] = []

    def counted() -> Iterable[Batch]:
        for found in first_batches(small_cache, 6).load():
            loaded.append(len(found))
            yield found

    threads = torch.get_num_threads()
    timings = time_loading({"decoded": counted}, 6, 2, at_least=0)
    assert loaded == [2] * 6
    assert len(timings["decoded"].seconds) == 2
    assert torch.get_num_threads() == threads
