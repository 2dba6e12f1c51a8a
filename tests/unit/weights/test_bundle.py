"""Weights folders: what goes in comes out, and damage is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.weights.bundle import Bundle, load_bundle, save_bundle, update_tensors
from cmirnet_cli.weights.folder import find_weights

ONE_BACKBONE = pytest.mark.parametrize("bundle", ["resnet-nano"], indirect=True)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    save_bundle(bundle, tmp_path / "weights" / "best")
    return tmp_path / "weights" / "best"


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_saved_model_gives_the_same_logits_bit_for_bit(bundle: Bundle, folder: Path, logits: Callable[[Bundle], torch.Tensor]):
    assert torch.equal(logits(load_bundle(folder)), logits(bundle))


def test_loaded_bundle_describes_itself_as_the_saved_one_and_is_in_eval_mode(bundle: Bundle, folder: Path):
    loaded = load_bundle(folder)
    assert loaded.config.model_dump_json() == bundle.config.model_dump_json()
    assert not loaded.model.training
    assert loaded.tokenizer.get_vocab() == bundle.tokenizer.get_vocab()


@ONE_BACKBONE
def test_folder_holds_nothing_that_executes(folder: Path):
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


class Shared(torch.nn.Module):
    """Two layers that share their weights, and one of them by two names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 2, 1), torch.nn.Conv2d(3, 2, 1)
        self.second.weight = self.first.weight
        self.again = self.first


@ONE_BACKBONE
def test_weights_that_a_network_of_ones_own_shares_stay_shared(bundle: Bundle, tmp_path: Path):
    model = bundle.config.model.model_copy(update={"network": f"{__name__}:Shared"})
    network = build_network(model)
    config = bundle.config.model_copy(update={"model": model})
    save_bundle(Bundle(ReferringModel(network, bundle.model.text), bundle.tokenizer, config), tmp_path / "weights")
    loaded = load_bundle(tmp_path / "weights").model.network
    assert len(list(loaded.parameters())) == len(list(network.parameters())) == 3
    assert all(torch.equal(*pair) for pair in zip(loaded.parameters(), network.parameters(), strict=True))


