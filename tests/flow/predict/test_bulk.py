"""`cmirnet predict` in bulk: archives, parquet files, the hub and the web give a folder's masks, in files that others read."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmirnet_cli.app import run
from cmirnet_cli.storage.place import Place
from tests.conftest import LocalHub
from tests.flow.conftest import Outcome
from tests.flow.predict.conftest import files, noise
from tests.flow.predict.test_storage import ASKED, lines_of, masks, rows

Cmirnet = Callable[..., Outcome]


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs that can be read."""
    folder = tmp_path_factory.mktemp("whole") / "photos"
    shutil.copytree(photos, folder)
    (folder / "3broken.jpg").unlink()
    return folder


@pytest.fixture(scope="module")
def expected(weights: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The lines of the road through folders."""
    out = tmp_path_factory.mktemp("local") / "out"
    assert run(["predict", str(weights), str(whole), "-r", *ASKED, "-o", str(out)]) == 0
    return lines_of(out)


def pictures(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(folder).items() if not name.endswith(".jpg.txt")}


def test_a_tar_and_parquet_files_give_the_masks_of_their_pictures(
    cmirnet: Cmirnet, weights: Path, whole: Path, expected: list[dict[str, Any]], tmp_path: Path
):
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for name, data in pictures(whole).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    names = list(pictures(whole))
    structs = [{"bytes": data, "path": name} for name, data in pictures(whole).items()]
    pq.write_table(pa.table({"image": structs}), tmp_path / "structs.parquet")
    pq.write_table(pa.table({"image": [str(whole / name) for name in names]}), tmp_path / "paths.parquet")
    done = cmirnet("predict", weights, tmp_path / "*.*", *ASKED, "-o", tmp_path / "out", "--format", "parquet", "--json")
    assert (done.code, done.data["images"], done.data["masks"], done.data["chunks"]) == (0, 21, 42, 3)
    wanted = {}
    for (image, expression), found in masks(expected).items():
        wanted[f"shard.tar/{image}", expression] = found
        for file in ("structs.parquet", "paths.parquet"):
            wanted[f"{file}/{names.index(image)}", expression] = found
    assert masks(rows(tmp_path / "out")) == wanted


@pytest.fixture
def server(whole: Path) -> Iterator[str]:
    """The photographs on a web server; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(whole))) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_addresses_on_the_web_are_predicted_on_and_their_signatures_told_nowhere(
    cmirnet: Cmirnet, weights: Path, server: str, expected: list[dict[str, Any]], tmp_path: Path
):
    (tmp_path / "pairs.csv").write_text(
        "image,expression\n" + "".join(f"{server}/{name}?sig=SECRET,the red cup\n" for name in ("0.jpg", "kitchen/1.png", "gone.png"))
    )
    done = cmirnet("predict", weights, "--pairs", tmp_path / "pairs.csv", "-o", tmp_path / "out", "--device", "cpu", "--traceback")
    assert done.code == 3
    found = lines_of(tmp_path / "out")
    host = server.removeprefix("http://")
    assert [(line["image"], line["error"]) for line in found] == [
        (f"{host}/0.jpg", None),
        (f"{host}/kitchen/1.png", None),
        (f"{host}/gone.png", f"cannot read {server}/gone.png: there is no such file or folder"),
    ]
    assert [line["rle"] for line in found[:2]] == [
        line["rle"] for line in expected if line["image"] in ("0.jpg", "kitchen/1.png") and line["expression"] == "the red cup"
    ]
    told = b"".join([done.out.encode(), done.err.encode(), *files(tmp_path / "out").values()])
    assert b"SECRET" not in told


