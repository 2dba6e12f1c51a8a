"""`export.json`: what is written is read, and what is damaged is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmirnet_cli.durable import sha256_of
from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.spec import ExportSpec, Input, Origin, fingerprint, holds_export, read_spec, require_whole


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    origin = Origin(weights="w", sha256="0", backbone="resnet-nano", dataset="", program="0", libraries={})
    prepared = Input(image_size=64, mean=(0, 0, 0), std=(1, 1, 1), tokens=20)
    files = {"model.onnx": sha256_of(tmp_path / "model.onnx")}
    spec = ExportSpec(format="onnx", precision="fp32", split=False, dynamic_size=False, input=prepared, origin=origin, files=files)
    (tmp_path / "export.json").write_text(spec.model_dump_json())
    return tmp_path


def test_what_is_written_is_read(bundle: Path):
    spec = read_spec(bundle)
    assert holds_export(bundle)
    assert spec.input.image_size == 64
    require_whole(bundle, spec)


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 99}', '{"schema_version": 1}', "\xff"])
def test_a_damaged_description_is_refused_by_name(bundle: Path, content: str):
    (bundle / "export.json").write_text(content, encoding="latin-1")
    with pytest.raises(ExportError, match=r"export\.json"):
        read_spec(bundle)


@pytest.mark.parametrize("damage", [lambda graph: graph.write_bytes(b"other"), Path.unlink], ids=["changed", "missing"])
def test_a_graph_that_is_not_what_was_written_is_refused_by_name(bundle: Path, damage):
    damage(bundle / "model.onnx")
    with pytest.raises(ExportError, match=r"model\.onnx"):
        require_whole(bundle, read_spec(bundle))


def test_a_bundle_with_another_graph_has_another_fingerprint(bundle: Path):
    before = fingerprint(bundle)
    text = (bundle / "export.json").read_text()
    (bundle / "export.json").write_text(text.replace(read_spec(bundle).files["model.onnx"], "f" * 64))
    assert fingerprint(bundle) != before
