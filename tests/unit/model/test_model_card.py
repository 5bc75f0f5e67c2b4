from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from training_world import make_inputs
from transformers import AutoModel, AutoProcessor

from larp_core.config.recipes import PAPER, SMOKE
from larp_core.model.card import model_card
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.runtime.files import hash_file
from larp_core.training.stages import save_model

RECORD = {
    "encoder": "larp_ttc",
    "dataset": "mpd",
    "is_demo": False,
    "recipe": "paper",
    "seed": 42,
    "parent": None,
    "pretrained": True,
    "data_fingerprint": "abc123",
    "best_epoch": 1,
    "curve": [{"epoch": 0, "valid_recall_at_10": 0.01}, {"epoch": 1, "valid_recall_at_10": 0.0425}],
    "random_recall_at_10": 0.0014,
}
CONFIG = LarpConfig.from_recipe(PAPER.model, 30_522)


def split_card(card: str) -> tuple[dict, str]:
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_tells_recipe_fingerprint_scores_and_sources() -> None:
    front, body = split_card(model_card(RECORD, CONFIG))
    assert front["library_name"] == "transformers" and front["pipeline_tag"] == "feature-extraction"
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert metrics == [{"type": "recall@10", "name": "validation Recall@10", "value": 0.0425}]
    for told in ("paper, seed 42", "`abc123`", "0.0425", "0.0014", "Million Playlist", "laion/clap-htsat-unfused"):
        assert told in body
    assert "not measured" in body


def test_test_scores_are_added_when_there_are_some() -> None:
    front, body = split_card(model_card(RECORD, CONFIG, {"NDCG@10": 0.2, "Recall@10": 0.04}))
    assert [m["name"] for m in front["model-index"][0]["results"][0]["metrics"]][1:] == [
        "test NDCG@10",
        "test Recall@10",
    ]
    assert re.search(r"\| test +\| +Recall@10 \| 0\.0400 \|", body) and "not measured" not in body


def test_the_demo_world_has_no_ones_rights_and_an_empty_record_is_told_as_such() -> None:
    assert "synthetic" in model_card(RECORD | {"is_demo": True, "pretrained": False}, CONFIG)
    front, body = split_card(model_card({}, CONFIG))
    assert "model-index" not in front and body.count("not recorded") >= 3


@pytest.mark.parametrize("timing", ["seconds", "tracks_per_second"])
def test_timings_are_not_in_it(timing: str) -> None:
    curve = [point | {timing: 123.456} for point in RECORD["curve"]]  # type: ignore[attr-defined]
    assert model_card(RECORD | {"curve": curve}, CONFIG) == model_card(RECORD, CONFIG)


def test_a_stages_folder_is_whole_and_the_same_for_the_same_training(tmp_path: Path) -> None:
    inputs = make_inputs()
    model = build_model(SMOKE.model, len(inputs.tokenizer), seed=1)
    for name in ("first", "second"):
        save_model(tmp_path / name, model, inputs.tokenizer, RECORD)
    assert hash_file(tmp_path / "first") == hash_file(tmp_path / "second")
    assert (tmp_path / "first" / "README.md").read_text() == model_card(RECORD, model.config)
    assert json.loads((tmp_path / "first" / "training.json").read_text()) == RECORD
    assert isinstance(AutoModel.from_pretrained(tmp_path / "first"), LarpModel)
    processor = AutoProcessor.from_pretrained(tmp_path / "first")
    assert processor.tokenizer.get_vocab() == inputs.tokenizer.get_vocab()
    assert inputs.tokenizer.model_max_length != processor.tokenizer.model_max_length == model.config.max_tokens
