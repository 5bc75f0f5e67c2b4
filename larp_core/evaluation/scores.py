"""Scores of one encoder, or of the rows without a model, on a dataset's test playlists."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np
import polars as pl

from larp_core.config import EvaluationConfig
from larp_core.config.encoders import fuses_playlists
from larp_core.config.paths import DatasetPaths
from larp_core.config.recommenders import RecommendersConfig
from larp_core.evaluation.artist_affinity import choose_shrinkage
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.metadata_rows import metadata_frames, metadata_rankings
from larp_core.evaluation.rankings import values_of
from larp_core.evaluation.recommenders.catalogue import recommenders_of
from larp_core.evaluation.recommenders.factors import load_factors
from larp_core.evaluation.recommenders.recommender import Inputs, Pairs, Recommender
from larp_core.evaluation.score_files import METADATA, report_scores, write_scores
from larp_core.evaluation.split_statistics import playlist_members
from larp_core.evaluation.vectors import MISSING, checked_footer, load_playlist_vectors, load_vectors
from larp_core.runtime.errors import UserError
from larp_core.runtime.report import Report

logger = logging.getLogger(__name__)

FOOTER_KEYS = ("pretrained", MISSING)


def score_encoder(
    encoder: str, paths: DatasetPaths, config: EvaluationConfig, recommenders: RecommendersConfig
) -> Report:
    """Every recommender on `embeddings/<encoder>.parquet`; footers hand on whether the encoder was pretrained.

    Raises:
        UserError: no test playlist has a target, or no train track a vector; embeddings that are not what they say, see
            `checked_footer`.
    """
    holdouts = load_holdouts(paths, "test")
    footer = {key: value for key, value in checked_footer(paths, encoder).items() if key in FOOTER_KEYS}
    if MISSING in footer:
        write_scores(paths, config, encoder, holdouts, {}, {}, footer)
        return Report(0, facts={MISSING: footer[MISSING]})
    inputs = load_inputs(paths, encoder)
    if fuses_playlists(encoder, config):
        inputs = replace(inputs, playlists=load_playlist_vectors(paths.playlist_embeddings(encoder)))
    asked = recommenders_of(config, recommenders, paths.tuning(encoder))
    rankings = {recommender.name: _ranked(recommender, inputs, holdouts, config) for recommender in asked}
    frames = {name: values_of(lists, holdouts, config.ks) for name, lists in rankings.items()}
    num_with_vector = int(np.isin(holdouts.candidates, inputs.track_ids).sum())
    facts = {"num_candidates_with_vector": num_with_vector, "vector_width": inputs.vectors.shape[1]}
    summary = write_scores(paths, config, encoder, holdouts, rankings, frames, footer)
    return report_scores(config, holdouts, summary, facts)


def score_metadata_rows(paths: DatasetPaths, config: EvaluationConfig) -> Report:
    """The rows random, oracle, same artist, artist + album, artist co-occurrence and caption TF-IDF.

    Random and oracle have no ranked lists: the one is an expectation, the other a bound.

    Raises:
        UserError: no test or no validation playlist has a target.
    """
    holdouts = load_holdouts(paths, "test")
    shrinkage, recalls = choose_shrinkage(paths)
    rankings = metadata_rankings(paths, holdouts, max(config.ks), shrinkage)
    frames = metadata_frames(rankings, holdouts, config.ks)
    facts = {"artist_shrinkage": shrinkage, "valid_recall_at_40_by_shrinkage": recalls}
    return report_scores(config, holdouts, write_scores(paths, config, METADATA, holdouts, rankings, frames, {}), facts)


def load_inputs(paths: DatasetPaths, encoder: str) -> Inputs:
    """The encoder's vectors, the train pairs and WMF's factors, by ascending ids: no file's order leaks into what is
    learned. Raises ValueError as `load_vectors` does."""
    track_ids, vectors = load_vectors(paths.embeddings(encoder))
    order = np.argsort(track_ids)
    track_ids, vectors = track_ids[order], vectors[order]
    tracks = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == "train")["track_id"]
    members = playlist_members(paths).filter(pl.col("split") == "train").sort("playlist_id", "track_id")
    train = Pairs(members["playlist_id"].to_numpy(), members["track_id"].to_numpy())
    is_train = np.isin(track_ids, tracks.to_numpy())
    return Inputs(track_ids, vectors, is_train, train, load_factors(paths), _validation(paths))


def _validation(paths: DatasetPaths) -> Holdouts | None:
    try:
        return load_holdouts(paths, "valid")
    except UserError:
        logger.warning("no validation playlist has a target: learned recommenders keep their last epoch")
        return None


def _ranked(recommender: Recommender, inputs: Inputs, holdouts: Holdouts, config: EvaluationConfig) -> np.ndarray:
    """One list a seed and playlist: int32 [seeds, P, max(ks)]."""
    started = time.monotonic()
    num_seeds = config.num_seeds if recommender.is_seeded else 1
    fitted = [recommender.fit(inputs, config.seed + number) for number in range(num_seeds)]
    lists = np.stack([rank(holdouts, max(config.ks)) for rank in fitted])
    logger.info("%s: fitted and ranked in %.1f s", recommender.name, time.monotonic() - started)
    return lists
