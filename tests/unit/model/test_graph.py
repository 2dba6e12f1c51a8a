"""The graph step, against eight separate heads with neighbours found by a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.model.graph import HEADS, GraphPositioning, GraphStep

WIDTH, GRID, TOKENS, NEIGHBOURS = 32, (2, 3), 7, 4
CHANNELS = WIDTH // HEADS
KEEP = torch.arange(TOKENS) < torch.tensor([[5], [2]])
"""Two expressions: with more real tokens than a node has neighbours, and with fewer."""


@pytest.fixture
def step() -> GraphStep:
    torch.manual_seed(0)
    made = GraphStep(WIDTH, NEIGHBOURS).eval()
    for values in (made.edges[1].running_mean, made.edges[1].weight, made.edges[1].bias):
        nn.init.normal_(values)
    return made


@pytest.fixture
def nodes() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, WIDTH, *GRID), torch.randn(2, WIDTH, TOKENS)


def head_of(step: GraphStep, head: int) -> nn.Sequential:
    """One head's convolution and norm as modules of their own."""
    own = slice(head * CHANNELS, (head + 1) * CHANNELS)
    convolution, norm = nn.Conv2d(2 * CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS)
    convolution.load_state_dict({name: value[own] for name, value in step.edges[0].state_dict().items()})
    norm.load_state_dict({name: value[own] if value.ndim else value for name, value in step.edges[1].state_dict().items()})
    return nn.Sequential(convolution, norm, nn.ReLU()).eval()


def nearest_first(visual: Tensor, text: Tensor) -> list[int]:
    """The text nodes (c, T) nearest to one visual node (c,), all of length 1; the nearest again where there are too few."""
    node = visual.numpy() / np.linalg.norm(visual)
    distances = [float(np.sum((node - word / np.linalg.norm(word)) ** 2)) for word in text.numpy().T]
    order = sorted(range(len(distances)), key=distances.__getitem__)[:NEIGHBOURS]
    return order + order[:1] * (NEIGHBOURS - len(order))


def head_by_head(step: GraphStep, visual: Tensor, text: Tensor, *, farthest_first: bool = False) -> Tensor:
    """The heads' maps of one image (C, N), text (C, T), before they are weighed: (8, c, N)."""
    maps = []
    for head in range(HEADS):
        own = slice(head * CHANNELS, (head + 1) * CHANNELS)
        plane = torch.zeros(2 * CHANNELS, visual.shape[1], NEIGHBOURS)
        for n in range(visual.shape[1]):
            order = nearest_first(visual[own, n], text[own])
            for k, t in enumerate(order[::-1] if farthest_first else order):
                plane[:, n, k] = torch.cat([visual[own, n], text[own, t] - visual[own, n]])
        maps.append(head_of(step, head)(plane[None])[0].amax(dim=-1))
    return torch.stack(maps)


def weighed(step: GraphStep, maps: Tensor) -> Tensor:
    """Attention between the heads, as the specification writes it: (8, c, N) to (C, N)."""
    split = step.head_weights(maps.amax(dim=-1)).T  # (3c, 8), in the order k, q, v
    key, query, value = split[:CHANNELS], split[CHANNELS : 2 * CHANNELS], split[2 * CHANNELS :]
    weights = (value @ torch.softmax(query.T @ key, dim=-2)).T
    return (maps * weights[..., None]).flatten(0, 1)


@torch.inference_mode()
def test_graph_step_is_eight_separate_heads_weighed_against_each_other(step: GraphStep, nodes: tuple[Tensor, Tensor]):
    visual, text = nodes
    for row, found in enumerate(step(visual, text, KEEP)):
        expected = weighed(step, head_by_head(step, visual[row].flatten(1), text[row]))
        torch.testing.assert_close(found.flatten(1), expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_order_of_the_neighbours_matters(step: GraphStep, nodes: tuple[Tensor, Tensor]):
    visual, text = nodes[0][0].flatten(1), nodes[1][0]
    near, far = head_by_head(step, visual, text), head_by_head(step, visual, text, farthest_first=True)
    assert not torch.allclose(near, far, atol=1e-2)


@torch.inference_mode()
def test_padding_words_take_part_in_the_graph():
    """A quirk of the published network: padding is normalised with the words and may be a neighbour."""
    torch.manual_seed(0)
    positioning = GraphPositioning(visual=16, text=12, width=WIDTH, neighbours=NEIGHBOURS).eval()
    x, words = torch.randn(1, 16, *GRID), torch.randn(1, 12, TOKENS)
    padded = words.clone()
    padded[..., 4:] = 0
    keep, fused = torch.arange(TOKENS)[None] < 4, torch.zeros(1, WIDTH, TOKENS)
    assert not torch.allclose(positioning(x, words, keep, fused), positioning(x, padded, keep, fused), atol=1e-3)


@pytest.mark.parametrize("padding", [True, False])
@torch.inference_mode()
def test_padding_words_move_the_graph_only_where_they_may_be_neighbours(step: GraphStep, nodes: tuple[Tensor, Tensor], padding: bool):
    step.padding = padding
    visual, text = nodes
    other = torch.where(KEEP[:, None], text, text.flip(0))
    assert torch.equal(step(visual, text, KEEP), step(visual, other, KEEP)) is not padding


@torch.inference_mode()
def test_without_padding_an_expression_is_a_graph_of_its_real_words(step: GraphStep, nodes: tuple[Tensor, Tensor]):
    """Places that a short expression cannot fill are taken by the word nearest to each node."""
    step.padding = False
    visual, text = nodes
    for row, found in enumerate(step(visual, text, KEEP)):
        expected = weighed(step, head_by_head(step, visual[row].flatten(1), text[row][:, KEEP[row]]))
        torch.testing.assert_close(found.flatten(1), expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_graph_of_a_full_expression_is_the_same_with_and_without_padding(step: GraphStep, nodes: tuple[Tensor, Tensor]):
    full = torch.ones(2, TOKENS, dtype=torch.bool)
    published = step(*nodes, full)
    step.padding = False
    assert torch.equal(step(*nodes, full), published)
