"""Writing: the same bytes every time, whatever interrupts it, and nothing that only looks complete."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from cmirnet_cli.cache.estimate import estimate
from cmirnet_cli.cache.folder import find_cache
from cmirnet_cli.cache.reader import Cache, verify
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.staging import sole_writer, staging_folder
from cmirnet_cli.cache.writer import write_cache
from cmirnet_cli.errors import AnnotationError, CacheError, ImageError
from cmirnet_cli.refer.referent import ReferDataset

Draw = Callable[..., ReferDataset]
Content = Callable[[Path], dict[str, bytes]]

SMALL = CacheOptions(sizes=(8,))
WRITE = """
import pickle, sys
from pathlib import Path
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.cache.writer import write_cache
dataset, options = pickle.loads(Path(sys.argv[1]).read_bytes())
write_cache(dataset, Path(sys.argv[2]), options)
"""


def writer_process(dataset: ReferDataset, folder: Path, options: CacheOptions) -> subprocess.Popen[str]:
    job = folder.with_name(f"job-{options.store}-{options.sizes}.pickle")
    job.write_bytes(pickle.dumps((dataset, options)))
    return subprocess.Popen([sys.executable, "-c", WRITE, str(job), str(folder)], stderr=subprocess.PIPE, text=True)


def stop_after(steps: int) -> Callable[[int], None]:
    """Told of steps; interrupts when so many are done and one more."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if done > steps:
            raise KeyboardInterrupt

    return count


def test_two_runs_write_the_same_bytes_whatever_the_number_of_workers(draw: Draw, tmp_path: Path, content: Content):
    dataset, stores = draw(images=20), [CacheOptions(store=store, sizes=(8, 12)) for store in ("decoded", "encoded")]
    for options in stores:
        write_cache(dataset, tmp_path / f"one-{options.store}", options)
    time.sleep(1.1)  # a time stamp in the files would differ
    for options in stores:
        one, two = tmp_path / f"one-{options.store}", tmp_path / f"two-{options.store}"
        write_cache(dataset, two, options, workers=3)
        assert content(one) == content(two)
        assert sorted(content(one)) == ["annotations.h5", "images-00000.h5", "manifest.json"]


def test_a_killed_writer_costs_one_shard_and_leaves_no_trace(draw: Draw, tmp_path: Path, content: Content):
    dataset = draw(images=1100, height=6, width=6)
    write_cache(dataset, tmp_path / "undisturbed", SMALL)
    folder = tmp_path / "killed"
    process = writer_process(dataset, folder, SMALL)
    while not list(tmp_path.glob("killed.partial-*/images-00000.h5.sha256")):
        assert process.poll() is None, process.stderr and process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with pytest.raises(CacheError, match="is not finished"):
        Cache.open(folder)
    (kept,) = tmp_path.glob("killed.partial-*/images-00000.h5")
    inode = kept.stat().st_ino
    (kept.parent / ".cmirnet-dead.tmp").write_bytes(b"half a shard")
    write_cache(dataset, folder, SMALL)
    assert (folder / "images-00000.h5").stat().st_ino == inode
    assert content(folder) == content(tmp_path / "undisturbed")
    assert not list(tmp_path.glob("killed.*"))


@pytest.mark.slow
def test_writers_killed_at_any_moment_end_in_the_same_bytes(draw: Draw, tmp_path: Path, content: Content):
    dataset = draw(images=600, height=6, width=6)
    write_cache(dataset, tmp_path / "undisturbed", SMALL)
    folder = tmp_path / "killed"
    for delay in (0.3, 0.45, 0.6, 0.75):
        process = writer_process(dataset, folder, SMALL)
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert not folder.exists() or verify(folder) == []
    write_cache(dataset, folder, SMALL)
    assert content(folder) == content(tmp_path / "undisturbed")


def test_a_shard_that_was_damaged_meanwhile_is_written_again(draw: Draw, tmp_path: Path, content: Content):
    dataset = draw(images=600, height=6, width=6)
    manifest = write_cache(dataset, tmp_path / "undisturbed", SMALL)
    with pytest.raises(KeyboardInterrupt):
        write_cache(dataset, tmp_path / "resumed", SMALL, advance=stop_after(600 + 512))
    shard = staging_folder(tmp_path / "resumed", manifest.fingerprint.key) / "images-00000.h5"
    for place in (0.01, 0.5, 0.999):
        data = bytearray(shard.read_bytes())
        data[int(place * len(data))] ^= 128
        shard.write_bytes(data)
    write_cache(dataset, tmp_path / "resumed", SMALL)
    assert content(tmp_path / "resumed") == content(tmp_path / "undisturbed")


