"""Saved weights with their card: what it says, and what saving does not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import UsageError, WeightsError
from cmirnet_cli.metrics.scores import METRICS, Metric
from cmirnet_cli.metrics.sentences import Overlap, SentenceScore, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions, report
from cmirnet_cli.reports.evaluation.results import describe
from cmirnet_cli.weights.bundle import Bundle

pytestmark = pytest.mark.parametrize("bundle", ["resnet-nano"], indirect=True)


@pytest.fixture
def segmenter(bundle: Bundle) -> Segmenter:
    return Segmenter(bundle, torch.device("cpu"))


DICE = Metric("dice", "Dice", lambda tally: 2 * tally.intersection, lambda tally: tally.union + tally.intersection, level="brief")
SCORING = ScoringOptions(metrics=(*METRICS, DICE))


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """What `cmirnet eval --out` writes about two sentences, one found wholly and one by half, with a metric that is new."""
    overlaps = [
        {"paper": Overlap(10, 10, 10), "original": Overlap(40, 40, 40)},
        {"paper": Overlap(5, 10, 5), "original": Overlap(20, 80, 20)},
    ]
    sentences = tuple(SentenceScore(k, k, f"{k}", "text", each) for k, each in enumerate(overlaps))
    scored = [SplitScores("testA", ("paper", "original"), sentences)]
    data = {"dataset": "refcoco", "split_by": "unc", "fingerprint": "x"}
    path = tmp_path / "scores.json"
    path.write_text(
        json.dumps(
            {
                "schema_version": 1,
                "program": "0",
                "weights": {},
                "data": data,
                **describe([report(each, SCORING) for each in scored], SCORING),
            }
        )
    )
    return path


def header(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "README.md").read_text().split("---")[1])


def test_card_says_what_it_is_and_how_to_use_it(segmenter: Segmenter, bundle: Bundle, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    numbers = sum(parameter.numel() for parameter in bundle.model.parameters())
    for fact in (
        bundle.config.model.backbone,
        f"{numbers:,}",
        "drawn-made",
        "64 × 64 pixels, 20 tokens",
        "cmirnet eval",
        "No licence is stated",
    ):
        assert fact in card
    assert f'from_pretrained("{tmp_path / "out"}")' in card


def test_header_is_the_hubs(segmenter: Segmenter, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "out", license="apache-2.0")
    facts = header(tmp_path / "out")
    assert (facts["license"], facts["library_name"], facts["pipeline_tag"]) == ("apache-2.0", "cmirnet", "image-segmentation")
    assert "referring-image-segmentation" in facts["tags"]
    assert "`apache-2.0`" in (tmp_path / "out" / "README.md").read_text()


def test_given_scores_stand_in_the_card_under_their_protocols(segmenter: Segmenter, scores: Path, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "out", scores=scores)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| split | protocol | oIoU | mIoU | P@.5 | Dice | sentences |\n|---|---|---|---|---|---|---|\n" in card
    assert "| testA | paper | 75.00 | 75.00 | 100.00 | 85.71 | 2 |" in card
    assert "| testA | original | 50.00 | 62.50 | 50.00 | 66.67 | 2 |" in card
    assert "- *paper*: prediction and target compared at the network's input size" in card
    results = header(tmp_path / "out")["model-index"][0]["results"]
    assert [metric["value"] for result in results for metric in result["metrics"]] == [75.0, 75.0, 50.0, 62.5]


def test_scores_of_an_older_program_stand_under_their_names(segmenter: Segmenter, scores: Path, tmp_path: Path):
    older = json.loads(scores.read_text())
    del older["metrics"]
    scores.write_text(json.dumps(older))
    segmenter.save_pretrained(tmp_path / "out", scores=scores)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| split | protocol | overall_iou | mean_iou | precision@0.5 |" in card
    assert "| testA | original | 50.00 | 62.50 | 50.00 |" in card


@pytest.mark.parametrize("text", ["", "{}", '{"splits": {"val": {"paper": {}}}}'])
def test_file_that_holds_no_scores_is_refused_and_nothing_is_written(segmenter: Segmenter, tmp_path: Path, text: str):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(WeightsError, match=r"is not a scores\.json: [^\n]+$"):
        segmenter.save_pretrained(tmp_path / "out", scores=tmp_path / "scores.json")
    assert not (tmp_path / "out").exists()


def test_weights_are_replaced_with_leave_only(segmenter: Segmenter, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "out")
    with pytest.raises(UsageError, match="exists already"):
        segmenter.save_pretrained(tmp_path / "out")
    segmenter.save_pretrained(tmp_path / "out", license="mit", overwrite=True)
    assert header(tmp_path / "out")["license"] == "mit"


@pytest.mark.parametrize("beside", ["letter.txt", "config.json", ".git/HEAD"])
def test_folder_of_other_things_is_never_replaced(segmenter: Segmenter, tmp_path: Path, beside: str):
    (tmp_path / "home" / beside).parent.mkdir(parents=True)
    (tmp_path / "home" / beside).write_text("dear")
    with pytest.raises(UsageError, match="other things than weights"):
        segmenter.save_pretrained(tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / beside).read_text() == "dear"


def test_cloned_repository_is_not_taken_for_a_mere_weights_folder(segmenter: Segmenter, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "out")
    (tmp_path / "out" / ".git").mkdir()
    with pytest.raises(UsageError, match="other things than weights"):
        segmenter.save_pretrained(tmp_path / "out", overwrite=True)


def test_everybody_who_may_read_the_settings_may_read_the_weights(segmenter: Segmenter, tmp_path: Path):
    segmenter.save_pretrained(tmp_path / "out")
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1
