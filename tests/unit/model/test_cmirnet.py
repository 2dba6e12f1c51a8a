"""The assembled network: the sizes it takes, what belongs together, what depends on what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.features import ImageFeatures, Logits


def all_heads(logits: Logits) -> torch.Tensor:
    return torch.stack([logits.main, *logits.auxiliary])


@pytest.mark.parametrize(("height", "width"), [(480, 480), (224, 224), (96, 96), (64, 96), (32, 64)])
@torch.inference_mode()
def test_logits_of_every_head_have_the_size_of_the_image(network: CMIRNet, inputs: Callable, height: int, width: int):
    logits = network(*inputs(height, width))
    assert all_heads(logits).shape == (len(network.heads), 1, 2, height, width)
    assert all_heads(logits).isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (100, 96), (96, 100), (0, 32), (31, 31)])
def test_size_that_the_strides_do_not_fit_is_refused_by_name(network: CMIRNet, inputs: Callable, height: int, width: int):
    with pytest.raises(ValueError, match=rf"multiples of 32 px .* not {height}×{width}"):
        network(*inputs(height, width))


@torch.inference_mode()
def test_image_in_a_batch_gets_the_logits_it_gets_alone(network: CMIRNet, inputs: Callable):
    both = inputs(96, 64, batch=2)
    together = all_heads(network(*both))
    for row in range(2):
        alone = all_heads(network(*(value[row : row + 1] for value in both)))
        torch.testing.assert_close(together[:, row : row + 1], alone, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_look_and_locate_are_forward_in_two_steps(network: CMIRNet, inputs: Callable):
    image, *text = inputs(96, 64, batch=2)
    torch.testing.assert_close(
        all_heads(network.decode(network.encode_image(image), *text)), all_heads(network(image, *text)), atol=0, rtol=0
    )


@torch.inference_mode()
def test_image_seen_once_serves_many_expressions(network: CMIRNet, inputs: Callable):
    image, words, keep, sentence = inputs(96, 64, batch=3)
    once = network.decode(network.encode_image(image[:1]).repeat(3), words, keep, sentence)
    thrice = network(image[:1].expand(3, -1, -1, -1), words, keep, sentence)
    torch.testing.assert_close(all_heads(once), all_heads(thrice), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_images_seen_in_several_batches_may_share_one_and_have_several_expressions_each(network: CMIRNet, inputs: Callable):
    images, words, keep, sentence = inputs(96, 64, batch=4)
    rows = [row for pair in (images[:2], images[2:]) for row in network.encode_image(pair).rows()]
    order = [3, 1, 1, 0]
    found = network.decode(ImageFeatures.together([rows[place] for place in order]), words, keep, sentence)
    torch.testing.assert_close(all_heads(found), all_heads(network(images[order], words, keep, sentence)), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_main_logits_are_the_same_without_the_auxiliary_heads(network: CMIRNet, inputs: Callable):
    given = inputs(96, 64)
    without = network(*given, auxiliary=False)
    assert without.auxiliary == []
    torch.testing.assert_close(without.main, network(*given).main, atol=0, rtol=0)


@torch.inference_mode()
def test_what_padding_words_hold_reaches_the_mask(network: CMIRNet, inputs: Callable):
    image, words, keep, sentence = inputs(96, 64)
    other = torch.where(keep[..., None], words, words + 5)
    assert not torch.equal(network(image, other, keep, sentence).main, network(image, words, keep, sentence).main)


@torch.inference_mode()
def test_graph_without_padding_differs_for_short_expressions_alone(network: CMIRNet, inputs: Callable):
    image, words, keep, sentence = inputs(96, 64, batch=2)
    keep = torch.stack([keep[0], torch.ones_like(keep[1])])
    graphs: list[torch.Tensor] = []
    network.graph.graph.register_forward_hook(lambda module, given, graph: graphs.append(graph))
    for padding in (True, False):
        network.graph.graph.padding = padding
        network(image, words, keep, sentence)
    short, full = (graphs[1] - graphs[0]).abs().amax(dim=(1, 2, 3)) / graphs[0].abs().amax(dim=(1, 2, 3))
    assert short > 1e-2
    assert full == 0


@torch.inference_mode()
def test_sentence_reaches_the_mask_without_the_words(network: CMIRNet, inputs: Callable):
    image, words, keep, sentence = inputs(96, 64)
    assert not torch.allclose(network(image, words, keep, -sentence).main, network(image, words, keep, sentence).main)
