"""Text encoders of every kind, made small from their configurations: read from a folder, asked, trained, saved and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from cmirnet_cli.batches.batch import end_mark, padding, tokenise
from cmirnet_cli.config import ModelConfig
from cmirnet_cli.export.preprocessing import SentenceReader
from cmirnet_cli.export.spec import Input
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder, most_tokens, sentence_of, usual_place
from cmirnet_cli.weights.bundle import filled_model
from cmirnet_cli.weights.encoder import encoder_from_config, load_encoder, load_tokenizer
from cmirnet_cli.weights.folder import BundleConfig

WORDS = ("the", "red", "cup", "left", "person", "links", "rote", "Tasse", "杯子")
TEXTS = ["the red cup", "left person", "links rote Tasse", "红 杯子"]
LENGTH, POSITIONS, WIDTH, LAYERS = 12, 26, 32, 3


class Marks(NamedTuple):
    """A family of tokenizers: special tokens in the order of their ids, what surrounds a sentence, what each is called."""

    special: tuple[str, ...]
    form: str
    names: dict[str, str]


BERT = Marks(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    "[CLS] $A [SEP]",
    {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
)
ROBERTA = Marks(
    ("<s>", "<pad>", "</s>", "<unk>"),
    "<s> $A </s>",
    {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>", "eos_token": "</s>"},
)
CLIP = Marks(
    ("<unk>", "<start>", "<end>"),
    "<start> $A <end>",
    {"pad_token": "<end>", "unk_token": "<unk>", "bos_token": "<start>", "eos_token": "<end>"},
)
SIGLIP = Marks(("<unk>", "</s>"), "$A </s>", {"pad_token": "</s>", "unk_token": "<unk>", "eos_token": "</s>"})
T5 = Marks(("<pad>", "</s>", "<unk>"), "$A </s>", {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"})

SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 16}
SIZES |= {"max_position_embeddings": POSITIONS}
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
TRANSLATOR = {"d_model": WIDTH, "d_kv": 16, "d_ff": 48, "num_layers": LAYERS, "num_heads": 2, "vocab_size": 16}
CLIP_TEXT = SIZES | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
SIGLIP_TEXT = SIZES | {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
PICTURES = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 16,
}


class Kind(NamedTuple):
    """An encoder: transformers' class and configuration, its tokenizer, where it keeps the sentence, how many tokens it reads."""

    model: str
    config: str
    settings: dict[str, Any]
    marks: Marks
    place: str = "cls"
    most: int | None = POSITIONS


KINDS = {
    "BERT": Kind("BertModel", "BertConfig", SIZES, BERT),
    "RoBERTa": Kind("RobertaModel", "RobertaConfig", SIZES | {"pad_token_id": 1}, ROBERTA, most=POSITIONS - 2),
    "XLM-R": Kind("XLMRobertaModel", "XLMRobertaConfig", SIZES | {"pad_token_id": 1}, ROBERTA, most=POSITIONS - 2),
    "DeBERTa": Kind("DebertaModel", "DebertaConfig", SIZES | RELATIVE, BERT),
    "DeBERTa v3": Kind("DebertaV2Model", "DebertaV2Config", SIZES | RELATIVE | {"position_buckets": 8, "share_att_key": True}, BERT),
    "DistilBERT": Kind(
        "DistilBertModel", "DistilBertConfig", {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 48}, BERT, most=512
    ),
    "ModernBERT": Kind("ModernBertModel", "ModernBertConfig", SIZES | {"pad_token_id": 0, "local_attention": 8}, BERT),
    "CLIP": Kind("CLIPTextModel", "CLIPTextConfig", CLIP_TEXT, CLIP, "eos"),
    "all of CLIP": Kind("CLIPModel", "CLIPConfig", {"text_config": CLIP_TEXT, "vision_config": PICTURES}, CLIP, "eos"),
    "SigLIP": Kind("SiglipTextModel", "SiglipTextConfig", SIGLIP_TEXT, SIGLIP, "eos"),
    "all of SigLIP": Kind("SiglipModel", "SiglipConfig", {"text_config": SIGLIP_TEXT, "vision_config": PICTURES}, SIGLIP, "eos"),
    "T5's encoder": Kind("T5EncoderModel", "T5Config", TRANSLATOR, T5, "mean", None),
    "all of T5": Kind("T5Model", "T5Config", TRANSLATOR, T5, "mean", None),
    "all of mT5": Kind("MT5Model", "MT5Config", TRANSLATOR, T5, "mean", None),
}


