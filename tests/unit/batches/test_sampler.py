"""The order of an epoch: a pure function, and one that can be entered anywhere."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from cmirnet_cli.batches.loader import EpochSampler, Share, epoch_order


def test_order_is_a_permutation():
    assert sorted(epoch_order(seed=1, epoch=2, size=50).tolist()) == list(range(50))


def test_order_depends_on_nothing_but_its_arguments():
    before = epoch_order(3, 4, 50).tolist()
    torch.manual_seed(9)
    torch.rand(3)
    assert epoch_order(3, 4, 50).tolist() == before


def test_every_seed_and_epoch_has_an_order_of_its_own():
    orders = {tuple(epoch_order(seed, epoch, 50).tolist()) for seed, epoch in product(range(4), range(4))}
    assert len(orders) == 16


def test_batches_follow_the_order_and_the_last_one_has_what_is_left():
    batches = [piece.items for piece in EpochSampler(11, 3, seed=0, epoch=1)]
    assert [len(batch) for batch in batches] == [3, 3, 3, 2]
    assert np.concatenate(batches).tolist() == epoch_order(0, 1, 11).tolist()


def test_epochs_follow_each_other_as_if_each_had_been_begun_alone():
    share = Share(process=1, processes=2, pieces=2)
    several = list(EpochSampler(19, 8, seed=3, epoch=4, epochs=3, offset=1, share=share))
    alone = [EpochSampler(19, 8, seed=3, epoch=epoch, offset=1 if epoch == 4 else 0, share=share) for epoch in (4, 5, 6)]
    assert several == [piece for epoch in alone for piece in epoch]
    assert len(EpochSampler(19, 8, seed=3, epoch=4, epochs=3, offset=1, share=share)) == len(several)


def test_refcocos_42404_referents_are_the_5301_steps_of_the_published_epoch():
    assert len(EpochSampler(42_404, 8, seed=0, epoch=0)) == 5_301


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 4])
def test_epoch_entered_at_an_offset_goes_on_as_if_it_had_not_been_left(offset: int):
    whole, rest = EpochSampler(11, 3, seed=0, epoch=1), EpochSampler(11, 3, seed=0, epoch=1, offset=offset)
    assert list(rest) == list(whole)[offset:]
    assert len(rest) == len(whole) - offset


@pytest.mark.parametrize(("processes", "pieces"), [(1, 4), (2, 2), (4, 1)])
def test_processes_and_pieces_cut_every_batch_into_the_same_pieces(processes: int, pieces: int):
    taken = [list(EpochSampler(16, 8, seed=0, epoch=1, share=Share(p, processes, pieces))) for p in range(processes)]
    assert {len(mine) for mine in taken} == {2 * pieces}
    in_turn = [piece.items for batch in range(2) for k in range(pieces) for mine in taken for piece in [mine[batch * pieces + k]]]
    assert np.concatenate(in_turn).tolist() == epoch_order(0, 1, 16).tolist()
    assert {len(piece) for piece in in_turn} == {2}


@pytest.mark.parametrize("left", range(1, 8))
@pytest.mark.parametrize(("processes", "pieces"), [(1, 4), (2, 2), (4, 1)])
def test_last_batch_is_shared_without_loss_and_every_process_has_a_piece_of_it(processes: int, pieces: int, left: int):
    taken = [list(EpochSampler(8 + left, 8, seed=0, epoch=1, share=Share(p, processes, pieces)))[pieces:] for p in range(processes)]
    assert all(taken)
    counted = sorted(item for mine in taken for piece in mine if piece.counts for item in piece.items)
    assert counted == sorted(epoch_order(0, 1, 8 + left)[8:].tolist())
    idle = [mine for mine in taken if not mine[0].counts]
    assert [len(mine) for mine in idle] == [1] * max(0, processes - left)


def test_share_of_an_epoch_entered_at_an_offset_goes_on_as_if_it_had_not_been_left():
    share = Share(process=1, processes=2, pieces=2)
    whole, rest = EpochSampler(43, 8, seed=0, epoch=1, share=share), EpochSampler(43, 8, seed=0, epoch=1, offset=3, share=share)
    assert list(rest) == list(whole)[6:]
    assert len(rest) == len(whole) - 6
