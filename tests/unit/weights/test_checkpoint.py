"""Pickled checkpoints: what they hold comes out as data, and what else they ask for is neither given nor run."""

from __future__ import annotations

import argparse
import importlib
import io
import operator
import os
import pickle
import random
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.checkpoint import read_checkpoint

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def plain_checkpoint() -> dict[str, Any]:
    """As an authors' training saves it, with everything that torch.save makes of tensors, parameters and numbers."""
    weights = OrderedDict(a=torch.arange(12.0).view(3, 4).T, b=torch.tensor(7), half=torch.ones(2, dtype=torch.float16))
    weights["tied"] = weights["a"]
    return {
        "model": weights,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.999), "params": [0]}]},
        "epoch": 39,
        "args": argparse.Namespace(lr=5e-5, dataset="refcoco", device=torch.device("cpu"), inner=argparse.Namespace(x=1)),
    }


def saved(value: object, path: Path, *, zipped: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 4
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert "weights_only" not in caught.value.message
    return caught.value.message


def with_object(path: Path, data: bytes) -> Path:
    """A genuine zip checkpoint whose object is replaced by a pickle of one's own."""
    genuine = io.BytesIO()
    torch.save({"model": {}}, genuine)
    with zipfile.ZipFile(genuine) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("data.pkl") else old.read(name))
    return path


@FORMS
def test_tensors_come_out_as_they_went_in(tmp_path: Path, zipped: bool):
    value = plain_checkpoint()
    read = read_checkpoint(saved(value, tmp_path / "x.pth", zipped=zipped))
    assert all(torch.equal(read["model"][name], tensor) for name, tensor in value["model"].items())
    assert read["model"]["a"].stride() == (1, 4)
    assert torch.equal(read["parameter"], value["parameter"])
    assert read["optimizer"]["param_groups"] == value["optimizer"]["param_groups"]
    assert read["epoch"] == 39


@FORMS
def test_a_namespace_becomes_a_dict(tmp_path: Path, zipped: bool):
    arguments = read_checkpoint(saved(plain_checkpoint(), tmp_path / "x.pth", zipped=zipped))["args"]
    assert isinstance(arguments, dict)
    assert arguments == {"lr": 5e-5, "dataset": "refcoco", "device": torch.device("cpu"), "inner": {"x": 1}}


def test_classes_of_old_checkpoints_are_read(tmp_path: Path):
    """Before PyTorch 0.4 a state dict held parameters, rebuilt by a function of another name."""

    class Old:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return torch._utils._rebuild_tensor, (torch.arange(6.0)._typed_storage(), 0, (2, 3), (3, 1))

    assert read_checkpoint(saved({"w": Old()}, tmp_path / "x.pth", zipped=False))["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def hostile(canary: Path) -> dict[str, object]:
    """Things that create the canary when a careless reader loads them, by what they ask for."""
    touch = f"open({str(canary)!r}, 'w').close()"
    inner = io.BytesIO()
    torch.save(Call(exec, touch), inner)
    module = Call(importlib.import_module, "pathlib")
    return {
        "posix.system": Call(os.system, f"touch {canary}"),
        "exec": Call(exec, touch),
        "eval": Call(eval, touch),
        "__import__": Call(__import__, "os"),
        "importlib.import_module": module,
        "getattr": Call(getattr, Call(getattr, module, "Path"), "touch"),
        "operator.methodcaller": Call(operator.methodcaller("touch"), canary),
        "torch.storage._load_from_bytes": Call(torch.storage._load_from_bytes, inner.getvalue()),
        "torch.load": Call(torch.load, canary),
        "torch.jit": Call(torch.jit.load, str(canary)),
        "shutil.rmtree": Call(shutil.rmtree, str(canary.parent / "keep")),
        "_pickle.loads": Call(pickle.loads, pickle.dumps(Call(exec, touch))),
        "pathlib": canary,
    }


KINDS = list(hostile(Path("canary")))
PLACES: dict[str, Callable[[object], dict[str, object]]] = {
    "instead": lambda evil: {"model": evil},
    "optimizer": lambda evil: plain_checkpoint() | {"optimizer": {"state": {0: {"exp_avg": [torch.ones(1), {"x": (evil,)}]}}}},
    "args": lambda evil: plain_checkpoint() | {"args": argparse.Namespace(lr=1, callback=evil)},
    "hooks": lambda evil: {"model": with_hook(evil)},
}


def with_hook(evil: object) -> object:
    """A tensor whose hooks hold something that torch.save itself would refuse to put there."""
    storage = torch.ones(2)._typed_storage()
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, (2,), (1,), False, OrderedDict({0: evil}))


@FORMS
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_pickle_is_refused_by_name_and_nothing_of_it_runs(tmp_path: Path, kind: str, place: str, zipped: bool):
    (tmp_path / "keep").mkdir()
    canary = tmp_path / "canary"
    path = saved(PLACES[place](hostile(canary)[kind]), tmp_path / "x.pth", zipped=zipped)
    assert "is refused: it asks for" in refusal(path)
    assert not canary.exists()
    assert (tmp_path / "keep").is_dir()


@pytest.mark.parametrize("kind", ["posix.system", "importlib.import_module", "torch.storage._load_from_bytes", "shutil.rmtree"])
def test_the_refused_name_is_given(tmp_path: Path, kind: str):
    assert f"it asks for {kind!r}" in refusal(saved(hostile(tmp_path / "canary")[kind], tmp_path / "x.pth"))


