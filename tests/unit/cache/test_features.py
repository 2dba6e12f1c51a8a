"""Text features in a cache: what was written is what is read, and nothing half is ever seen."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cmirnet_cli.cache.features import FeaturesSpec, TextFeatures, TextOrigin, all_features, features_name
from cmirnet_cli.cache.reader import Cache, Damage, verify
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.errors import CacheError
from cmirnet_cli.refer.referent import ReferDataset

Draw = Callable[..., ReferDataset]

TOKENS, WIDTH = 5, 6
SPEC = FeaturesSpec(TextOrigin("a" * 64, "b" * 64, TOKENS), "somebody/some-bert", "fp32", WIDTH)
OTHER = replace(SPEC, origin=replace(SPEC.origin, encoder="c" * 64), source="somebody/other-bert")


@pytest.fixture
def cache(draw: Draw, tmp_path: Path) -> Cache:
    write_cache(draw(), tmp_path / "drawn-made", CacheOptions(sizes=(16,)))
    return Cache.open(tmp_path / "drawn-made")


def numbers(cache: Cache, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(cache.distinct_sentences()), TOKENS, WIDTH)).astype(np.float32)


def in_fours(words: np.ndarray) -> Iterator[np.ndarray]:
    return (words[start : start + 4] for start in range(0, len(words), 4))


def written(cache: Cache, spec: FeaturesSpec = SPEC, seed: int = 0, **options: bool) -> TextFeatures:
    return TextFeatures.write(cache, spec, in_fours(numbers(cache, seed)), **options)


def test_distinct_sentences_stand_in_the_order_they_first_appear(draw: Draw, tmp_path: Path):
    dataset = draw(3)
    referents = dataset.referents[::-1]
    said = [sentence.text for referent in referents for sentence in referent.sentences]
    twice = replace(dataset, referents=(*referents, replace(referents[1], ref_id=9)))
    write_cache(twice, tmp_path / "twice", CacheOptions(sizes=(16,)))
    assert list(Cache.open(tmp_path / "twice").distinct_sentences()) == said
    assert len(set(said)) == len(said) == 6
    assert said != sorted(said)


def test_every_sentence_reads_back_bit_for_bit_in_any_order(cache: Cache):
    features, words, texts = written(cache), numbers(cache), cache.distinct_sentences()
    order = np.random.default_rng(1).permutation(len(texts)).tolist()
    found = features.words([texts[row] for row in order])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, words[order])
    with h5py.File(cache.folder / features.manifest.file.name, locking=False) as file:
        assert file["words"].chunks == (1, TOKENS, WIDTH), "a chunk for each sentence"


def test_half_precision_rounds_once_and_takes_half_the_room(cache: Cache):
    half = replace(SPEC, dtype="fp16")
    found = written(cache, half).words(cache.distinct_sentences())
    np.testing.assert_array_equal(found, numbers(cache).astype(np.float16).astype(np.float32))
    rows = len(cache.distinct_sentences())
    assert SPEC.size(rows) - half.size(rows) == rows * TOKENS * WIDTH * 2


def test_features_of_several_encoders_stand_side_by_side(cache: Cache):
    ours, theirs = written(cache, SPEC, 0), written(cache, OTHER, 1)
    texts = cache.distinct_sentences()
    np.testing.assert_array_equal(ours.words(texts), numbers(cache, 0))
    np.testing.assert_array_equal(theirs.words(texts), numbers(cache, 1))
    assert {each.facts for each in all_features(cache.folder)} == {SPEC, OTHER}


def test_features_are_read_in_other_processes(cache: Cache):
    features, texts = written(cache), list(cache.distinct_sentences())
    features.words(texts[:1])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(features.words, (texts,)), numbers(cache))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(features)).words(texts), numbers(cache))


def test_cache_with_features_verifies_and_opens(cache: Cache):
    written(cache)
    assert verify(cache.folder) == []
    assert Cache.open(cache.folder).manifest == cache.manifest


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.99])
def test_verify_names_the_features_in_which_one_bit_flipped(cache: Cache, place: float):
    name = written(cache).manifest.file.name
    data = bytearray((cache.folder / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (cache.folder / name).write_bytes(data)
    assert verify(cache.folder) == [Damage(name, "content differs from the manifest's sha256")]


def test_edited_manifest_is_refused_by_name(cache: Cache):
    path = cache.folder / written(cache).manifest.name / "manifest.json"
    path.write_text(path.read_text().replace("some-bert", "another-bert"))
    with pytest.raises(CacheError, match=rf"{path.parent.name}: manifest.json differs from its own digest") as caught:
        verify(cache.folder)
    assert caught.value.hint == f"delete that folder, and make the features again with: cmirnet cache-features {cache.folder}"


def test_manifest_of_another_folder_is_refused(cache: Cache):
    ours, theirs = (cache.folder / written(cache, spec).manifest.name / "manifest.json" for spec in (SPEC, OTHER))
    ours.write_text(theirs.read_text())
    with pytest.raises(CacheError, match=f"it belongs in {features_name(OTHER.origin)}"):
        all_features(cache.folder)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_damaged_features_are_refused_before_they_are_opened(cache: Cache, spoil: Callable[[Path], object]):
    manifest = written(cache).manifest
    spoil(cache.folder / manifest.file.name)
    for use in (lambda: TextFeatures(cache, manifest), lambda: TextFeatures.finished(cache, SPEC)):
        with pytest.raises(CacheError, match=r"are damaged: words\.h5 is missing or of the wrong length") as caught:
            use()
    assert caught.value.hint == f"delete that folder, and make the features again with: cmirnet cache-features {cache.folder}"


def test_features_without_a_manifest_are_named(cache: Cache):
    folder = cache.folder / written(cache).manifest.name
    (folder / "manifest.json").unlink()
    with pytest.raises(CacheError, match=f"the text features in {folder} have no manifest.json"):
        all_features(cache.folder)


def test_features_of_other_data_are_refused(cache: Cache, draw: Draw, tmp_path: Path):
    manifest = written(cache).manifest
    write_cache(draw(5), tmp_path / "other", CacheOptions(sizes=(16,)))
    with pytest.raises(CacheError, match="belong to another cache"):
        TextFeatures(Cache.open(tmp_path / "other"), manifest)


def test_words_of_another_shape_are_named(cache: Cache):
    features = written(cache)
    wrong = TextFeatures(cache, replace(features.manifest, facts=replace(SPEC, width=WIDTH + 1)))
    with pytest.raises(CacheError, match=r"words\.h5 is damaged: it holds float32 \(15, 5, 6\), not float32 \(15, 5, 7\)"):
        wrong.words(cache.distinct_sentences()[:1])


def test_sentence_that_the_cache_has_not_is_named(cache: Cache):
    with pytest.raises(CacheError, match="has no features of the sentence 'said by nobody'"):
        written(cache).words(["said by nobody"])


def test_number_that_half_precision_cannot_hold_is_refused_and_nothing_is_left(cache: Cache):
    huge = numbers(cache)
    huge[4, 2, 1] = 1e5
    before = sorted(cache.folder.iterdir())
    with pytest.raises(CacheError, match="not finite as float16") as caught:
        TextFeatures.write(cache, replace(SPEC, dtype="fp16"), in_fours(huge))
    assert caught.value.hint == "use --dtype fp32, or other weights"
    assert sorted(cache.folder.iterdir()) == before


def test_finished_features_are_found_and_those_that_differ_need_overwrite(cache: Cache):
    assert TextFeatures.finished(cache, SPEC) is None
    manifest = written(cache).manifest
    assert TextFeatures.finished(cache, replace(SPEC, source="the same by another name")).manifest == manifest
    with pytest.raises(CacheError, match="holds features that are fp32, not fp16") as caught:
        TextFeatures.finished(cache, replace(SPEC, dtype="fp16"))
    assert "--overwrite" in caught.value.hint


def test_features_are_replaced_with_leave_only(cache: Cache):
    written(cache)
    np.testing.assert_array_equal(written(cache, seed=1).words(cache.distinct_sentences()), numbers(cache, 0))
    np.testing.assert_array_equal(written(cache, seed=2, overwrite=True).words(cache.distinct_sentences()), numbers(cache, 2))
    assert verify(cache.folder) == []


def test_writers_at_the_same_time_end_with_the_same_features(cache: Cache):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=written, args=(cache,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert verify(cache.folder) == []
    assert [each.facts for each in all_features(cache.folder)] == [SPEC]


def test_same_numbers_make_the_same_bytes(cache: Cache):
    first = written(cache).manifest
    assert written(cache, overwrite=True).manifest == first


def test_interrupted_writer_leaves_the_cache_as_it_was(cache: Cache):
    before = sorted(cache.folder.iterdir())
    with pytest.raises(KeyboardInterrupt):
        TextFeatures.write(cache, SPEC, _interrupted())
    assert sorted(cache.folder.iterdir()) == before


def _interrupted() -> Iterator[np.ndarray]:
    yield np.zeros((4, TOKENS, WIDTH), np.float32)
    raise KeyboardInterrupt


def test_killed_writer_leaves_no_features_and_the_next_one_clears_up(cache: Cache):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=TextFeatures.write, args=(cache, SPEC, _killed_after(2, in_fours(numbers(cache)))))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert all_features(cache.folder) == []
    assert verify(cache.folder) == []
    np.testing.assert_array_equal(written(cache).words(cache.distinct_sentences()), numbers(cache))
    names = [path.name for path in cache.folder.iterdir()]
    assert sorted(names) == ["annotations.h5", "images-00000.h5", "manifest.json", features_name(SPEC.origin)]


def _killed_after(batches: int, words: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for number, some in enumerate(words):
        if number == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        yield some


def test_manifest_says_what_the_features_are(cache: Cache):
    written(cache)
    content = json.loads((cache.folder / features_name(SPEC.origin) / "manifest.json").read_text())
    origin = {"encoder": "a" * 64, "tokenizer": "b" * 64, "tokens": TOKENS}
    assert content["facts"] == {"origin": origin, "source": "somebody/some-bert", "dtype": "fp32", "width": WIDTH}
    assert (content["schema_version"], content["sentences"]) == (1, 15)
