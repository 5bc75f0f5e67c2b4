"""The model card: README.md of a trained model's folder, as the Hugging Face hub shows it.

It holds nothing that differs between two runs of the same training (no dates, no timings), because the folder's hash
decides what is made again.
"""

from __future__ import annotations

from typing import Any

from larp_core.config.recipes import RECIPES, Recipe
from larp_core.model.co_playlist import CoPlaylistConfig
from larp_core.model.configuration_larp import LarpConfig

_DEMO_SOURCE = ("the demo world", "synthetic music, names and playlists made by this project; no third-party rights")
_SOURCES = {
    "mpd": ("Million Playlist Dataset (Spotify, 2018)", "the terms that its files came under: non-commercial research"),
    "lfm": ("LFM-2b (JKU Linz, 2022)", "the terms that its files came under: research"),
    "own": ("the user's own playlists and music", "whatever the owners of each file allow"),
}
_AUDIO = (
    "audio clips",
    "each recording's rights holders; the ledger records where every file came from; none is in here",
)
_USAGE = """```python
import larp_core.model  # registers the classes
from transformers import AutoModel, AutoProcessor

model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
inputs = processor(audio=waveform, sampling_rate=44_100, text=caption, crop="center")
vectors = model(**inputs).track_embeds  # or model.encode_tracks(processor, waveforms, captions, sampling_rate=44_100)
```"""

_USAGE_BY_SOUND = """```python
import larp_core.model  # registers the classes
from transformers import AutoModel

vectors = AutoModel.from_pretrained(folder).eval()(log_mels)  # [batch, 1, 1001, 64], see larp_core.audio.mels.log_mel
```"""


def model_card(
    record: dict[str, Any], config: LarpConfig | CoPlaylistConfig, test_scores: dict[str, float] | None = None
) -> str:
    """The card as Markdown with YAML front matter.

    Args:
        record: `training.json` of the stage; what it does not hold is told as not recorded.
        test_scores: metric name -> value on the test playlists, once there are some.
    """
    return "\n".join([*_front_matter(record, test_scores or {}), *_body(record, config, test_scores or {})]) + "\n"


def _front_matter(record: dict[str, Any], test_scores: dict[str, float]) -> list[str]:
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: feature-extraction",
        "license: other",
        "license_name: see-sources",
        "tags:",
        *(f"- {tag}" for tag in ("larp", "music", "audio", "language-audio", "playlist-continuation")),
    ]
    scores = [("validation", "Recall@10", value)] if (value := _valid_recall(record)) is not None else []
    scores += [("test", name, value) for name, value in sorted(test_scores.items())]
    if scores:
        lines += ["model-index:", f"- name: {record.get('encoder', 'larp')}", "  results:"]
        lines += ["  - task:", "      type: playlist-continuation", "    dataset:"]
        lines += [f"      name: {_dataset(record)}", f"      type: {_dataset(record)}", "    metrics:"]
        for split, name, value in scores:
            lines += [f"    - type: {name.lower()}", f"      name: {split} {name}", f"      value: {value:.4f}"]
    return [*lines, "---", ""]


def _body(record: dict[str, Any], config: LarpConfig | CoPlaylistConfig, test_scores: dict[str, float]) -> list[str]:
    lines = [
        f"# {record.get('encoder', 'LARP')}",
        "",
        "Language-audio vectors of music tracks for cold-start playlist continuation, after LARP (Salganik et al., KDD "
        "2024, doi 10.1145/3637528.3671772).",
        "",
        "| | |",
        "|---|---|",
        f"| trained on | {_dataset(record)} |",
        f"| recipe | {_told(record, 'recipe')}, seed {_told(record, 'seed')} |",
        f"| started from | {_start(record)} |",
        f"| data fingerprint | `{_told(record, 'data_fingerprint')}` |",
        *(f"| {part} | {told} |" for part, told in config.parts().items()),
        "",
        "## Scores",
        "",
        "| split | metric | value |",
        "|---|---|---|",
        *_score_rows(record, test_scores),
        "",
        "## Use",
        "",
        _USAGE if isinstance(config, LarpConfig) else _USAGE_BY_SOUND,
        "",
        "A clip is 10 s; other rates than 48 kHz are resampled. A track may lack its sound or its caption.",
        "",
        "## Sources and their licences",
        "",
        *(f"- {name}: {licence}" for name, licence in _sources(record)),
        "",
    ]
    return lines


def _score_rows(record: dict[str, Any], test_scores: dict[str, float]) -> list[str]:
    rows = []
    if (value := _valid_recall(record)) is not None:
        rows.append(f"| validation | Recall@10, ItemKNN, best epoch {record['best_epoch']} | {value:.4f} |")
    if "random_recall_at_10" in record:
        rows.append(f"| validation | Recall@10 of a random order | {record['random_recall_at_10']:.4f} |")
    rows += [f"| test | {name} | {value:.4f} |" for name, value in sorted(test_scores.items())]
    return rows if test_scores else [*rows, "| test | not measured when this was written: see the tables | |"]


def _valid_recall(record: dict[str, Any]) -> float | None:
    """Recall@10 of the epoch whose weights these are."""
    best = [point for point in record.get("curve", []) if point["epoch"] == record["best_epoch"]]
    return best[0]["valid_recall_at_10"] if best else None


def _told(record: dict[str, Any], name: str) -> str:
    return str(record.get(name, "not recorded"))


def _dataset(record: dict[str, Any]) -> str:
    return "demo world" if record.get("is_demo") else _told(record, "dataset")


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
    dataset = record.get("dataset", "")
    return [
        _SOURCES.get(dataset, (dataset or "a dataset that was not recorded", "not known")),
        _AUDIO,
        *_pretrained(record),
    ]