def test_what_is_being_written_again_does_not_look_complete_meanwhile(draw: Draw, tmp_path: Path):
    """A whole cache that could not be given its name, of which a shard then got lost."""
    dataset = draw(images=20)
    (tmp_path / "cache").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CacheError, match="cannot give"):
        write_cache(dataset, tmp_path / "cache", SMALL)
    (tmp_path / "cache").unlink()
    (staging,) = tmp_path.glob("cache.partial-*")
    assert verify(staging) == []
    (staging / "images-00000.h5").unlink()
    with pytest.raises(KeyboardInterrupt):
        write_cache(dataset, tmp_path / "cache", SMALL, advance=stop_after(20 + 10))
    assert not (staging / "manifest.json").exists()
    write_cache(dataset, tmp_path / "cache", SMALL)
    assert verify(tmp_path / "cache") == []


def test_two_writers_at_once_both_end_well(draw: Draw, tmp_path: Path, content: Content):
    dataset = draw(images=600, height=6, width=6)
    write_cache(dataset, tmp_path / "undisturbed", SMALL)
    processes = [writer_process(dataset, tmp_path / "shared", SMALL) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0), ("", 0)]
    assert content(tmp_path / "shared") == content(tmp_path / "undisturbed")
    assert not list(tmp_path.glob("shared.*"))


def test_a_writer_says_that_it_waits_for_another(draw: Draw, tmp_path: Path):
    dataset = draw()
    key = write_cache(dataset, tmp_path / "first", SMALL).fingerprint.key
    said: Queue[str] = Queue()
    with ThreadPoolExecutor(1) as pool:
        with sole_writer(staging_folder(tmp_path / "second", key), print):
            waiting = pool.submit(write_cache, dataset, tmp_path / "second", SMALL, notice=said.put)
            assert "another process is writing" in said.get(timeout=120)
            assert not waiting.done()
        assert waiting.result(timeout=120).fingerprint.key == key
    assert verify(tmp_path / "second") == []


def test_of_two_writers_with_different_options_one_wins_whole(draw: Draw, tmp_path: Path):
    dataset = draw(images=600, height=6, width=6)
    processes = [writer_process(dataset, tmp_path / "shared", CacheOptions(sizes=(size,))) for size in (8, 9)]
    reports = [process.communicate()[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert "CacheError" in "".join(reports)
    assert verify(tmp_path / "shared") == []
    assert len(Cache.open(tmp_path / "shared").referent_rows("train")) == 450


def test_a_complete_cache_of_the_same_data_is_left_as_it_is(draw: Draw, tmp_path: Path):
    dataset = draw()
    first = write_cache(dataset, tmp_path / "cache", SMALL)
    inode = (tmp_path / "cache/images-00000.h5").stat().st_ino
    assert write_cache(dataset, tmp_path / "cache", SMALL) == first
    assert (tmp_path / "cache/images-00000.h5").stat().st_ino == inode


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (CacheOptions(sizes=(9,)), r"sizes is \(8,\), not \(9,\)"),
        (CacheOptions(sizes=(8,), store="encoded"), "store is 'decoded', not 'encoded'"),
        (CacheOptions(sizes=(8,), overlap="union"), "overlap is 'paper', not 'union'"),
    ],
)
def test_other_options_are_refused_by_name_unless_overwriting(draw: Draw, tmp_path: Path, options: CacheOptions, named: str):
    dataset = draw()
    write_cache(dataset, tmp_path / "cache", SMALL)
    with pytest.raises(CacheError, match=named):
        write_cache(dataset, tmp_path / "cache", options)
    write_cache(dataset, tmp_path / "cache", options, overwrite=True)
    assert Cache.open(tmp_path / "cache").manifest.options == options
    assert sorted(path.name for path in tmp_path.glob("cache*")) == ["cache"]


def test_changed_data_are_refused_by_the_name_of_what_changed(draw: Draw, tmp_path: Path):
    dataset = draw()
    write_cache(dataset, tmp_path / "cache", SMALL)
    reworded = replace(dataset.referents[0], sentences=(replace(dataset.referents[0].sentences[0], text="other words"),))
    with pytest.raises(CacheError, match=r"referents is '[0-9a-f]{12}', not '[0-9a-f]{12}'"):
        write_cache(replace(dataset, referents=(reworded, *dataset.referents[1:])), tmp_path / "cache", SMALL)
    dataset.annotation_files[0].write_bytes(b"edited")
    with pytest.raises(CacheError, match="annotation_files is"):
        write_cache(dataset, tmp_path / "cache", SMALL)


