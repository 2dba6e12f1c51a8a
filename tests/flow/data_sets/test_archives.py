"""The published archives are taken as they come: laid into the data folder, unpacked by `prepare-data`."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cmirnet_cli.scenes import write_scenes

PHOTOGRAPHS = "images/mscoco/images/train2014"
COUNTED = ["--split-by", "google", "--size", "32"]


@pytest.fixture
def packed(shared_data: Path, tmp_path: Path) -> Callable[..., Path]:
    """A data folder that holds nothing but RefCOCOg's archives, named as they are published, at the places that are asked for."""
    home = shared_data / "mini_refcocog_google_val"

    def pack(annotations: str = "refcocog.zip", photographs: str = "train2014.zip") -> Path:
        data = tmp_path / "data"
        zipped(data / annotations, {f"refcocog/{file.name}": file for file in (home / "refcocog").iterdir() if file.is_file()})
        zipped(data / photographs, {f"train2014/{file.name}": file for file in (home / PHOTOGRAPHS).iterdir()})
        return data

    return pack


def zipped(archive: Path, members: dict[str, Path]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("__MACOSX/train2014/._one.jpg", b"what a Mac leaves")
        for name, source in members.items():
            file.write(source, name)


@pytest.mark.parametrize(
    ("annotations", "photographs", "unpacked"),
    [
        ("refcocog.zip", "train2014.zip", "images/train2014"),
        ("refcocog.zip", "images/train2014.zip", "images/train2014"),
        ("annotations/refcocog.zip", "images/mscoco/images/train2014.zip", PHOTOGRAPHS),
    ],
)
def test_archives_give_the_same_cache_as_their_files(cmirnet, packed, shared_data, tmp_path, annotations, photographs, unpacked):
    data = packed(annotations, photographs)
    mini = shared_data / "mini_refcocog_google_val"
    plain = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", mini, "--out", tmp_path / "a", "--json")
    done = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "b", "--json")
    assert done.code == plain.code == 0, done.err
    assert done.data["splits"] == plain.data["splits"]
    assert f"unpacking {data / annotations}" in done.err
    original = mini / PHOTOGRAPHS
    assert {file.name: file.read_bytes() for file in (data / unpacked).iterdir()} == {
        file.name: file.read_bytes() for file in original.iterdir()
    }


def test_archives_are_unpacked_once(cmirnet, packed, tmp_path):
    words = ["prepare-data", "refcocog", *COUNTED, "--data", packed(), "--out"]
    assert cmirnet(*words, tmp_path / "a").code == 0
    again = cmirnet(*words, tmp_path / "b")
    assert again.code == 0
    assert "unpacking" not in again.err


def test_photographs_that_lie_in_folders_of_their_own_are_unpacked_once(cmirnet, tmp_path):
    write_scenes(tmp_path / "drawn", dataset="cups", images={"train": 2, "val": 1})
    data, drawn = tmp_path / "data", tmp_path / "drawn" / "cups"
    zipped(data / "cups.zip", {f"cups/{file.name}": file for file in drawn.iterdir() if file.is_file()})
    zipped(data / "train2014.zip", {f"train2014/{file.relative_to(drawn / 'images')}": file for file in drawn.glob("images/*/*")})
    words = ["prepare-data", "cups", "--split-by", "demo", "--size", "32", "--data", data, "--out"]
    assert [cmirnet(*words, tmp_path / out).code for out in ("a", "b")] == [0, 0]


def test_photographs_that_are_there_are_not_unpacked_again(cmirnet, packed, shared_data, tmp_path):
    data = packed()
    shutil.copytree(shared_data / "mini_refcocog_google_val" / PHOTOGRAPHS, data / "images")
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 0
    assert "train2014.zip" not in outcome.err


@pytest.mark.parametrize("photographs", ["train2014.zip", "refer/data/images/train2014.zip"])
def test_photographs_beside_annotations_in_refers_own_tree_are_found(cmirnet, packed, shared_data, tmp_path, photographs):
    data = packed("refer/data/refcocog.zip", photographs)
    if photographs == "train2014.zip":  # a stray one: they are unpacked where REFER has them
        shutil.copytree(shared_data / "mini_refcocog_google_val" / PHOTOGRAPHS, data / "refer/data" / PHOTOGRAPHS)
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 0, outcome.err
    assert not (data / "images").exists()


