"""Artist, album and caption rows against slow twins; no row depends on the order of files."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest

from larp_core.config.paths import DatasetPaths
from larp_core.evaluation.holdouts import Holdouts, hash_order, load_holdouts
from larp_core.evaluation.metadata_rows import metadata_frames, metadata_rankings, track_keys
from larp_core.evaluation.metrics import evaluate_ranking, random_values
from larp_core.evaluation.names import ARTIST_AND_ALBUM, CAPTION_TFIDF, METADATA_ROWS, ORACLE, RANDOM, SAME_ARTIST
from larp_core.runtime.files import write_parquet

KS = (5, 10)


def rows_of_metadata(paths: DatasetPaths, holdouts: Holdouts, ks: tuple[int, ...]) -> dict[str, pl.DataFrame]:
    return metadata_frames(metadata_rankings(paths, holdouts, max(ks)), holdouts, ks)


def test_artist_rows_equal_counting_seeds(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "test")
    frames = rows_of_metadata(paths, holdouts, KS)
    place = {int(track): i for i, track in enumerate(hash_order(holdouts.candidates))}
    # The fixture's artist is track_id % 10; its album's name is track_id % 20, on one artist each.
    for name, keys in {SAME_ARTIST: [10], ARTIST_AND_ALBUM: [10, 20]}.items():
        ranked = []
        for seeds in holdouts.seeds:
            counts = [(modulus, Counter(int(s) % modulus for s in seeds)) for modulus in keys]
            others = set(map(int, holdouts.candidates)) - set(map(int, seeds))
            score = {t: sum(count[t % modulus] for modulus, count in counts) for t in others}
            ranked.append(sorted(others, key=lambda t: (-score[t], place[t]))[: max(KS)])
        values = evaluate_ranking(np.array(ranked), holdouts.targets, KS)
        for column, k in enumerate(KS):
            assert frames[name].filter(metric="ndcg", k=k)["value"].to_list() == pytest.approx(
                values["ndcg"][:, column]
            )
            assert frames[name].filter(metric="recall", k=k)["value"].to_list() == values["recall"][:, column].tolist()


def test_rows_come_in_order_and_captions_find_the_kind(paths: DatasetPaths) -> None:
    holdouts = load_holdouts(paths, "test")
    frames = rows_of_metadata(paths, holdouts, KS)
    assert tuple(frames) == METADATA_ROWS
    mean = {name: frame.filter(metric="recall", k=10)["value"].mean() for name, frame in frames.items()}
    assert mean[RANDOM] == pytest.approx(10 / 55)
    assert mean[ORACLE] == 1.0
    assert 1.5 * mean[RANDOM] < mean[CAPTION_TFIDF] < mean[ORACLE]
    exact = random_values(holdouts.num_targets, holdouts.num_candidates, KS)
    assert frames[RANDOM].filter(metric="ndcg", k=5)["value"].to_list() == exact["ndcg"][:, 0].tolist()


def test_tfidf_equals_weights_by_hand_from_train_captions(paths: DatasetPaths) -> None:
    """Test tracks get a word of their own kind that no train caption has: it weighs as a word seen nowhere."""
    kind = pl.col("caption") + pl.format(" fresh{}", pl.col("track_id") % 6)
    fresh = pl.when(pl.col("track_id") >= 90).then(kind).otherwise("caption")
    write_parquet(pl.read_parquet(paths.captions).with_columns(caption=fresh), paths.captions)
    captions = pl.read_parquet(paths.captions).sort("track_id")["caption"].str.to_lowercase().to_list()
    num_train = 60
    seen_in = Counter(word for caption in captions[:num_train] for word in set(caption.split()))
    words = sorted({word for caption in captions for word in caption.split()})
    weights = np.array([math.log((1 + num_train) / (1 + seen_in[word])) + 1 for word in words])
    vectors = np.array([[caption.split().count(word) for word in words] for caption in captions]) * weights
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    holdouts = load_holdouts(paths, "test")
    place = {int(track): i for i, track in enumerate(hash_order(holdouts.candidates))}
    ranked = []
    for seeds in holdouts.seeds:
        mean = vectors[seeds].mean(axis=0)
        scores = {}
        for track in set(map(int, holdouts.candidates)) - set(map(int, seeds)):
            scores[track] = round(float(mean @ vectors[track]) / np.linalg.norm(mean), 9)
        ranked.append(sorted(scores, key=lambda t: (-scores[t], place[t]))[: max(KS)])
    values = evaluate_ranking(np.array(ranked), holdouts.targets, KS)
    frame = rows_of_metadata(paths, holdouts, KS)[CAPTION_TFIDF]
    assert frame.filter(metric="ndcg", k=10)["value"].to_list() == pytest.approx(values["ndcg"][:, 1])


def test_order_of_files_does_not_matter(paths: DatasetPaths) -> None:
    before = rows_of_metadata(paths, load_holdouts(paths, "test"), KS)
    for path in (paths.metadata, paths.captions, paths.holdouts, paths.split_tracks, paths.split_playlists):
        write_parquet(pl.read_parquet(path).sample(fraction=1.0, shuffle=True, seed=3), path)
    after = rows_of_metadata(paths, load_holdouts(paths, "test"), KS)
    assert all(before[name].equals(after[name]) for name in METADATA_ROWS)


def test_tracks_without_names_match_nothing(paths: DatasetPaths) -> None:
    """With no names at all every artist row is one hash order, that is, about chance."""
    empty = [pl.lit(None, pl.String).alias(c) for c in ("artist_uri", "artist_name", "album_uri", "album_name")]
    write_parquet(pl.read_parquet(paths.metadata).with_columns(empty), paths.metadata)
    write_parquet(pl.read_parquet(paths.captions).filter(pl.col("track_id") < 60), paths.captions)
    holdouts = load_holdouts(paths, "test")
    frames = rows_of_metadata(paths, holdouts, KS)
    order = hash_order(holdouts.candidates)
    ranked = np.array([[t for t in order if t not in seeds][: max(KS)] for seeds in holdouts.seeds])
    values = evaluate_ranking(ranked, holdouts.targets, KS)
    for name in (SAME_ARTIST, ARTIST_AND_ALBUM, CAPTION_TFIDF):
        assert frames[name].filter(metric="recall", k=10)["value"].to_list() == values["recall"][:, 1].tolist()


def test_keys_prefer_uris_and_fold_case(paths: DatasetPaths) -> None:
    rows = [
        (0, "u1", "Ärzte", None, "Best of"),
        (1, "u2", "Ärzte", None, "Best of"),
        (2, None, "ÄRZTE ", None, "best OF"),
        (3, "", "ärzte", "a9", "x"),
        (4, "u1", "other", "a9", "y"),
        (5, None, "", None, None),
        (6, None, "STRASSE", None, ""),
        (7, None, "straße", None, "Best of"),
    ]
    names = ("artist_uri", "artist_name", "album_uri", "album_name")
    schema = {"track_id": pl.Int32, **dict.fromkeys(names, pl.String)}
    write_parquet(pl.DataFrame(rows, schema=schema, orient="row"), paths.metadata)
    artists, albums = track_keys(paths, np.arange(9, dtype=np.int32))
    same_artist = {(i, j) for i in range(9) for j in range(i) if artists[i] == artists[j] >= 0}
    same_album = {(i, j) for i in range(9) for j in range(i) if albums[i] == albums[j] >= 0}
    assert same_artist == {(4, 0), (3, 2), (7, 6)}
    assert same_album == {(4, 3)}
    assert artists[5] == artists[8] == albums[5] == albums[6] == -1
