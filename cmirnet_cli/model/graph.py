"""CGIP, cross-graph interactive positioning: a graph between visual and text nodes says where the referent is.

Legend: B batch, T text nodes (one per token, padding included), C fusion width, h heads of c = C/h channels each,
N = H·W visual nodes, k nearest text nodes of a visual node.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.context import conv_bn_relu
from cmirnet_cli.model.features import onto_grid, split_heads

HEADS = 8


class GraphStep(nn.Module):
    """Each visual node looks at its k nearest text nodes, head by head, and the heads are weighed against each other.

    The heads have weights of their own; they run as one grouped convolution.

    Args:
        width: C.
        neighbours: k.
        padding: whether padded tokens can be neighbours (a quirk of the published network). If not, and an expression has fewer
            than k real tokens, the nearest of them also takes the places that are left.
    """

    def __init__(self, width: int, neighbours: int, *, padding: bool = True) -> None:
        super().__init__()
        head = width // HEADS
        self.neighbours = neighbours
        self.padding = padding
        self.edges = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1, groups=HEADS), nn.BatchNorm2d(width), nn.ReLU())
        self.head_weights = nn.Linear(head, 3 * head)

    def forward(self, visual: Tensor, text: Tensor, keep: Tensor) -> Tensor:
        """Visual nodes (B, C, H, W), text nodes (B, C, T) and keep bool (B, T), True on real tokens, to new visual nodes (B, C, H, W)."""
        nodes, words = split_heads(visual.flatten(2), HEADS), split_heads(text, HEADS)  # (B, h, c, N), (B, h, c, T)
        nearest = self._nearest(nodes, words, keep)  # (B, h, N, k)
        maps = self.edges(self._edge_features(nodes, words, nearest)).amax(dim=-1)  # (B, C, N)
        return onto_grid(self._weigh(split_heads(maps, HEADS)), like=visual)

    @torch.no_grad()
    def _nearest(self, visual: Tensor, text: Tensor, keep: Tensor) -> Tensor:
        """The k nearest text nodes on the unit sphere, nearest first: (B, h, N, k). No gradient flows through the choice."""
        visual, text = F.normalize(visual, dim=2, eps=1e-12), F.normalize(text, dim=2, eps=1e-12)
        product = visual.transpose(-2, -1) @ text  # (B, h, N, T)
        distance = visual.square().sum(2).unsqueeze(-1) - 2 * product + text.square().sum(2).unsqueeze(-2)
        if self.padding:
            return distance.topk(self.neighbours, dim=-1, largest=False).indices
        nearest = distance.masked_fill(~keep[:, None, None], torch.inf).topk(self.neighbours, dim=-1, largest=False)
        return torch.where(nearest.values.isinf(), nearest.indices[..., :1], nearest.indices)

    def _edge_features(self, visual: Tensor, text: Tensor, nearest: Tensor) -> Tensor:
        """[v ; y − v] for every edge, un-normalised, heads as channel groups: (B, 2C, N, k)."""
        batch, heads, channels, _ = visual.shape
        index = nearest.flatten(2).unsqueeze(2).expand(-1, -1, channels, -1)  # (B, h, c, N·k)
        neighbour = text.gather(3, index).reshape(batch, heads, channels, *nearest.shape[2:])  # (B, h, c, N, k)
        node = visual.unsqueeze(-1).expand_as(neighbour)
        return torch.cat([node, neighbour - node], dim=2).reshape(batch, heads * 2 * channels, *nearest.shape[2:])

    def _weigh(self, maps: Tensor) -> Tensor:
        """Weigh the heads' maps (B, h, c, N) by attention between the heads: (B, C, N)."""
        summary = maps.amax(dim=-1)  # (B, h, c)
        key, query, value = self.head_weights(summary).transpose(1, 2).chunk(3, dim=1)  # (B, c, h) each
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=-2)  # (B, h, h)
        weights = (value @ attention).transpose(1, 2)  # (B, h, c)
        weighed: Tensor = maps * weights.unsqueeze(-1)
        return weighed.flatten(1, 2)


class ReasoningStep(nn.Module):
    """Self-attention over all positions after a convolution; no residual inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.local = conv_bn_relu(width, width, kernel=3)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same; the channels of `qkv` are grouped per head as query, key, value."""
        heads = split_heads(self.qkv(self.local(x)).flatten(2), HEADS).transpose(-2, -1)  # (B, h, N, 3c)
        query, key, value = heads.chunk(3, dim=-1)  # (B, h, N, c) each
        read = F.scaled_dot_product_attention(query, key, value)  # (B, h, N, c), scaled by c^(-1/2)
        positions: Tensor = self.out(onto_grid(read.transpose(-2, -1).flatten(1, 2), like=x))
        return positions


class GraphPositioning(nn.Module):
    """CGIP: visual nodes, text nodes, the graph step between them and the reasoning step over the result.

    Args:
        visual: Cv, channels of the coarsest map.
        text: D, channels of the encoder's words.
        width: C.
        neighbours: k.
        padding: whether padded tokens can be neighbours; either way the text nodes are normalised over all tokens, padding included.
    """

    def __init__(self, visual: int, text: int, width: int, neighbours: int, *, padding: bool = True) -> None:
        super().__init__()
        self.visual_nodes = conv_bn_relu(visual, width, kernel=3)
        self.text_nodes = nn.Conv1d(text, width, 1)
        self.graph = GraphStep(width, neighbours, padding=padding)
        self.reasoning = ReasoningStep(width)

    def forward(self, x: Tensor, words: Tensor, keep: Tensor, fused_words: Tensor) -> Tensor:
        """Locate the referent.

        Args:
            x: the coarsest map (B, Cv, H, W).
            words: the encoder's words (B, D, T).
            keep: bool (B, T), True on real tokens.
            fused_words: the sum of the new word features of every fusion (B, C, T).

        Returns:
            The positioned map (B, C, H, W).
        """
        visual = self.visual_nodes(x)
        text = F.relu(F.instance_norm(self.text_nodes(words))) + fused_words
        located: Tensor = self.reasoning(self.graph(visual, text, keep)) + visual
        return located