def test_one_address_and_a_list_on_standard_input(
    cmirnet: Cmirnet, weights: Path, server: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = f"{server}/0.jpg\n\n{whole}/kitchen/1.png\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    done = cmirnet("predict", weights, "-", f"{server}/6.png?sig=SECRET", *ASKED, "-o", tmp_path / "out", "--json")
    assert (done.code, done.data["masks"]) == (0, 6)
    host = server.removeprefix("http://")
    assert [line["image"] for line in lines_of(tmp_path / "out")][::2] == ["6.png", f"{host}/0.jpg", f"{whole}/kitchen/1.png".strip("/")]


def test_a_repository_of_the_hub_gives_the_masks_of_a_folder(
    cmirnet: Cmirnet, weights: Path, whole: Path, expected: list[dict[str, Any]], local_hub: LocalHub, tmp_path: Path
):
    from huggingface_hub import HfFileSystem

    HfFileSystem.clear_instance_cache()
    local_hub.repositories["org/name"] = whole.parent
    done = cmirnet("predict", weights, "hf://org/name/photos", "-r", *ASKED, "-o", tmp_path / "out", "--format", "parquet", "--json")
    assert (done.code, done.data["masks"]) == (0, 14)
    assert masks(rows(tmp_path / "out")) == masks(expected)
    done = cmirnet("predict", weights, "hf://org/nothing/photos", *ASKED, "-o", tmp_path / "none")
    assert (done.code, "cannot read hf://org/nothing/photos: there is no such" in done.err) == (3, True)
    HfFileSystem.clear_instance_cache()


@pytest.fixture
def table(cmirnet: Cmirnet, weights: Path, photos: Path, tmp_path: Path) -> str:
    """A pattern of parquet files with seven images of two masks each, and a broken one."""
    done = cmirnet("predict", weights, photos, "-r", *ASKED, "-o", tmp_path / "out", "--format", "parquet", "--chunk", 3, "--json")
    assert done.code == 3
    return done.data["predictions"]


QUERY = "SELECT expression, count(*) AS masks, sum(area) AS area FROM {} WHERE error IS NULL GROUP BY expression ORDER BY expression"


def test_pandas_duckdb_and_datasets_read_the_rows(table: str, tmp_path: Path):
    pandas, duckdb = pytest.importorskip("pandas"), pytest.importorskip("duckdb")
    datasets = pytest.importorskip("datasets")
    files = sorted(Path(table).parent.glob("*.parquet"))
    frame = pandas.concat(map(pandas.read_parquet, files))
    assert (len(files), len(frame), int(frame["error"].notna().sum())) == (3, 15, 1)
    areas = frame[frame["error"].isna()].groupby("expression")["area"].sum().to_dict()
    assert duckdb.sql(QUERY.format(f"'{table}'")).fetchall() == [(name, 7, area) for name, area in sorted(areas.items())]
    assert duckdb.sql(f"SELECT rle.counts FROM '{table}' WHERE error IS NULL LIMIT 1").fetchall()[0][0]
    loaded = datasets.load_dataset("parquet", data_files=list(map(str, files)), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["rle"] for row in loaded] == [row["rle"] for row in rows(Path(table).parent)]
    assert loaded.features["box"].feature.dtype == "int32"


def test_a_changed_input_is_predicted_anew_and_an_unchanged_one_left_alone(cmirnet: Cmirnet, weights: Path, whole: Path, tmp_path: Path):
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name, data in pictures(whole).items():
        memory.pipe_file(f"/bucket/photos/{name.replace('/', '-')}", data)
    words = ["predict", weights, "memory://bucket/photos", "-e", "cup", "--device", "cpu", "--format", "parquet", "--chunk", 3, "--json"]
    first = cmirnet(*words, "-o", "memory://bucket/out")
    assert (first.code, first.data["images"], first.data["skipped"]) == (0, 7, 0)
    again = cmirnet(*words, "-o", "memory://bucket/out")
    assert (again.code, again.data["error"]["kind"]) == (2, "UsageError")
    skipped = cmirnet(*words, "-o", "memory://bucket/out", "--skip-existing")
    assert (skipped.data["images"], skipped.data["masks"], skipped.data["skipped"]) == (7, 7, 7)
    other = cmirnet(*words, "-o", "memory://bucket/out", "--skip-existing", "--threshold", 0.4)
    assert (other.code, "threshold was 0.5, now 0.4" in other.data["error"]["message"]) == (2, True)
    for name in ("kitchen-3.tiff", "kitchen-5.gif"):
        memory.rm(f"/bucket/photos/{name}")
    fewer = cmirnet(*words, "-o", "memory://bucket/out", "--skip-existing")
    assert (fewer.data["images"], fewer.data["skipped"], fewer.data["chunks"]) == (5, 3, 2)
    assert "1 chunk of an earlier run removed" in fewer.err
    anew = cmirnet(*words, "-o", "memory://bucket/out", "--overwrite")
    assert (anew.data["images"], anew.data["skipped"]) == (5, 0)
    assert sorted(name for name in memory.ls("/bucket/out", detail=False)) == [
        f"/bucket/out/{name}" for name in ("predictions-00000000.parquet", "predictions-00000001.parquet", "settings.json")
    ]


def exact(out: str) -> set[str]:
    """The names of all masks of a place, which are those that its lines name."""
    place = Place(out)
    lines = [json.loads(line) for name in place.names() if name.endswith(".jsonl") for line in place.read(name).splitlines()]
    there = set(place.below("masks"))
    assert there == {line["mask"] for line in lines if line["mask"]}
    assert not [name for name in place.names() if name.endswith(".stale")]
    return {name.removeprefix("masks/").partition(".")[0] for name in there}


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """Five photographs, a.png to e.png."""
    folder = tmp_path / "letters"
    folder.mkdir()
    for number, letter in enumerate("abcde"):
        (folder / f"{letter}.png").write_bytes(noise(number))
    return folder


def test_the_masks_of_images_that_move_to_another_chunk_stay(cmirnet: Cmirnet, weights: Path, letters: Path):
    fsspec.filesystem("memory").store.clear()
    out = "memory://bucket/out"
    words = ["predict", weights, letters, "-e", "cup", "--device", "cpu", "--chunk", 2, "-o", out, "--json"]
    assert cmirnet(*words).code == 0
    assert exact(out) == set("abcde")
    (letters / "a.png").unlink()
    done = cmirnet(*words, "--skip-existing")
    assert (done.data["images"], done.data["masks"], done.data["replaced"], exact(out)) == (4, 4, 2, set("bcde"))
    (letters / "d.png").write_bytes(b"broken")
    (letters / "b.png").unlink()
    assert cmirnet(*words, "--skip-existing", "--fail-fast").code == 3
    (letters / "d.png").unlink()
    assert cmirnet(*words, "--skip-existing").code == 0
    assert exact(out) == set("ce")


def test_an_earlier_run_is_whole_until_another_one_is_sure_to_begin(cmirnet: Cmirnet, weights: Path, letters: Path, tmp_path: Path):
    words = ["predict", weights, letters / "*.png", "--format", "parquet", "-o", tmp_path / "out"]
    assert cmirnet(*words, "-e", "cup", "--device", "cpu").code == 0
    before = files(tmp_path / "out")
    assert cmirnet(*words, "-e", "cup", "--overwrite", "--device", "cuda:99").code == 2
    assert files(tmp_path / "out") == before


def test_other_inputs_never_replace_earlier_results_without_a_word(cmirnet: Cmirnet, weights: Path, letters: Path, tmp_path: Path):
    (tmp_path / "day2").mkdir()
    (tmp_path / "day2" / "f.png").write_bytes(noise(6))
    out = tmp_path / "out"
    words = ["-e", "cup", "--device", "cpu", "--format", "parquet", "--chunk", 2, "-o", out, "--json"]
    assert cmirnet("predict", weights, letters, *words).code == 0
    before = files(out)
    other = cmirnet("predict", weights, tmp_path / "day2", *words, "--skip-existing")
    assert (other.code, f"inputs was {letters}, now {tmp_path}/day2" in other.data["error"]["message"]) == (2, True)
    other = cmirnet("predict", weights, letters, *words, "--skip-existing", "-r", "--text", "caption")
    assert (other.code, "recursive was False, now True, text was none, now caption" in other.data["error"]["message"]) == (2, True)
    assert files(out) == before
    both = cmirnet("predict", weights, letters, tmp_path / "day2", *words, "-e", "dog", "--skip-existing")
    assert (both.code, both.data["images"], both.data["masks"]) == (0, 6, 12)


def test_a_list_that_replaces_results_of_another_one_says_so(cmirnet: Cmirnet, weights: Path, letters: Path, tmp_path: Path):
    words = ["--device", "cpu", "--format", "parquet", "--chunk", 2, "-o", tmp_path / "out"]

    def pairs(images: str) -> list[object]:
        (tmp_path / "pairs.csv").write_text("image,expression\n" + "".join(f"{letters}/{image}.png,cup\n" for image in images))
        return ["predict", weights, "--pairs", tmp_path / "pairs.csv", *words]

    assert cmirnet(*pairs("abcd")).code == 0
    assert "replaced" not in cmirnet(*pairs("abcde"), "--skip-existing").err
    done = cmirnet(*pairs("abd"), "--skip-existing")
    assert (done.code, "warning: 2 chunks of an earlier run held other images or expressions and were replaced" in done.err) == (0, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["memory://a", "-e", "cup", "--overlay", "--coco", "c.json"], "--overlay, --coco cannot be written for storage"),
        (["memory://a", "-e", "cup", "--pairs", "{pairs}"], "--pairs and INPUT cannot be put together"),
        (["memory://a", "-e", "cup", "-o", "https://example.org/out"], "nothing can be written to https://example.org/out"),
        (["nosuch://a", "-e", "cup"], "nosuch:// is no address that fsspec knows"),
        (["photos", "-e", "cup", "--chunk", "9"], "--chunk means nothing here"),
        (["photos", "--text", "caption"], "--text means nothing here"),
        (["a.tar"], "there is no expression"),
    ],
)
def test_what_cannot_be_done_in_bulk_is_refused(cmirnet: Cmirnet, weights: Path, tmp_path: Path, words: list[str], told: str):
    (tmp_path / "pairs.csv").write_text("image,expression\nmemory://a/b.png,cup\n")
    done = cmirnet("predict", weights, *(word.format(pairs=tmp_path / "pairs.csv") for word in words))
    assert (done.code, told in done.err) == (2, True)


