"""The assembly of CMIRNet, to be read beside the paper's figure: backbone with fusions, context, graph, decoder, heads.

Legend: B batch, T tokens (padding included), D text width, C fusion width, H × W the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cmirnet_cli.model.context import MultiScaleContext
from cmirnet_cli.model.decoder import AttentionDecoder
from cmirnet_cli.model.features import EncodedText, Fused, ImageFeatures, Logits
from cmirnet_cli.model.fusion import TextGuidedFusion
from cmirnet_cli.model.graph import GraphPositioning

STRIDE = 32


class Network(nn.Module):
    """What the harness trains, scores, exports and serves: `CMIRNet`, or a network of one's own."""

    def forward(self, image: Tensor, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """Segment what the sentence refers to; see `CMIRNet.forward`."""
        return self.decode(self.encode_image(image), words, keep, sentence, auxiliary=auxiliary)

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """The part that sees no text, to be computed once per image."""
        raise NotImplementedError

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """The part that follows the text: what `encode_image` saw and an expression as in `forward`, to logits."""
        raise NotImplementedError


class CMIRNet(Network):
    """The published network (IEEE TCSVT 2024), the same class for Swin and ResNet backbones.

    Args:
        stages: the backbone's stages, finest first; where `beside` is set, one module from the image to all maps.
        fusions: one per stage, None where the stage sees no text (those come first).
        context: enlarges the view of the coarsest map.
        context_fusion: fuses text into that view.
        graph: locates the referent.
        decoder: climbs back to the finest stage.
        heads: one two-class head per decoder level, coarsest first.
        beside: whether text is fused into the maps of a trunk that cannot be taken apart, and does not flow on through it.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        fusions: Sequence[TextGuidedFusion | None],
        context: MultiScaleContext,
        context_fusion: TextGuidedFusion,
        graph: GraphPositioning,
        decoder: AttentionDecoder,
        heads: Sequence[nn.Module],
        *,
        beside: bool = False,
    ) -> None:
        super().__init__()
        self.beside = beside
        self.wordless = sum(fusion is None for fusion in fusions)
        self.stages = nn.ModuleList(stages)
        self.fusions = nn.ModuleList([fusion for fusion in fusions if fusion is not None])
        self.context = context
        self.context_fusion = context_fusion
        self.graph = graph
        self.decoder = decoder
        self.heads = nn.ModuleList(heads)

    def forward(self, image: Tensor, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """Segment what the sentence refers to.

        Args:
            image: float (B, 3, H, W), ImageNet-normalised; H and W multiples of 32, more than 32 px in all.
            words: the encoder's last hidden state, float (B, T, D).
            keep: bool (B, T), True on real tokens.
            sentence: what the encoder makes of the whole, float (B, D); BERT's hidden state at `[CLS]`.
            auxiliary: whether to compute the coarser heads (training needs them, prediction does not).

        Raises:
            ValueError: the image has a size the network cannot take.
        """
        return self.decode(self.encode_image(image), words, keep, sentence, auxiliary=auxiliary)

    def encode_image(self, image: Tensor) -> ImageFeatures:
        """The part that sees no text, to be computed once per image."""
        _check_size(image)
        if self.beside:
            return ImageFeatures(tuple(self.stages[0](image)), (image.shape[2], image.shape[3]))
        maps: list[Tensor] = []
        x = image
        for stage in self.stages[: self.wordless + 1]:
            x = stage(x)
            maps.append(x)
        return ImageFeatures(tuple(maps), (image.shape[2], image.shape[3]))

    def decode(self, features: ImageFeatures, words: Tensor, keep: Tensor, sentence: Tensor, *, auxiliary: bool = True) -> Logits:
        """The part that follows the text: what `encode_image` saw and an expression as in `forward`, to logits."""
        text = EncodedText(words.transpose(1, 2), keep.unsqueeze(1).to(words.dtype), sentence.unsqueeze(-1))
        coarsest, fused = self._fuse(features, text)
        located = self.graph(coarsest, text.words, keep, _sum([step.words for step in fused]))
        skips = [*features.maps[: self.wordless], *(step.map for step in fused)]
        sentences = [None] * self.wordless + [step.sentence for step in fused]
        maps = self.decoder(located, skips[::-1], sentences[::-1])
        levels = len(maps) if auxiliary else 1
        scores = [_to_size(head(x), features.size) for head, x in list(zip(self.heads, maps, strict=True))[::-1][:levels]]
        return Logits(scores[0], scores[1:])

    def _fuse(self, features: ImageFeatures, text: EncodedText) -> tuple[Tensor, list[Fused]]:
        """Fuse text into every later stage and into the context: the coarsest map and what each fusion gave, finest first."""
        x, fused = features.maps[self.wordless], list[Fused]()
        for level, fusion in enumerate(self.fusions):
            if level:
                x = features.maps[self.wordless + level] if self.beside else self.stages[self.wordless + level](x)
            fused.append(fusion(x, text))
            x = x + fused[-1].map
        x = self.context(x)
        fused.append(self.context_fusion(x, text))
        return x + fused[-1].map, fused


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).sum(dim=0)


def _to_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _check_size(image: Tensor) -> None:
    """Refuse sizes on which the strides do not fit, or on which instance norm would see a single position."""
    height, width = image.shape[-2:]
    if height % STRIDE or width % STRIDE or height * width <= STRIDE * STRIDE:
        raise ValueError(
            f"the network takes images whose sides are multiples of {STRIDE} px (and more than one such square), not {height}×{width}"
        )
