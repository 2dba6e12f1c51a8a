"""Files that have the name of weights and are something else: each is called what it is, whichever reader meets it."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.config import ModelConfig, Settings, TextConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.weights.bundle import Bundle, load_bundle, save_bundle
from cmirnet_cli.weights.check import check_text
from cmirnet_cli.weights.checkpoint import read_checkpoint
from cmirnet_cli.weights.conversion import read_official
from cmirnet_cli.weights.encoder import load_encoder, load_tokenizer
from cmirnet_cli.weights.folder import require_plausible
from cmirnet_cli.weights.imagenet import load_start
from cmirnet_cli.weights.lookalikes import refuse_lookalikes

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 440473133\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in \xe2\x80\x93\n Hub</title></head></html>"
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


def archived() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"), io.BytesIO())
    return packed.getvalue()


KINDS = {
    POINTER: "is a Git LFS pointer for 440.5 MB",
    POINTER.replace(b"\n", b"\r\n"): "is a Git LFS pointer for 440.5 MB",
    b"version https://hawser.github.com/spec/v1\n": "is a Git LFS pointer,",
    b"/annex/objects/SHA256E-s12--ab.pth\n": "is a git-annex pointer",
    PAGE: "is a web page ('Sign in – Hub')",
    b"\xef\xbb\xbf\n<!-- saved -->\n<HTML lang=en>": "is a web page,",
    gzip.compress(PAGE): "is a web page ('Sign in – Hub')",
    DENIED: "is an XML document ('AccessDenied': 'Access Denied')",
    gzip.compress(bytes(100)): "is a gzip archive",
    archived(): "is a tar archive",
    b"7z\xbc\xaf\x27\x1c\x00\x04": "is a 7z archive",
    b"\x89HDF\r\n\x1a\n" + bytes(9): "is an HDF5 file",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00": "is a JPEG picture",
}
ONLY_AMONG_NUMBERS = {
    b"": "is empty",
    b"Entry not found\n": "is text, where numbers belong: 'Entry not found'",
    b'{"error": "Repository not found"}': 'is text, where numbers belong: \'{"error"',
}


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(WeightsError) as caught:
        read()
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(("content", "named"), (KINDS | ONLY_AMONG_NUMBERS).items(), ids=(KINDS | ONLY_AMONG_NUMBERS).values())
def test_file_of_numbers_is_called_what_it_is(tmp_path: Path, content: bytes, named: str):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert f"model.pth {named}" in refusal(lambda: refuse_lookalikes([path]))
    assert f"model.pth {named}" in refusal(lambda: read_checkpoint(path))


@pytest.mark.parametrize(("content", "named"), KINDS.items(), ids=KINDS.values())
def test_file_of_text_is_called_what_it_is(tmp_path: Path, content: bytes, named: str):
    (tmp_path / "vocab.txt").write_bytes(content)
    assert f"vocab.txt {named}" in refusal(lambda: refuse_lookalikes([tmp_path / "vocab.txt"], text=True))


@pytest.mark.parametrize("content", [*ONLY_AMONG_NUMBERS, b"[PAD]\n[UNK]\n<s>\nversion\n", "<unk>\n\u2581the\n".encode(), b"\xff\xfe\x00"])
def test_text_is_no_lookalike_where_text_belongs(tmp_path: Path, content: bytes):
    (tmp_path / "vocab.txt").write_bytes(content)
    refuse_lookalikes([tmp_path / "vocab.txt", tmp_path / "nowhere.txt"], text=True)


def test_what_torch_and_safetensors_write_is_no_lookalike(tmp_path: Path):
    BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)).save_pretrained(
        tmp_path
    )
    torch.save({"w": torch.ones(3)}, tmp_path / "zip.pth")
    torch.save({"w": torch.ones(3)}, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    refuse_lookalikes([path for path in tmp_path.iterdir() if path.suffix in (".pth", ".safetensors")])


@pytest.mark.parametrize("content", [POINTER, PAGE, DENIED], ids=["pointer", "page", "denied"])
@pytest.mark.parametrize("bundle", ["resnet-nano"], indirect=True)
def test_every_file_of_a_weights_folder_is_looked_at(bundle: Bundle, tmp_path: Path, content: bytes):
    save_bundle(bundle, tmp_path / "weights")
    files = sorted(path for path in (tmp_path / "weights").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in files}
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(content)
        said = refusal(lambda: load_bundle(tmp_path / "weights"))
        assert str(path) in said
        assert ("git lfs pull" in said) == (content == POINTER)
        if path.name in ("config.json", "model.safetensors"):
            assert str(path) in refusal(lambda: require_plausible(tmp_path / "weights"))
        path.write_bytes(whole)


@pytest.mark.parametrize("content", [POINTER, PAGE, gzip.compress(PAGE)], ids=["pointer", "page", "compressed page"])
@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors", "pytorch_model.bin"])
def test_every_file_of_a_text_encoder_is_looked_at(tmp_path: Path, name: str, content: bytes):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "cup"]
    bert = BertModel(BertConfig(vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
    bert.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    if name == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(content)
    settings = Settings(text=TextConfig(source=str(tmp_path)))
    for load in (load_encoder, load_tokenizer, lambda place: check_text(settings)):
        assert f"{tmp_path / name} is a " in refusal(lambda load=load: load(str(tmp_path)))


def test_pointer_that_nobody_reads_does_no_harm(tmp_path: Path):
    BertModel(BertConfig(vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)).save_pretrained(
        tmp_path
    )
    (tmp_path / "pytorch_model.bin").write_bytes(POINTER)
    load_encoder(str(tmp_path))


def test_official_file_and_backbone_weights_are_looked_at(tmp_path: Path):
    path, config = tmp_path / "x.pth", ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=24)
    word_tokenizer(["red cup"]).save_pretrained(tmp_path / "tokenizer")
    for content, named in KINDS.items():
        path.write_bytes(content)
        assert named in refusal(lambda: read_official(path, str(tmp_path / "tokenizer")))
        assert named in refusal(lambda: load_start(build_network(config), config, str(path)))