def test_loading_draws_no_random_numbers(folder: Path):
    before = torch.get_rng_state()
    load_bundle(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_loaded_numbers_are_no_longer_the_files(bundle: Bundle, folder: Path, logits: Callable[[Bundle], torch.Tensor]):
    loaded = load_bundle(folder)
    (folder / "model.safetensors").write_bytes(bytes((folder / "model.safetensors").stat().st_size))
    assert torch.equal(logits(loaded), logits(bundle))


@pytest.mark.parametrize("save", [save_bundle, update_tensors])
def test_saving_again_changes_the_tensors_and_leaves_nothing_beside_it(
    bundle: Bundle, folder: Path, logits: Callable[[Bundle], torch.Tensor], save: Callable[[Bundle, Path], None]
):
    torch.nn.init.ones_(bundle.model.network.heads[-1].bias)
    save(bundle, folder)
    assert torch.equal(logits(load_bundle(folder)), logits(bundle))
    assert [path.name for path in folder.parent.iterdir()] == ["best"]


@ONE_BACKBONE
def test_updating_the_tensors_touches_no_other_file(bundle: Bundle, folder: Path):
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    update_tensors(bundle, folder)
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert [name for name in before if after[name] != before[name]] == ["model.safetensors"]


@pytest.mark.parametrize("save", [save_bundle, update_tensors])
def test_saving_another_model_replaces_every_file_of_the_folder(bundle: Bundle, folder: Path, save: Callable[[Bundle, Path], None]):
    (folder / "stray.txt").touch()
    other = replace(bundle, config=bundle.config.model_copy(update={"tokens": 12}))
    save(other, folder)
    assert load_bundle(folder).config.tokens == 12
    assert [path.name for path in folder.parent.iterdir()] == ["best"]
    assert not (folder / "stray.txt").exists()


@ONE_BACKBONE
def test_saving_a_model_of_the_same_settings_keeps_neither_the_tokenizer_nor_the_card_of_the_old_one(bundle: Bundle, tmp_path: Path):
    save_bundle(bundle, tmp_path / "out", card="scores of the old one")
    words = word_tokenizer(["cup of red", "person on the right"])
    save_bundle(replace(bundle, tokenizer=words), tmp_path / "out")
    assert load_bundle(tmp_path / "out").tokenizer.get_vocab() == words.get_vocab() != bundle.tokenizer.get_vocab()
    assert not (tmp_path / "out" / "README.md").exists()


@ONE_BACKBONE
def test_folder_that_cannot_be_written_is_an_error_that_names_it(bundle: Bundle, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"cannot write .*file/weights: Not a directory"):
        save_bundle(bundle, tmp_path / "file" / "weights")


@ONE_BACKBONE
def test_files_get_the_rights_that_any_new_file_gets(folder: Path, tmp_path: Path):
    (tmp_path / "plain").touch()
    assert {path.stat().st_mode for path in folder.iterdir()} == {(tmp_path / "plain").stat().st_mode}


@ONE_BACKBONE
def test_run_directory_stands_for_its_best_weights(folder: Path):
    run = folder.parent.parent
    assert find_weights(folder) == find_weights(folder.parent) == find_weights(run) == folder


def test_path_without_weights_is_refused_with_every_place_that_was_tried(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"no weights at .*nowhere") as caught:
        load_bundle(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / "weights" / "best" / "config.json") in caught.value.message
    assert "cmirnet train" in caught.value.hint


@ONE_BACKBONE
def test_missing_tensors_are_refused(folder: Path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        load_bundle(folder)


@ONE_BACKBONE
@pytest.mark.parametrize("kept", [4, 1000, -1])
def test_truncated_tensors_are_refused(folder: Path, kept: int):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"model\.safetensors does not fit its config\.json"):
        load_bundle(folder)


@ONE_BACKBONE
@pytest.mark.parametrize(
    ("lost", "found", "message"), [("network.heads.0.bias", None, "Missing key"), (None, "network.mystery", "Unexpected key")]
)
def test_missing_and_unknown_tensors_are_refused_by_name(folder: Path, lost: str | None, found: str | None, message: str):
    tensors = {name: value for name, value in load_file(folder / "model.safetensors").items() if name != lost}
    save_file(tensors | ({found: torch.zeros(1)} if found else {}), folder / "model.safetensors")
    with pytest.raises(WeightsError, match=rf'{message}\(s\) in state_dict: "{lost or found}"'):
        load_bundle(folder)


@ONE_BACKBONE
def test_tensors_of_another_width_are_refused_in_one_line_that_names_one(bundle: Bundle, folder: Path):
    edit_config(folder, model=bundle.config.model.model_dump() | {"fusion_width": 64})
    with pytest.raises(WeightsError, match=r"size mismatch for network\.\S+") as caught:
        load_bundle(folder)
    assert "\n" not in caught.value.message


@ONE_BACKBONE
@pytest.mark.parametrize("version", [2, None, "1"])
def test_another_schema_version_is_refused_with_both(folder: Path, version: object):
    edit_config(folder, schema_version=version)
    with pytest.raises(WeightsError, match=f"has schema version {version!r}, this program reads 1"):
        load_bundle(folder)


@ONE_BACKBONE
@pytest.mark.parametrize(("config", "kind"), [({"model_type": "clip"}, "clip"), ({"architecture": "resnet50"}, "resnet50"), ([], None)])
def test_the_config_of_another_program_is_called_so(folder: Path, config: object, kind: str | None):
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        WeightsError, match="is not a config.json of cmirnet" + (f", but that of a model of the kind {kind}" if kind else "$")
    ):
        load_bundle(folder)


@ONE_BACKBONE
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(folder: Path, number: float):
    state = load_file(folder / "model.safetensors")
    state["network.heads.0.bias"][0] = number
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"NaN or infinity in 1 of .* entries: network\.heads\.0\.bias"):
        load_bundle(folder)


@ONE_BACKBONE
def test_unknown_setting_is_refused_by_name(folder: Path):
    edit_config(folder, colour="red")
    with pytest.raises(WeightsError, match="colour"):
        load_bundle(folder)


@ONE_BACKBONE
def test_unknown_setting_of_the_model_is_refused_by_name(bundle: Bundle, folder: Path):
    edit_config(folder, model=bundle.config.model.model_dump() | {"depth": 3})
    with pytest.raises(WeightsError, match=r"model\.depth"):
        load_bundle(folder)


@ONE_BACKBONE
@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")])
def test_config_that_is_none_is_refused(folder: Path, text: str):
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_bundle(folder)


@ONE_BACKBONE
@pytest.mark.parametrize("encoder", [{}, {"model_type": "no such encoder"}])
def test_text_encoder_nobody_knows_is_refused(folder: Path, encoder: dict[str, str]):
    edit_config(folder, encoder=encoder)
    with pytest.raises(WeightsError, match="text encoder that cannot be built"):
        load_bundle(folder)


@ONE_BACKBONE
def test_missing_tokenizer_is_refused_with_the_hint_for_damaged_weights(folder: Path):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(WeightsError, match=r"the tokenizer .* cannot be loaded") as caught:
        load_bundle(folder)
    assert caught.value.hint == "the file was changed or damaged; copy the weights folder again"
