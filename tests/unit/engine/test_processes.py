"""What a process knows of the others from what its launcher says."""

from __future__ import annotations

import pytest

from cmirnet_cli.engine.processes import restart_warning, starts_first

RESTARTED = {"WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_USE_AGENT_STORE": "True"}


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in (*RESTARTED, "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("rank", "first"), [({}, True), ({"RANK": "0"}, True), ({"RANK": "1"}, False)])
def test_the_first_process_is_the_one_of_rank_0_or_the_only_one(monkeypatch: pytest.MonkeyPatch, rank: dict[str, str], first: bool):
    environment(monkeypatch, **rank)
    assert starts_first() is first


def test_processes_that_are_started_again_and_share_a_store_are_warned_of(monkeypatch: pytest.MonkeyPatch):
    environment(monkeypatch, **RESTARTED)
    assert "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in (restart_warning() or "")


@pytest.mark.parametrize("other", [{"WORLD_SIZE": "1"}, {"TORCHELASTIC_MAX_RESTARTS": "0"}, {"TORCHELASTIC_USE_AGENT_STORE": "False"}])
def test_nothing_is_warned_of_where_nothing_is_shared_or_started_again(monkeypatch: pytest.MonkeyPatch, other: dict[str, str]):
    environment(monkeypatch, **RESTARTED | other)
    assert restart_warning() is None
