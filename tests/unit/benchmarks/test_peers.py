"""Which other programs run an export, and how."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from cmirnet_cli.benchmarks.peers import Export, peers_named, runs_of
from cmirnet_cli.errors import UsageError

FOLDER = Path("export")


def test_peers_are_named_once_each_and_none_is_no_peer():
    assert peers_named("onnxruntime, onnxruntime") == ("onnxruntime",)
    assert peers_named(None) == ()


def test_unknown_peer_is_an_error_that_lists_the_known_ones():
    with pytest.raises(UsageError, match="no peer 'tensorrt'") as caught:
        peers_named("onnxruntime,tensorrt")
    assert caught.value.hint == "choose among onnxruntime, openvino"


@pytest.mark.skipif(find_spec("openvino") is not None, reason="OpenVINO is installed")
def test_peer_that_is_not_installed_is_an_error_that_says_how_to_install_it():
    with pytest.raises(UsageError, match="--peer openvino: it is not installed") as caught:
        peers_named("openvino")
    assert caught.value.hint == "pip install openvino"


def test_openvino_rounds_an_fp32_file_to_bf16_where_the_processor_can_and_no_other_file():
    both = ("onnxruntime", "openvino")
    plain = [Export("ONNX Runtime fp32", FOLDER), Export("OpenVINO fp32", FOLDER, "openvino")]
    assert runs_of(FOLDER, "fp32", both, bf16=False) == plain
    assert runs_of(FOLDER, "fp32", both, bf16=True) == [*plain, Export("OpenVINO bf16", FOLDER, "openvino", rounded=True)]
    assert [run.name for run in runs_of(FOLDER, "int8", both, bf16=True)] == ["ONNX Runtime int8", "OpenVINO int8"]
    assert runs_of(FOLDER, "fp32", ("onnxruntime",), bf16=True) == plain[:1]
