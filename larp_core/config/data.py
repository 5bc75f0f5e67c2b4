"""Which data is read, how it is split, and what captions say."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Literal

from larp_core.config.caption_template import SOUND_FIELDS, parse_template
from larp_core.config.datasets import DATASETS
from larp_core.config.section import LARGEST, Count, Seconds, Section, Seed, Share, SomeSeconds, Within
from larp_core.runtime.errors import UserError

SomeShare = Annotated[float, Within(0, 1, above=True)]
Fractions = tuple[SomeShare, SomeShare, SomeShare]
MOST_ROUNDING = 1e-6

SPLIT_POLICIES = ("paper", "sampled_tracks", "train_first", "artist_cold", "album_cold", "paper_lists")
"""Names of `larp_core.data.split.policies.POLICIES`."""


@dataclass(frozen=True)
class IngestConfig(Section, section="ingest"):
    """Which listening events of LFM-2b are read. A run holds every kept pair of user and track in memory.

    Attributes:
        lfm_user_fraction: share of the users that take part, by the hash of their id and `seed`.
        lfm_since: a date, `2020-01-01`; earlier events are left out.
    """

    lfm_user_fraction: SomeShare = 1.0
    lfm_since: str | None = None
    seed: Seed = 42

    def check(self) -> None:
        """Raises UserError where `lfm_since` is no date."""
        try:
            if self.lfm_since is not None:
                datetime.date.fromisoformat(self.lfm_since)
        except ValueError:
            self.refuse("it is not a date; write it 2020-01-31", "lfm_since")


RECORDED = ("mpd", "lfm", "own")
"""Datasets whose policies every recipe records. One that is added goes by its spec where no recipe names it: adding
it makes nobody's split again."""


def split_policies(everywhere: str | None = None, **others: str) -> tuple[tuple[str, str], ...]:
    """A policy for each of `RECORDED`: `others` by the dataset's name, then `everywhere`, then what its spec says."""
    if unknown := others.keys() - set(RECORDED):
        raise UserError(f"recipe: split.policy names {', '.join(sorted(unknown))}; choose from {', '.join(RECORDED)}")
    return tuple((name, others.get(name, everywhere or DATASETS[name].split_policy)) for name in RECORDED)


@dataclass(frozen=True)
class SplitConfig(Section, section="split"):
    """Cold-start split. `policy` per dataset, see `larp_core.data.split.cold_start`.

    Attributes:
        playlist_fractions, track_fractions: train, valid, test shares of the hash range.
        min_tracks: playlists with fewer tracks, after tracks of other splits are taken out, are dropped.
        max_tracks: valid and test playlists are cut to this many.
        seed_fraction: the share of a valid/test playlist's tracks shown to the recommender; the rest are targets.
        twins: songs on both sides of the split under different uris are counted, or taken out of valid and test.
    """

    policy: tuple[tuple[str, str], ...] = field(default_factory=split_policies)
    seed: Seed = 42
    playlist_fractions: Fractions = (0.3, 0.3, 0.4)
    track_fractions: Fractions = (0.5, 0.2, 0.3)
    min_tracks: Count = 8
    max_tracks: Annotated[int, Within(2, LARGEST)] = 100
    seed_fraction: Share = 0.5
    twins: Literal["report", "exclude"] = "report"

    def check(self) -> None:
        """Raises UserError for policies or datasets that there are not, shares of no whole, bounds the wrong way."""
        self.check_names("policy", DATASETS, "dataset")
        for _, policy in self.policy:
            if policy not in SPLIT_POLICIES:
                self.refuse(f"unknown split policy {policy!r}; choose from {', '.join(SPLIT_POLICIES)}", "policy")
        for name in ("playlist_fractions", "track_fractions"):
            if abs(sum(getattr(self, name)) - 1) > MOST_ROUNDING:
                self.refuse("the shares of train, valid and test must sum to 1", name)
        if self.min_tracks > self.max_tracks:
            self.refuse("the first may not be larger", "min_tracks", "max_tracks")

    def policy_for(self, dataset: str) -> str:
        """The recipe's, or the dataset's own where the recipe names none."""
        return dict(self.policy).get(dataset) or DATASETS[dataset].split_policy


@dataclass(frozen=True)
class CaptionConfig(Section, section="caption"):
    """`template` has the named fields `track`, `artist` and `album`, and `SOUND_FIELDS`, computed from the clip."""

    template: str = "The track {track} by {artist} on album {album}"

    def check(self) -> None:
        """Raises UserError where the template is malformed, as `parse_template` says."""
        try:
            parse_template(self.template)
        except UserError as error:
            raise UserError(f"recipe: {error}") from None

    @property
    def needs_clips(self) -> bool:
        """Whether the template names a field that is computed from the clip."""
        return any(segment.field in SOUND_FIELDS for segment in parse_template(self.template)[0])


@dataclass(frozen=True)
class SpotifyConfig(Section, section="spotify"):
    """How Spotify is asked for names and lengths, where the user has turned that on (`LARP_SPOTIFY`).

    Attributes:
        batch_size: tracks in a call, where the app may ask for several; Spotify takes 50 at most.
        seconds_between_calls: the pace, over all processes; jittered by half.
        timeout_seconds: the longest silence of the server.
        first_pause_seconds: after a refusal or failure that gives no time; doubled from one to the next.
        max_pause_seconds: longer pauses, asked for or not, are cut to this.
        max_wait_seconds: the longest pause that a run sits out; what is left then is for the next run.
    """

    batch_size: Annotated[int, Within(1, 50)] = 50
    seconds_between_calls: Seconds = 0.35
    timeout_seconds: SomeSeconds = 20.0
    first_pause_seconds: Seconds = 5.0
    max_pause_seconds: Seconds = 24 * 3600.0
    max_wait_seconds: Seconds = 600.0
