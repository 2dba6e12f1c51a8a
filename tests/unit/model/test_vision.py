"""The Swin block, against attention written out place by place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.model.vision import WindowBlock

WINDOW, HEADS, WIDTH = 4, 2, 8


Place = tuple[int, int]


def region(place: Place, size: Place) -> tuple[int, ...]:
    """Which of the three slices of each axis a place lies in: up to −4, −4 to −2, the rest."""
    return tuple(sum(p >= length - back for back in (WINDOW, WINDOW // 2)) for p, length in zip(place, size, strict=True))


def window(place: Place) -> Place:
    return place[0] // WINDOW, place[1] // WINDOW


def score(attn: nn.Module, query: Tensor, key: Tensor, place: Place, other: Place) -> Tensor:
    """What the query (h, c) at one place makes of the key at another: (h,)."""
    rows, columns = place[0] - other[0] + WINDOW - 1, place[1] - other[1] + WINDOW - 1
    bias = attn.relative_position_bias_table[rows * (2 * WINDOW - 1) + columns]
    return (query * key).sum(-1) * (WIDTH / HEADS) ** -0.5 + bias


def attention_place_by_place(attn: nn.Module, x: Tensor, shift: int) -> Tensor:
    """Window attention over one map (H, W, C): padded with zeros first, rolled second, regions kept apart by −100."""
    height, width = x.shape[:2]
    tall, wide = (-(-side // WINDOW) * WINDOW for side in (height, width))
    padded, out = torch.zeros(2, tall, wide, WIDTH)
    padded[:height, :width] = x
    places = [(y, x) for y in range(tall) for x in range(wide)]
    before_roll = {(y, x): ((y + shift) % tall, (x + shift) % wide) for y, x in places}
    parts = {place: attn.qkv(padded[before_roll[place]]).view(3, HEADS, -1) for place in places}
    for place in places:
        seen = [other for other in places if window(other) == window(place)]
        scores = torch.stack([score(attn, parts[place][0], parts[other][1], place, other) for other in seen])
        apart = torch.tensor([shift > 0 and region(other, (tall, wide)) != region(place, (tall, wide)) for other in seen])
        weights = torch.softmax(scores - 100 * apart[:, None], dim=0)
        values = torch.stack([parts[other][2] for other in seen])
        out[before_roll[place]] = attn.proj((weights[..., None] * values).sum(0).flatten())
    return out[:height, :width]


@pytest.mark.parametrize("grid", [(8, 8), (5, 7), (3, 3), (1, 4)], ids=str)
@pytest.mark.parametrize("shifted", [False, True])
@torch.inference_mode()
def test_block_is_attention_written_place_by_place(grid: tuple[int, int], shifted: bool):
    """On maps of whole windows, of broken ones, and on maps no larger than one (which are shifted all the same)."""
    torch.manual_seed(0)
    block = WindowBlock(WIDTH, HEADS, WINDOW, shifted=shifted, drop_path=0.0).eval()
    nn.init.normal_(block.attn.relative_position_bias_table)
    nn.init.normal_(block.norm1.bias)
    x = torch.randn(1, *grid, WIDTH)
    attended = x + attention_place_by_place(block.attn, block.norm1(x)[0], shift=2 if shifted else 0)
    expected = attended + block.mlp(block.norm2(attended))
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_images_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    block = WindowBlock(WIDTH, HEADS, WINDOW, shifted=True, drop_path=0.0).eval()
    x = torch.randn(3, 5, 7, WIDTH)
    torch.testing.assert_close(block(x)[1:2], block(x[1:2]), atol=1e-6, rtol=1e-5)
