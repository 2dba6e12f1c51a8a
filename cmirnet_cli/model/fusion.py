"""TGMM, the text-guided multi-modality module: words are read at every position of a visual map, and gate it.

Legend: B batch, T tokens, D text width, C fusion width, Cv channels of the map, K channels of queries and keys,
h attention heads (contiguous channel groups), N = H·W positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.features import EncodedText, Fused, onto_grid, split_heads


class WordReading(nn.Module):
    """The attention from positions to words that both published forms share.

    Quirks kept: the score is scaled by all K channels, not by one head's; padded tokens are weakened by −1e4, not removed.
    """

    def __init__(self, visual: int, text: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = width**-0.5
        self.query = nn.Conv2d(visual, width, 1)
        self.key = nn.Conv1d(text, width, 1)
        self.value = nn.Conv1d(text, width, 1)
        self.out = nn.Conv2d(width, visual, 1)

    def attend(self, x: Tensor, text: EncodedText) -> Tensor:
        """How much each position reads each word: (B, h, N, T), summing to 1 over T."""
        query = split_heads(F.instance_norm(self.query(x)).flatten(2), self.heads)  # (B, h, K/h, N)
        key = split_heads(text.keep * self.key(text.words), self.heads)  # (B, h, K/h, T)
        scores = self.scale * (query.transpose(-2, -1) @ key)  # (B, h, N, T)
        return torch.softmax(scores + (1e4 * text.keep - 1e4).unsqueeze(1), dim=-1)

    def gather(self, attention: Tensor, values: Tensor, x: Tensor) -> Tensor:
        """The words' values as read at each position, normalised: (B, Cv, H, W)."""
        read = split_heads(values, self.heads) @ attention.transpose(-2, -1)  # (B, h, K/h, N)
        return F.instance_norm(self.out(onto_grid(read.flatten(1, 2), like=x)))

    def weigh(self, attention: Tensor, values: Tensor) -> Tensor:
        """The values (B, K, T) times how much their word is read on average over the positions."""
        mean = attention.mean(dim=2, keepdim=True)  # (B, h, 1, T)
        return (mean * split_heads(values, self.heads)).flatten(1, 2)


class SwinWordReading(WordReading):
    """The Swin form: K = Cv, and (quirk) the values are weighted before they are read."""

    def __init__(self, visual: int, text: int, fusion: int, heads: int) -> None:
        super().__init__(visual, text, visual, heads)
        self.new_words = nn.Conv1d(visual, fusion, 1)
        self.new_sentence = nn.Conv1d(visual, fusion, 1)
        self.sentence = nn.Conv1d(text, fusion, 1)

    def forward(self, x: Tensor, text: EncodedText) -> Fused:
        """Read the words at (B, Cv, H, W); `map` is what was read, not yet gated."""
        attention = self.attend(x, text)
        weighted = self.weigh(attention, text.keep * self.value(text.words))  # (B, K, T)
        sentence = self.new_sentence(weighted.mean(dim=-1, keepdim=True)) + self.sentence(text.sentence)
        return Fused(self.gather(attention, weighted, x), sentence, self.new_words(weighted))


class ResNetWordReading(WordReading):
    """The ResNet form: K = C, a second value map for the new words, and a learnt weight γ for their part in the sentence."""

    def __init__(self, visual: int, text: int, fusion: int, heads: int) -> None:
        super().__init__(visual, text, fusion, heads)
        self.word_value = nn.Conv1d(text, fusion, 1)
        self.new_words = nn.Conv1d(fusion, fusion, 1)
        self.new_sentence = nn.Conv1d(fusion, fusion, 1)
        self.sentence = nn.Conv1d(text, fusion, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, text: EncodedText) -> Fused:
        """Read the words at (B, Cv, H, W); `map` is what was read, not yet gated."""
        attention = self.attend(x, text)
        weighted = self.weigh(attention, text.keep * self.word_value(text.words))  # (B, C, T)
        old = self.sentence(text.sentence)  # (B, C, 1)
        sentence = self.new_sentence(self.gamma * weighted.mean(dim=-1, keepdim=True) + old) + old
        read = self.gather(attention, text.keep * self.value(text.words), x)
        return Fused(read, sentence, self.new_words(weighted))


class TextGuidedFusion(nn.Module):
    """TGMM: gates a visual map with what its positions read from the words."""

    def __init__(self, visual: int, reading: SwinWordReading | ResNetWordReading, activation: type[nn.Module]) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.Conv2d(visual, visual, 1), activation())
        self.reading = reading
        self.merge = nn.Sequential(nn.Conv2d(visual, visual, 1), activation())

    def forward(self, x: Tensor, text: EncodedText) -> Fused:
        """Fuse (B, Cv, H, W) with the text; the caller adds the fused map to the backbone."""
        read, sentence, words = self.reading(x, text)
        return Fused(self.merge(self.visual(x) * read), sentence, words)
