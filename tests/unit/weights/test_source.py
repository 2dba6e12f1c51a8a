"""What may stand for weights: folders, runs, official checkpoints, and repositories of the hub that hold one of these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.bundle import Bundle, save_bundle
from cmirnet_cli.weights.check import check_weights
from cmirnet_cli.weights.hub import HubName
from cmirnet_cli.weights.source import load_weights, locate, weights_folder

READERS = pytest.mark.parametrize("read", [load_weights, weights_folder, check_weights])


def refusal(read: Callable[[str], object], source: str | Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read(str(source))
    assert caught.value.hint
    return f"{caught.value.message} {caught.value.hint}"


@READERS
@pytest.mark.parametrize("name", ["model.onnx", "vision.onnx", "model.safetensors", "config.json", "model.pt2"])
def test_file_of_a_folder_is_refused_and_its_folder_is_hinted_at(tmp_path: Path, name: str, read: Callable[[str], object]):
    (tmp_path / name).write_bytes(b"\x08\x07\x12\x07pytorch")
    said = refusal(read, tmp_path / name)
    assert said == f"{tmp_path / name} is one file of a folder, and the whole folder is needed give the folder: {tmp_path}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("org/name", HubName("org/name", None, None)),
        ("org/name@v1.0", HubName("org/name", "v1.0", None)),
        ("org/name:refcoco.pth", HubName("org/name", None, "refcoco.pth")),
        ("my-org/a.b_c@refs/pr/1:weights/swin b/x.pth", HubName("my-org/a.b_c", "refs/pr/1", "weights/swin b/x.pth")),
    ],
)
def test_name_on_the_hub_says_repository_revision_and_file(text: str, name: HubName):
    assert HubName.parse(text) == name


@pytest.mark.parametrize("text", ["name", "a/b/c", "./runs/x", "/tmp/x.pth", "C:/x/y.pth", "org/name:", "org/name@", "~/x", "org/name@v 1"])
def test_what_is_no_name_on_the_hub_is_a_path(text: str):
    assert HubName.parse(text) is None


@READERS
def test_folder_with_several_checkpoints_lists_them_with_their_sizes(tmp_path: Path, read: Callable[[str], object]):
    for name, size in {"refcoco.pth": 1_500_000, "refcocog.pth": 250_000}.items():
        (tmp_path / name).write_bytes(bytes(size))
    said = refusal(read, tmp_path)
    assert "holds 2 checkpoints: refcoco.pth (1.5 MB), refcocog.pth (0.2 MB)" in said
    assert f"name one of them: {tmp_path}/refcoco.pth" in said


def test_folder_with_one_checkpoint_stands_for_it_and_its_tokenizer_is_found(tmp_path: Path):
    torch.save({"model": {}}, tmp_path / "refcoco.pth")
    assert locate(tmp_path).checkpoint == locate(tmp_path / "refcoco.pth").checkpoint == tmp_path / "refcoco.pth"
    assert locate(tmp_path).tokenizer is None
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    assert locate(tmp_path).tokenizer == locate(tmp_path / "refcoco.pth").tokenizer == str(tmp_path)


@pytest.mark.parametrize("bundle", ["resnet-nano"], indirect=True)
def test_weights_folder_stays_one_whatever_checkpoint_lies_in_it(bundle: Bundle, tmp_path: Path):
    save_bundle(bundle, tmp_path / "weights")
    torch.save({}, tmp_path / "weights" / "old.pth")
    assert locate(tmp_path / "weights").checkpoint is None
    assert weights_folder(tmp_path / "weights") == tmp_path / "weights"


@pytest.fixture
def repository(local_hub, tmp_path: Path) -> Path:
    """An empty repository `org/name` on the local hub."""
    local_hub.repositories["org/name"] = tmp_path / "repository"
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


@pytest.mark.parametrize("bundle", ["resnet-nano"], indirect=True)
@pytest.mark.parametrize("place", ["", "best"])
def test_repository_with_a_weights_folder_gives_it(bundle: Bundle, repository: Path, place: str, logits: Callable[[Bundle], torch.Tensor]):
    repository.rmdir()
    save_bundle(bundle, repository / place)
    (repository / "old.pth").write_bytes(b"x")
    assert torch.equal(logits(load_weights("org/name")), logits(bundle))


def test_repository_with_one_checkpoint_gives_it_and_its_tokenizer(repository: Path, local_hub):
    (repository / "weights").mkdir()
    (repository / "weights" / "refcoco.pth").write_bytes(b"numbers")
    (repository / "README.md").write_text("# read me")
    word_tokenizer(["red cup"]).save_pretrained(repository)
    for source in ("org/name", "org/name@main", "org/name:weights/refcoco.pth", f"org/name@{local_hub.commit('org/name')}"):
        found = locate(source)
        assert found.checkpoint.read_bytes() == b"numbers"
        assert (Path(found.tokenizer) / "tokenizer.json").read_bytes() == (repository / "tokenizer.json").read_bytes()
        assert found.checkpoint == Path(found.tokenizer) / "weights" / "refcoco.pth"
    assert not any("README" in line for line in local_hub.asked)


def test_repository_with_several_checkpoints_lists_them_and_gives_the_one_that_is_named(repository: Path, local_hub):
    for name, size in {"a/refcoco.pth": 2_500_000, "b/refcoco[1].pth": 1_000_000}.items():
        (repository / name).parent.mkdir()
        (repository / name).write_bytes(name[:1].encode() * size)
    said = refusal(locate, "org/name")
    assert "org/name holds 2 checkpoints: a/refcoco.pth (2.5 MB), b/refcoco[1].pth (1.0 MB)" in said
    assert "name one of them: org/name:a/refcoco.pth" in said
    assert not any("/resolve/" in line for line in local_hub.asked)
    assert locate("org/name:b/refcoco[1].pth").checkpoint.read_bytes()[:1] == b"b"
    assert not any("/a/refcoco.pth" in line for line in local_hub.asked)
    said = refusal(locate, "org/name:c.pth")
    assert "org/name has no file c.pth" in said
    assert "a/refcoco.pth (2.5 MB)" in said


def test_repository_without_weights_or_revision_or_at_all_is_refused(repository: Path):
    (repository / "README.md").write_text("# read me")
    assert "org/name holds no weights" in refusal(locate, "org/name")
    assert "no official checkpoint" in refusal(locate, "org/name:x.pth")
    assert "org/name@v9" in refusal(locate, "org/name@v9")
    assert "org/nothing" in refusal(locate, "org/nothing")


def test_what_was_fetched_once_is_there_without_the_hub(repository: Path, local_hub, monkeypatch: pytest.MonkeyPatch):
    (repository / "refcoco.pth").write_bytes(b"numbers")
    (repository / "other.pth").write_bytes(b"others")
    locate("org/name:refcoco.pth")
    asked = len(local_hub.asked)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert locate("org/name:refcoco.pth").checkpoint.read_bytes() == b"numbers"
    assert locate("org/name").checkpoint.name == "refcoco.pth"
    assert "org/name has no file other.pth" in refusal(locate, "org/name:other.pth")
    said = refusal(locate, "org/unknown:refcoco.pth")
    assert "HF_HUB_OFFLINE is set" in said
    assert "hf download org/unknown --local-dir" in said
    assert len(local_hub.asked) == asked


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\n", b"<!doctype html>"])
def test_lookalike_is_named_before_torch_would_read_it(tmp_path: Path, content: bytes):
    (tmp_path / "x.pth").write_bytes(content)
    for source in (tmp_path, tmp_path / "x.pth"):
        assert "x.pth is a" in refusal(check_weights, source)