def tokenizer_with(marks: Marks) -> PreTrainedTokenizerFast:
    vocabulary = {word: place for place, word in enumerate([*marks.special, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=marks.names["unk_token"]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [(mark, vocabulary[mark]) for mark in marks.special if mark in marks.form]
    made.post_processor = processors.TemplateProcessing(single=marks.form, special_tokens=around)
    return PreTrainedTokenizerFast(tokenizer_object=made, **marks.names)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def folder(kind: Kind, tmp_path: Path) -> Path:
    """As transformers writes it."""
    torch.manual_seed(0)
    settings = kind.settings if "vocab_size" in kind.settings or "text_config" in kind.settings else kind.settings | {"vocab_size": 16}
    getattr(transformers, kind.model)(getattr(transformers, kind.config)(**settings)).save_pretrained(tmp_path)
    tokenizer_with(kind.marks).save_pretrained(tmp_path)
    return tmp_path


def test_an_encoder_of_any_kind_is_read_asked_trained_and_read_again(kind: Kind, folder: Path):
    encoder, tokenizer = load_encoder(str(folder)).eval(), load_tokenizer(str(folder))
    text = TextEncoder(encoder).eval()
    tokens = tokenise(tokenizer, TEXTS, LENGTH)
    words = text(tokens.ids, tokens.keep)
    assert words.shape == (len(TEXTS), LENGTH, WIDTH)
    assert encoder.config.hidden_size == WIDTH
    assert (usual_place(encoder, tokenizer), most_tokens(encoder)) == (kind.place, kind.most)
    for row, own in enumerate(tokens.keep.sum(dim=1)):  # padding changes nothing
        alone = text(tokens.ids[row : row + 1, :own], tokens.keep[row : row + 1, :own])
        torch.testing.assert_close(words[row, :own], alone[0], atol=5e-6, rtol=1e-4)
    again = TextEncoder(encoder_from_config(encoder.config.to_dict())).eval()
    again.load_state_dict(text.state_dict(), strict=True)
    assert torch.equal(again(tokens.ids, tokens.keep), words)
    text.choose_trained("all")
    text(tokens.ids, tokens.keep).sum().backward()
    assert [name for name, each in encoder.named_parameters() if each.requires_grad and each.grad is None] == []


@pytest.mark.parametrize("kind", ["T5's encoder"], indirect=True)
def test_weights_that_an_encoder_shares_stay_shared_when_a_model_is_read(kind: Kind, folder: Path):
    """T5 names its embeddings twice. If they came apart, they would be trained apart after a resumption."""
    model = ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=WIDTH)
    text = TextEncoder(load_encoder(str(folder)), sentence="mean")
    whole = ReferringModel(build_network(model), text)
    described = BundleConfig(model=model, encoder=text.encoder.config.to_dict(), tokens=LENGTH, sentence="mean", image_size=64)
    again = filled_model(described, whole.state_dict())
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in whole.named_parameters()]


def test_published_training_means_the_same_for_every_kind(kind: Kind, folder: Path):
    encoder = load_encoder(str(folder))
    TextEncoder(encoder).choose_trained("published")
    trained = {name for name, each in encoder.named_parameters() if each.requires_grad}
    numbers = {next(part for part in name.split(".") if part.isdigit()) for name in trained}
    assert numbers == {"0"}  # of three layers all but the last two
    assert not any("embedding" in name or name.startswith("shared") for name in trained)


def test_an_export_reads_sentences_as_the_weights_do(kind: Kind, folder: Path):
    tokenizer = load_tokenizer(str(folder))
    for length in (3, LENGTH):
        tokens = tokenise(tokenizer, TEXTS, length)
        prepared = Input(image_size=64, mean=(0, 0, 0), std=(1, 1, 1), tokens=length, pad=padding(tokenizer), end=end_mark(tokenizer))
        read = SentenceReader.of(folder, prepared).read(TEXTS)
        assert read.ids.tolist() == tokens.ids.tolist()
        assert read.mask.tolist() == tokens.keep.long().tolist()


def test_a_cut_sentence_keeps_its_end_where_the_sentence_is_read_there():
    for marks, last in ((BERT, "red"), (CLIP, "<end>"), (T5, "</s>")):
        tokenizer = tokenizer_with(marks)
        tokens = tokenise(tokenizer, ["the red cup left person"], 3)
        assert tokenizer.convert_ids_to_tokens(int(tokens.ids[0, -1])) == last


def test_a_sentence_is_the_first_word_the_last_or_the_mean_of_the_real_ones():
    words, keep = torch.arange(24.0).view(2, 4, 3), torch.tensor([[True, True, False, False], [True, True, True, True]])
    assert sentence_of(words, keep, "cls").tolist() == [[0, 1, 2], [12, 13, 14]]
    assert sentence_of(words, keep, "eos").tolist() == [[3, 4, 5], [21, 22, 23]]
    assert sentence_of(words, keep, "mean").tolist() == [[1.5, 2.5, 3.5], [16.5, 17.5, 18.5]]