def test_an_image_that_changed_is_noticed_also_if_its_file_is_as_long_as_before(draw: Draw, tmp_path: Path):
    dataset = draw(suffix=".bmp")
    write_cache(dataset, tmp_path / "cache", SMALL)
    path = dataset.images[3].path
    path.write_bytes(path.read_bytes()[:-30] + bytes(30))
    with pytest.raises(CacheError, match="images is '"):
        write_cache(dataset, tmp_path / "cache", SMALL)


def test_a_writer_does_not_go_on_with_what_was_begun_from_other_pixels(draw: Draw, tmp_path: Path, content: Content):
    dataset = draw(images=513, height=6, width=6, suffix=".bmp")
    with pytest.raises(KeyboardInterrupt):
        write_cache(dataset, tmp_path / "cache", SMALL, advance=stop_after(513 + 512))
    first = dataset.images[0].path
    first.write_bytes(first.read_bytes()[:-30] + bytes(30))
    write_cache(dataset, tmp_path / "cache", SMALL)
    write_cache(dataset, tmp_path / "undisturbed", SMALL)
    assert content(tmp_path / "cache") == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("name", ["a**b-jsonl", "own[1]-jsonl", "what?-jsonl", "thing.partial-first-jsonl"])
def test_a_name_that_could_mean_more_is_a_name_like_any_other(draw: Draw, tmp_path: Path, name: str):
    said: list[str] = []
    with sole_writer(staging_folder(tmp_path / name, "0123456789abcdef"), said.append):
        with pytest.raises(CacheError, match="is not finished"):
            Cache.open(tmp_path / name)
        (staging_folder(tmp_path / name, "0123456789abcdef") / "begun").touch()
    write_cache(draw(), tmp_path / name, SMALL, notice=said.append)
    assert verify(tmp_path / name) == []
    assert "holds an unfinished cache of other data or options" in said[0]
    assert find_cache(tmp_path) == tmp_path / name


def test_a_folder_that_is_no_cache_is_never_replaced(draw: Draw, tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years of work")
    with pytest.raises(CacheError, match="is not a cache"):
        write_cache(draw(), tmp_path / "thesis", SMALL, overwrite=True)
    assert (tmp_path / "thesis/chapter.tex").read_text() == "years of work"


@pytest.mark.parametrize("store", ["decoded", "encoded"])
def test_a_truncated_image_stops_the_writer_and_nothing_looks_complete(draw: Draw, tmp_path: Path, store: str):
    dataset = draw(suffix=".jpg")
    path = dataset.images[6].path
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"00006\.jpg"):
        write_cache(dataset, tmp_path / "cache", CacheOptions(store=store, sizes=(8,)), workers=2)
    assert not (tmp_path / "cache").exists()
    assert not list(tmp_path.glob("cache*/*.tmp"))


def test_a_cache_larger_than_the_disk_is_refused_before_it_is_begun(draw: Draw, tmp_path: Path):
    options = CacheOptions(sizes=(4_000_000,))
    assert estimate(draw(), options) > 8 * 3 * 4_000_000**2
    with pytest.raises(CacheError, match=r"at least 384,000,\d{3}\.\d MB are needed"):
        write_cache(draw(), tmp_path / "cache", options)
    assert not list(tmp_path.glob("cache*"))


def test_an_outline_that_is_nested_without_end_is_refused_by_the_name_of_its_referent(draw: Draw, tmp_path: Path):
    outline: list[object] = []
    for _ in range(100_000):
        outline = [outline]
    dataset = draw(images=1)
    deep = replace(dataset.referents[0], objects=(outline,))
    with pytest.raises(AnnotationError, match="ref 1000: its outline is nested too deeply"):
        write_cache(replace(dataset, referents=(deep,)), tmp_path / "cache", SMALL)
    assert not list(tmp_path.glob("cache*"))


@pytest.mark.parametrize("sizes", [(), (0,), (8, 8)])
def test_impossible_sizes_are_refused(sizes: tuple[int, ...]):
    with pytest.raises(CacheError, match="cannot have the sizes"):
        CacheOptions(sizes=sizes)
