"""`export.json`: what is written is read, and what is damaged is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmirnet_cli.errors import ExportError, WeightsError
from cmirnet_cli.export.spec import ExportOrigin, ExportSpec, Input, fingerprint, holds_export, read_spec, require_whole
from cmirnet_cli.files import sha256_of


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    origin = ExportOrigin(weights="w", sha256="0", backbone="resnet-nano", dataset="", program="0", libraries={})
    prepared = Input(image_size=64, mean=(0, 0, 0), std=(1, 1, 1), tokens=20)
    files = {"model.onnx": sha256_of(tmp_path / "model.onnx")}
    spec = ExportSpec(format="onnx", precision="fp32", split=False, dynamic_size=False, input=prepared, origin=origin, files=files)
    (tmp_path / "export.json").write_text(spec.model_dump_json())
    return tmp_path


def test_what_is_written_is_read(exported: Path):
    spec = read_spec(exported)
    assert holds_export(exported)
    assert spec.input.image_size == 64
    require_whole(exported, spec)


@pytest.mark.parametrize("name", ["export.json", "model.onnx"])
@pytest.mark.parametrize(
    ("content", "said"), [("version https://git-lfs.github.com/spec/v1\nsize 9\n", "git lfs pull"), ("<html></html>", "download")]
)
def test_pointer_or_page_in_place_of_a_file_is_called_that(exported: Path, name: str, content: str, said: str):
    spec = read_spec(exported)
    (exported / name).write_text(content)
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")) as caught:
        read_spec(exported) if name == "export.json" else require_whole(exported, spec)
    assert said in caught.value.hint


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"schema_version": 99}', '{"schema_version": 1}', "\xff", "[" * 100_000, '{"schema_version": 1' + "0" * 5000 + "}"],
    ids=["empty", "no object", "later", "nothing else", "no text", "nested", "long number"],
)
def test_a_damaged_description_is_refused_by_name(exported: Path, content: str):
    (exported / "export.json").write_text(content, encoding="latin-1")
    with pytest.raises(ExportError, match=r"export\.json"):
        read_spec(exported)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 0),
        ("image_size", -32),
        ("image_size", 100),
        ("tokens", -1),
        ("tokens", 1),
        ("pad", -1),
        ("pad", 10**30),
        ("std", [0, 1, 1]),
        ("mean", [float("nan"), 0, 0]),
    ],
)
def test_input_that_nothing_can_be_prepared_as_is_refused_by_name(exported: Path, name: str, value: object):
    said = json.loads((exported / "export.json").read_text())
    said["input"][name] = value
    (exported / "export.json").write_text(json.dumps(said))
    with pytest.raises(ExportError, match=rf"export\.json cannot be read: .*input\.{name}"):
        read_spec(exported)


@pytest.mark.parametrize("other", [{"files": {}}, {"split": True}, {"files": {"text.onnx": "0", "vision.onnx": "0"}}])
def test_graphs_that_are_not_those_of_an_exports_form_are_refused(exported: Path, other: dict[str, object]):
    said = json.loads((exported / "export.json").read_text())
    (exported / "export.json").write_text(json.dumps(said | other))
    with pytest.raises(ExportError, match=r"its graphs are .* where .* belong"):
        read_spec(exported)


def test_a_tokenizer_that_is_not_what_was_written_is_refused_by_name(exported: Path):
    (exported / "tokenizer.json").write_text("words")
    spec = read_spec(exported).model_copy(update={"tokenizer": sha256_of(exported / "tokenizer.json")})
    require_whole(exported, spec)
    (exported / "tokenizer.json").write_text("other words")
    with pytest.raises(ExportError, match=r"tokenizer\.json is not the file"):
        require_whole(exported, spec)


@pytest.mark.parametrize("damage", [lambda graph: graph.write_bytes(b"other"), Path.unlink], ids=["changed", "missing"])
def test_a_graph_that_is_not_what_was_written_is_refused_by_name(exported: Path, damage):
    damage(exported / "model.onnx")
    with pytest.raises(ExportError, match=r"model\.onnx"):
        require_whole(exported, read_spec(exported))


def test_an_export_with_another_graph_has_another_fingerprint(exported: Path):
    before = fingerprint(exported)
    text = (exported / "export.json").read_text()
    (exported / "export.json").write_text(text.replace(read_spec(exported).files["model.onnx"], "f" * 64))
    assert fingerprint(exported) != before
