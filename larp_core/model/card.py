"""The model card: README.md of a trained model's folder, as the Hugging Face hub shows it.

It holds nothing that differs between two runs of the same training (no dates, no timings), because the folder's hash
decides what is made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from larp_core.config.datasets import DATASETS
from larp_core.config.recipes import RECIPES, Recipe
from larp_core.model.co_playlist import CoPlaylistModelConfig
from larp_core.model.configuration_larp import LarpConfig
from larp_core.runtime.markdown import table

TEMPLATE = Path(__file__).parent / "templates" / "card.md.j2"
TAGS = ["larp", "music", "audio", "language-audio", "playlist-continuation"]
TASK = "playlist-continuation"
DECIMALS = 4

_DEMO_SOURCE = ("the demo world", "synthetic music, names and playlists made by this project; no third-party rights")
_AUDIO = (
    "audio clips",
    "each recording's rights holders; the ledger records where every file came from; none is in here",
)


def model_card(
    record: dict[str, Any], config: LarpConfig | CoPlaylistModelConfig, test_scores: dict[str, float] | None = None
) -> str:
    """The card as Markdown with YAML front matter.

    Args:
        record: `training.json` of the stage; what it does not hold is told as not recorded.
        test_scores: metric name -> value on the test playlists, once there are some.
    """
    tests = test_scores or {}
    card = ModelCard.from_template(
        _data(record, tests),
        template_path=str(TEMPLATE),
        title=record.get("encoder", "LARP"),
        facts=table(["", ""], _facts(record, config)).rstrip(),
        scores=table(["split", "metric", "value"], _score_rows(record, tests)).rstrip(),
        hears_alone=isinstance(config, CoPlaylistModelConfig),
        sources=_sources(record),
    )
    return f"{str(card).rstrip()}\n"


def _data(record: dict[str, Any], test_scores: dict[str, float]) -> ModelCardData:
    scores = [("validation", "Recall@10", value)] if (value := _valid_recall(record)) is not None else []
    scores += [("test", name, value) for name, value in sorted(test_scores.items())]
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=_dataset(record),
            dataset_name=_dataset(record),
            metric_type=name.lower(),
            metric_name=f"{split} {name}",
            metric_value=round(value, DECIMALS),
        )
        for split, name, value in scores
    ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="feature-extraction",
        license="other",
        license_name="see-sources",
        tags=TAGS,
        model_name=record.get("encoder", "larp") if results else None,
        eval_results=results or None,
    )


def _facts(record: dict[str, Any], config: LarpConfig | CoPlaylistModelConfig) -> list[list[str]]:
    return [
        ["trained on", _dataset(record)],
        ["recipe", f"{_recorded(record, 'recipe')}, seed {_recorded(record, 'seed')}"],
        ["started from", _start(record)],
        ["data fingerprint", f"`{_recorded(record, 'data_fingerprint')}`"],
        *([part, says] for part, says in config.parts().items()),
    ]


def _score_rows(record: dict[str, Any], test_scores: dict[str, float]) -> list[list[str]]:
    rows = []
    if (value := _valid_recall(record)) is not None:
        rows.append(["validation", f"Recall@10, ItemKNN, best epoch {record['best_epoch']}", f"{value:.{DECIMALS}f}"])
    if (chance := record.get("random_recall_at_10")) is not None:
        rows.append(["validation", "Recall@10 of a random order", f"{chance:.{DECIMALS}f}"])
    rows += [["test", name, f"{value:.{DECIMALS}f}"] for name, value in sorted(test_scores.items())]
    return rows if test_scores else [*rows, ["test", "not measured when this was written: see the tables", ""]]


def _valid_recall(record: dict[str, Any]) -> float | None:
    """Recall@10 of the epoch whose weights these are."""
    best = [point for point in record.get("curve", []) if point["epoch"] == record["best_epoch"]]
    return best[0]["valid_recall_at_10"] if best else None


def _recorded(record: dict[str, Any], name: str) -> str:
    return str(record.get(name, "not recorded"))


def _dataset(record: dict[str, Any]) -> str:
    return "demo world" if record.get("is_demo") else _recorded(record, "dataset")


def _start(record: dict[str, Any]) -> str:
    if record.get("parent"):
        return str(record["parent"])
    named = [name for name, _ in _pretrained(record)]
    return ", ".join(named) if named else "random weights"


def _pretrained(record: dict[str, Any]) -> list[tuple[str, str]]:
    recipe: Recipe | None = RECIPES.get(record.get("recipe", ""))
    if recipe is None or not record.get("pretrained"):
        return []
    towers = (recipe.model.audio.pretrained, recipe.model.text.pretrained)
    return [(name, "pretrained weights, under the licence on their own card") for name in towers if name]


def _sources(record: dict[str, Any]) -> list[tuple[str, str]]:
    if record.get("is_demo"):
        return [_DEMO_SOURCE, *_pretrained(record)]
    name = record.get("dataset", "")
    spec = DATASETS.get(name)
    source = (spec.title, spec.licence) if spec else (name or "a dataset that was not recorded", "not known")
    return [source, _AUDIO, *_pretrained(record)]