def test_the_canary_would_be_created_by_a_careless_reader(tmp_path: Path):
    canary = tmp_path / "canary"
    torch.load(saved(hostile(canary)["posix.system"], tmp_path / "x.pth"), weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.", "posix.system"),
        (b"\x80\x04\x8c\x06system\x94\x8c\x05posix\x94\x30\x30h\x01h\x00\x93\x8c\x02id\x85R.", "put together while it runs"),
        (b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.", "put together while it runs"),
        (b"\x80\x02(X\x02\x00\x00\x00idiposix\nsystem\n.", "posix.system"),
        (b"\x80\x02(cposix\nsystem\nX\x02\x00\x00\x00ido.", "posix.system"),
        (b"\x80\x02\x82\x01.", "registered extension 1"),
        (b"\x80\x02cargparse\nArgumentParser\n)R.", "argparse.ArgumentParser"),
        (b"\x80\x02cargparse\nNamespace.__init__.__globals__\n.", "argparse.Namespace.__init__.__globals__"),
        (b"\x80\x02ccollections\nOrderedDict.__reduce_ex__\n.", "collections.OrderedDict.__reduce_ex__"),
    ],
    ids=["by stack", "by memo", "harmless by stack", "inst", "obj", "extension", "neighbour", "attribute", "method"],
)
def test_every_instruction_that_names_something_is_seen(tmp_path: Path, data: bytes, named: str):
    assert named in refusal(with_object(tmp_path / "x.pth", data))


def test_a_bare_pickle_is_refused_by_what_it_asks_for(tmp_path: Path):
    path, canary = tmp_path / "x.pth", tmp_path / "canary"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Call(os.system, f"touch {canary}"), protocol))
        assert "posix.system" in refusal(path)
    assert not canary.exists()


def test_what_another_library_allows_to_itself_is_not_allowed_here(tmp_path: Path):
    path = saved({"model": Call(operator.neg, 1)}, tmp_path / "x.pth")
    with torch.serialization.safe_globals([operator.neg]):
        assert torch.load(path, weights_only=True) == {"model": -1}
        assert "_operator.neg" in refusal(path)


def test_reading_leaves_no_permission_behind(tmp_path: Path):
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(saved(plain_checkpoint(), tmp_path / "x.pth"))
    refusal(saved(Call(os.system, "true"), tmp_path / "y.pth"))
    assert set(torch.serialization.get_safe_globals()) == before


def test_the_environment_cannot_ask_for_an_unsafe_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    refusal(saved(hostile(tmp_path / "canary")["exec"], tmp_path / "x.pth"))
    assert not (tmp_path / "canary").exists()


@FORMS
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_file_that_was_cut_off_is_refused(tmp_path: Path, share: float, zipped: bool):
    path = saved(plain_checkpoint(), tmp_path / "x.pth", zipped=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "not a readable checkpoint" in refusal(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(60), pickle.dumps({"a": 1})])
def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x.pth").write_bytes(content)
    assert "not a readable checkpoint" in refusal(tmp_path / "x.pth")


def test_zip_archive_of_other_things_is_called_that(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photos/one.txt", "dear")
    assert refusal(tmp_path / "photos.zip").endswith("it is a zip archive, but not one that torch.save wrote")


def test_missing_file_and_folder_are_refused(tmp_path: Path):
    assert "No such file" in refusal(tmp_path / "nowhere.pth")
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused(tmp_path: Path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "x.pth")
    refusal(tmp_path / "x.pth")


def test_one_wrong_byte_among_the_numbers_is_found(tmp_path: Path):
    numbers = torch.arange(1000, dtype=torch.int64)
    path = saved({"w": numbers}, tmp_path / "x.pth")
    data = bytearray(path.read_bytes())
    data[data.index(numbers[500].numpy().tobytes())] ^= 1
    path.write_bytes(data)
    assert "checksum" in refusal(path)


def test_zip_bomb_is_refused_before_it_unfolds(tmp_path: Path):
    plain, path = saved({"w": torch.zeros(1 << 22)}, tmp_path / "plain.pth"), tmp_path / "x.pth"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert path.stat().st_size * 100 < plain.stat().st_size
    assert "compressed" in refusal(path)


def test_entries_that_lie_in_the_same_bytes_are_refused(tmp_path: Path):
    path = saved({"w": torch.zeros(5000)}, tmp_path / "x.pth")
    with zipfile.ZipFile(path, "a") as archive:
        large = max(archive.infolist(), key=lambda entry: entry.file_size)
        archive.infolist().extend([large, large])
        archive.writestr("note", b"")
    assert "announces more than it holds" in refusal(path)


@FORMS
def test_tensor_that_announces_more_numbers_than_the_file_holds_is_refused(tmp_path: Path, zipped: bool):
    stretched = torch.ones(1).expand(1 << 40)
    assert "announce more numbers" in refusal(saved({"w": [stretched]}, tmp_path / "x.pth", zipped=zipped))


@FORMS
def test_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path, zipped: bool):
    beyond = Call(torch._utils._rebuild_tensor_v2, torch.ones(4)._typed_storage(), 0, (1 << 16,), (1,), False, OrderedDict())
    assert "not a readable checkpoint" in refusal(saved({"w": beyond}, tmp_path / "x.pth", zipped=zipped))


@pytest.mark.filterwarnings("ignore")
@FORMS
def test_damage_of_any_kind_is_an_error_of_ours(tmp_path: Path, zipped: bool):
    path, chance = tmp_path / "x.pth", random.Random(0)
    data = saved(plain_checkpoint(), path, zipped=zipped).read_bytes()
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 2, 5])):
            damaged[chance.randrange(min(1500, len(data)))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except WeightsError:
            refused += 1
    assert refused > 200