def test_instances_that_are_missing_are_unpacked_beside_the_refs(cmirnet, packed, shared_data, tmp_path):
    data = packed("refcocog.zip")
    home = data / "annotations" / "refcocog"
    home.mkdir(parents=True)
    shutil.copy(shared_data / "mini_refcocog_google_val/refcocog/refs(google).p", home)
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 0, outcome.err
    assert (home / "instances.json").is_file()


@pytest.mark.parametrize(("name", "kind"), [("refcocog.zip", "annotations"), ("train2014.zip", "photographs")])
def test_an_archive_of_other_things_is_named_and_leaves_no_folder(cmirnet, packed, tmp_path, name, kind):
    data = packed()
    zipped(data / name, {})
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 3
    assert f"{name} holds no {kind}" in outcome.err
    assert not (data / "images" / "train2014").exists()


def test_other_folders_of_photographs_do_not_stand_for_an_archive(cmirnet, packed, tmp_path):
    data = packed()
    (data / "images" / "saiapr_tc-12").mkdir(parents=True)
    (data / "images" / "saiapr_tc-12" / "1.jpg").touch()
    assert cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache").code == 0


def test_a_download_that_broke_off_is_named(cmirnet, packed, tmp_path):
    data = packed()
    whole = (data / "train2014.zip").read_bytes()
    (data / "train2014.zip").write_bytes(whole[: len(whole) // 2])
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 3
    assert "train2014.zip cannot be unpacked" in outcome.err
    assert not (data / "images" / "train2014").exists()


def test_a_photograph_that_is_damaged_in_its_archive_leaves_no_folder(cmirnet, packed, tmp_path):
    data = packed()
    content = bytearray((data / "train2014.zip").read_bytes())
    content[len(content) // 2] ^= 255
    (data / "train2014.zip").write_bytes(content)
    assert cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache").code == 3
    assert list((data / "images").iterdir()) == []


@pytest.mark.parametrize("name", ["../../escaped.jpg", "/tmp/escaped.jpg", "train2014/../../../escaped.jpg"])
def test_a_member_that_would_lie_elsewhere_is_refused(cmirnet, packed, tmp_path, name):
    data = packed()
    with zipfile.ZipFile(data / "train2014.zip", "a") as file:
        file.writestr(name, b"")
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 3
    assert "would go elsewhere" in outcome.err
    assert not list(tmp_path.rglob("escaped.jpg"))


def test_an_archive_that_would_fill_the_disk_is_refused(cmirnet, packed, tmp_path):
    data = packed()
    with zipfile.ZipFile(data / "train2014.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train2014/huge.jpg", bytes(1 << 24))
    outcome = cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache")
    assert outcome.code == 3
    assert "made to fill a disk" in outcome.err


def test_only_annotations_and_photographs_are_taken_out(cmirnet, packed, tmp_path):
    data = packed()
    with zipfile.ZipFile(data / "refcocog.zip", "a") as file:
        file.writestr("refcocog/run_me.py", b"")
    assert cmirnet("prepare-data", "refcocog", *COUNTED, "--data", data, "--out", tmp_path / "cache").code == 0
    assert not list(data.rglob("run_me.py"))
    assert not list(data.rglob("._one.jpg"))


def test_the_doctor_knows_what_is_not_unpacked_yet(cmirnet, packed, tmp_path):
    data = packed()
    words = ["doctor", "--data", data, "--cache", tmp_path, "--runs", tmp_path, "--json"]
    found = {finding["subject"]: finding for finding in cmirnet(*words).data["findings"]}
    assert found["refcocog (google)"]["severity"] == "note"
    assert f"{data / 'refcocog.zip'} and {data / 'train2014.zip'} not unpacked yet" in found["refcocog (google)"]["message"]
    assert "refcocog" not in found[str(data)]["message"]
    assert "refcoco (unc)" in found[str(data)]["message"]
