"""Steps that score encoders and the rows without a model on the test playlists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from larp_core.config.encoders import CATALOGUE, Encoder
from larp_core.evaluation.names import HYBRID_ENCODERS
from larp_core.graph.job import Call, Job, Step
from larp_core.graph.words import after, of_section, recipe


def _scores_of(name: str) -> Callable[[Job], list[Path]]:
    """The ranked lists, every playlist's values, the summary."""
    return lambda job: [job.paths.rankings(name), job.paths.scores(f"{name}_playlists"), job.paths.scores(name)]


def _scores(encoder: Encoder) -> Step:
    def arguments(job: Job) -> dict[str, Any]:
        sections = {"config": job.recipe.evaluation, "recommenders": job.recipe.recommenders}
        return {"encoder": encoder.name, "paths": job.paths, **sections}

    return Step(
        f"scores/{encoder.name}",
        f"ItemKNN, DropoutNet and CLCRec on {encoder.title}: metrics on the test playlists, with bootstrap intervals.",
        Call("larp_core.evaluation.scores:score_encoder", arguments),
        upstream=after(f"embeddings/{encoder.name}", "playlists", "cold_start_split", "wmf"),
        outputs=_scores_of(encoder.name),
        config=recipe("evaluation", "recommenders"),
        torch=True,
        kinds=("parquet", "pytorch"),
        version=4,
    )


EVALUATION = [
    Step(
        "wmf",
        "Weighted matrix factorisation of train playlists x train tracks: collaborative vectors for DropoutNet.",
        Call(
            "larp_core.evaluation.recommenders.wmf:fit_wmf",
            lambda job: {"paths": job.paths, "config": job.recipe.recommenders.wmf},
        ),
        upstream=after("playlists", "cold_start_split"),
        outputs=lambda job: [job.paths.wmf_playlists, job.paths.wmf_tracks],
        config=lambda job: asdict(job.recipe.recommenders.wmf),
        kinds=("parquet", "numpy"),
    ),
    Step(
        "scores/metadata",
        "Rows without a model: random, oracle, same artist, artist + album, artist co-occurrence, caption TF-IDF.",
        of_section("larp_core.evaluation.scores:score_metadata_rows", "evaluation"),
        upstream=after("playlists", "captions", "metadata", "cold_start_split"),
        outputs=_scores_of("metadata"),
        config=recipe("evaluation"),
        kinds=("parquet", "numpy"),
        version=3,
    ),
    *(_scores(encoder) for encoder in CATALOGUE.values()),
    Step(
        "scores/hybrid",
        "LARP's vectors and the metadata combined, weights fitted on validation; and the metadata alone.",
        of_section("larp_core.evaluation.hybrid:score_hybrids", "evaluation"),
        upstream=after(
            *("playlists", "captions", "metadata", "cold_start_split"),
            *(f"embeddings/{encoder}" for encoder in HYBRID_ENCODERS),
        ),
        outputs=_scores_of("hybrid"),
        config=recipe("evaluation"),
        kinds=("parquet", "numpy"),
    ),
]