def test_fail_fast_leaves_nothing_of_the_chunk(cmirnet: Cmirnet, weights: Path, photos: Path, tmp_path: Path):
    done = cmirnet("predict", weights, photos, *ASKED, "-o", tmp_path / "out", "--format", "parquet", "--fail-fast")
    assert (done.code, "3broken.jpg" in done.err) == (3, True)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["settings.json"]


@pytest.mark.slow
def test_two_processes_share_the_chunks(weights: Path, photos: Path, table: str, tmp_path: Path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cmirnet_cli"]
    words = [
        "predict",
        str(weights),
        str(photos),
        "-r",
        *ASKED,
        "-o",
        str(tmp_path / "two"),
        "--format",
        "parquet",
        "--chunk",
        "3",
        "--json",
    ]
    done = subprocess.run([*launcher, *words], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (told["images"], told["masks"], told["broken"], told["chunks"]) == (8, 14, 1, 3)
    assert rows(tmp_path / "two") == rows(Path(table).parent)


@pytest.fixture
def by_query(whole: Path) -> Iterator[str]:
    """A web server that gives the photograph that `name` in the query says; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return super().translate_path(parse_qs(urlsplit(path).query)["name"][0])

        def log_message(self, *words: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(whole))) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/img"
        listening.shutdown()


def test_addresses_that_differ_in_their_query_have_masks_of_their_own(
    cmirnet: Cmirnet, weights: Path, by_query: str, expected: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def predict(*names: str) -> Outcome:
        lines = "".join(f"{by_query}?name={name}&sig=SECRET\n" for name in names)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        return cmirnet("predict", weights, "-", "-e", "the red cup", "-o", tmp_path / "out", "--skip-existing", "--json")

    wanted = {line["image"]: line["rle"] for line in expected if line["expression"] == "the red cup"}
    for names in (["0.jpg", "kitchen/1.png", "6.png"], ["6.png", "0.jpg", "kitchen/1.png"]):
        assert (done := predict(*names)).code == 0
        assert (done.data["masks"], done.data["skipped"]) == (3, 0)
        found = lines_of(tmp_path / "out")
        assert [line["rle"] for line in found] == [wanted[name] for name in names]
        assert len({line["mask"] for line in found}) == 3
        assert {str(file.relative_to(tmp_path / "out")) for file in tmp_path.glob("out/masks/**/*.png")} == {line["mask"] for line in found}
    assert predict("6.png", "0.jpg", "kitchen/1.png").data["skipped"] == 3
    assert b"SECRET" not in b"".join(files(tmp_path / "out").values())


@pytest.mark.parametrize("form", ["png", "parquet"])
@pytest.mark.parametrize("place", ["memory://beside/photos", "memory://beside", "local"])
def test_results_beside_or_above_the_photographs_are_not_predicted_on(
    cmirnet: Cmirnet, weights: Path, whole: Path, tmp_path: Path, place: str, form: str
):
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in ("0.jpg", "6.png"):
        memory.pipe_file(f"/beside/photos/{name}", (whole / name).read_bytes())
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    photo = "memory://beside/photos/0.jpg"  # which makes it bulk prediction for a folder, too
    inputs, out = ([tmp_path, photo], tmp_path) if place == "local" else (["memory://beside/photos", photo], place)
    words = ["predict", weights, *inputs, "-r", "-e", "cup", "--format", form, "--json", "--chunk", 1, "-o", out]
    first, again = cmirnet(*words), cmirnet(*words, "--skip-existing")
    assert (first.code, again.code) == (0, 0)
    assert first.data["images"] == again.data["images"] == again.data["skipped"] == 3
