"""The split policies once more, in plain Python loops over dicts: slow, obvious, and written from their description."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from larp_core.config import SplitConfig

SPLITS = ("train", "valid", "test")
Playlists = dict[str, list[str]]
"""Source id -> its different tracks in order."""
Kept = dict[str, tuple[str, list[str]]]
"""Source id -> its split and the tracks it keeps."""


def point(name: str, purpose: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{purpose}\0{seed}\0{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2**53


def side(name: str, purpose: str, seed: int, fractions: tuple[float, float, float]) -> str:
    drawn = point(name, purpose, seed)
    return SPLITS[0 if drawn < fractions[0] else 1 if drawn < fractions[0] + fractions[1] else 2]


def naive_split(
    policy: str,
    playlists: Playlists,
    config: SplitConfig,
    artist_of: Callable[[str], str] = str,
    album_of: Callable[[str], str] = str,
    lists: dict[str, str] | None = None,
) -> Kept:
    """`paper` is called `paper_mpd` or `paper_lfm`, by the dataset; `lists` is track -> valid or test."""

    def of_playlist(name: str) -> str:
        return side(name, "playlist", config.seed, config.playlist_fractions)

    if policy in ("train_first", "paper_lfm"):
        return _users_in_turn(playlists, config, of_playlist, 1 if policy == "paper_lfm" else config.min_tracks)
    if policy == "paper_lists":
        return _by_lists(playlists, config, lists or {})
    purpose, key = {"artist_cold": ("artist", artist_of), "album_cold": ("album", album_of)}.get(policy, ("track", str))
    least_train = 1 if policy == "paper_mpd" else config.min_tracks
    kept: Kept = {}
    for name, tracks in playlists.items():
        split = of_playlist(name)
        mine = [t for t in tracks if side(key(t), purpose, config.seed, config.track_fractions) == split]
        if len(mine) >= (least_train if split == "train" else config.min_tracks):
            kept[name] = (split, mine if split == "train" else mine[: config.max_tracks])
    return kept


def naive_holdouts(kept: Kept, config: SplitConfig) -> dict[tuple[str, str], str]:
    """(playlist, track) -> role."""
    roles = {}
    for name, (split, tracks) in kept.items():
        if split == "train":
            continue
        num_seeds = min(max(round(len(tracks) * config.seed_fraction), 1), max(len(tracks) - 1, 1))
        drawn = sorted(
            tracks,
            key=lambda t, n=name: int.from_bytes(
                hashlib.blake2b(f"seeds\0{config.seed}\0{n}\n{t}".encode(), digest_size=8).digest(), "little"
            ),
        )
        roles |= {(name, track): "seed" if rank < num_seeds else "target" for rank, track in enumerate(drawn)}
    return roles


def _users_in_turn(
    playlists: Playlists, config: SplitConfig, of_playlist: Callable[[str], str], least_train: int
) -> Kept:
    kept: Kept = {}
    taken: set[str] = set()
    for split in SPLITS:
        pools = {}
        for name, tracks in playlists.items():
            left = [track for track in tracks if track not in taken]
            least = least_train if split == "train" else config.min_tracks
            if of_playlist(name) == split and len(left) >= least:
                pools[name] = left
        for name, left in pools.items():
            kept[name] = (split, left if split == "train" else _run(name, left, config))
        taken |= {track for left in pools.values() for track in left}
    return kept


def _run(name: str, tracks: list[str], config: SplitConfig) -> list[str]:
    longest = max(min(len(tracks), config.max_tracks - 1), config.min_tracks)
    length = config.min_tracks + int(point(name, "run length", config.seed) * (longest - config.min_tracks + 1))
    start = int(point(name, "run start", config.seed) * (len(tracks) - length + 1))
    return tracks[start : start + length]


def _by_lists(playlists: Playlists, config: SplitConfig, lists: dict[str, str]) -> Kept:
    kept: Kept = {}
    for name, tracks in playlists.items():
        parts: dict[str, list[str]] = {split: [] for split in SPLITS}
        for track in tracks:
            if track in lists:
                parts[lists[track]].append(track)
            elif side(track, "track", config.seed, config.track_fractions) == "train":
                parts["train"].append(track)
        split = "train"
        if len(parts["valid"]) >= config.min_tracks:
            split = "valid"
        if len(parts["test"]) >= config.min_tracks and len(parts["test"]) >= len(parts["valid"]):
            split = "test"
        if parts[split]:
            kept[name] = (split, parts[split] if split == "train" else parts[split][: config.max_tracks])
    return kept
