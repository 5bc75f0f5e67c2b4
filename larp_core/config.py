"""The sections of a recipe: every setting of the pipeline, its type and its meaning."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class WorldConfig:
    """Size and difficulty of the demo world (`larp_core.demo`).

    Attributes:
        num_tracks, num_artists: the catalogue that both demo datasets draw from.
        num_playlists, num_listeners: of the MPD and of the LFM side.
        track_seconds: shortest audio; each track lasts up to 6 s more. The clip's margins need 50 s.
        playlist_length: fewest and most different tracks of a playlist, or of what a listener hears. The split by
            tracks cuts each playlist to the tracks of its own split, so a test playlist keeps some 30% of these.
        outlier_fraction: share of a playlist's tracks that are drawn from the whole catalogue.
        max_themes: a playlist mixes one to this many themes.
        caption_noise: share of the words in names that tell nothing of genre or mood.
    """

    seed: int = 7
    num_tracks: int = 1500
    num_artists: int = 75
    num_playlists: int = 400
    num_listeners: int = 400
    track_seconds: float = 52.0
    playlist_length: tuple[int, int] = (45, 80)
    outlier_fraction: float = 0.2
    max_themes: int = 2
    caption_noise: float = 0.4


@dataclass(frozen=True)
class IngestConfig:
    """Which listening events of LFM-2b are read. A run holds every kept pair of user and track in memory.

    Attributes:
        lfm_user_fraction: share of the users that take part, by the hash of their id and `seed`.
        lfm_since: a date, `2020-01-01`; earlier events are left out.
    """

    lfm_user_fraction: float = 1.0
    lfm_since: str | None = None
    seed: int = 42


@dataclass(frozen=True)
class SplitConfig:
    """Cold-start split. `policy` per dataset, see `larp_core.data.split`.

    Attributes:
        playlist_fractions, track_fractions: train, valid, test shares of the hash range.
        min_tracks: playlists with fewer tracks, after tracks of other splits are taken out, are dropped.
        max_tracks: valid and test playlists are cut to this many.
        seed_fraction: the share of a valid/test playlist's tracks shown to the recommender; the rest are targets.
        twins: songs on both sides of the split under different uris are counted, or taken out of valid and test.
    """

    policy: tuple[tuple[str, str], ...] = (
        ("mpd", "sampled_tracks"),
        ("lfm", "sampled_tracks"),
        ("own", "sampled_tracks"),
    )
    seed: int = 42
    playlist_fractions: tuple[float, float, float] = (0.3, 0.3, 0.4)
    track_fractions: tuple[float, float, float] = (0.5, 0.2, 0.3)
    min_tracks: int = 8
    max_tracks: int = 100
    seed_fraction: float = 0.5
    twins: Literal["report", "exclude"] = "report"

    def policy_for(self, dataset: str) -> str:
        return dict(self.policy).get(dataset, "paper")


SOUND_FIELDS = ("tempo", "key", "mode", "loudness", "brightness")
"""What captions can say of a clip's sound, see `larp_core.audio.sound_fields`."""


@dataclass(frozen=True)
class CaptionConfig:
    """`template` has the named fields `track`, `artist` and `album`, and `SOUND_FIELDS`, computed from the clip."""

    template: str = "The track {track} by {artist} on album {album}"

    @property
    def needs_clips(self) -> bool:
        """Whether the template names a field that is computed from the clip. A malformed one is refused elsewhere."""
        try:
            return any(name in SOUND_FIELDS for _, name, _, _ in string.Formatter().parse(self.template))
        except ValueError:
            return False


@dataclass(frozen=True)
class SpotifyConfig:
    """How Spotify is asked for names and lengths, where the user has turned that on (`LARP_SPOTIFY`).

    Attributes:
        batch_size: tracks in a call, where the app may ask for several; Spotify takes 50 at most.
        seconds_between_calls: the pace, over all processes; jittered by half.
        timeout_seconds: the longest silence of the server.
        first_pause_seconds: after a refusal or failure that gives no time; doubled from one to the next.
        max_pause_seconds: longer pauses, asked for or not, are cut to this.
        max_wait_seconds: the longest pause that a run sits out; what is left then is for the next run.
    """

    batch_size: int = 50
    seconds_between_calls: float = 0.35
    timeout_seconds: float = 20.0
    first_pause_seconds: float = 5.0
    max_pause_seconds: float = 24 * 3600.0
    max_wait_seconds: float = 600.0


@dataclass(frozen=True)
class AcquireConfig:
    """How audio is searched and downloaded, where the user has turned that on (`LARP_AUDIO_SOURCES`).

    Attributes:
        duration_tolerance_seconds: a found recording whose length is further from the catalogue's is another one.
        search_results: of a search, how many are looked at.
        search_seconds_between_tracks: the pace of searches, over all processes; 12 is YouTube's 300 an hour.
        url_seconds_between_tracks: the pace of downloads from a list of URLs.
        sleep_between_requests_seconds: between the requests that one searched track takes.
        max_bytes_per_second: of one download; None sets no limit.
        download_seconds, socket_timeout_seconds: the longest answer, and the longest silence within one.
        first_pause_seconds, max_pause_seconds: of a source that refuses and says not for how long; of any.
        backoff_seconds, max_backoff_seconds: before a track is tried again, doubled with each attempt.
        max_wait_seconds: how long a run stays for tracks to be tried again; the next run takes up what is left.
    """

    duration_tolerance_seconds: float = 5.0
    search_results: int = 5
    search_seconds_between_tracks: float = 12.0
    url_seconds_between_tracks: float = 0.0
    sleep_between_requests_seconds: float = 0.75
    max_bytes_per_second: int | None = None
    download_seconds: float = 600.0
    socket_timeout_seconds: float = 20.0
    first_pause_seconds: float = 300.0
    max_pause_seconds: float = 6 * 3600.0
    backoff_seconds: float = 20.0
    max_backoff_seconds: float = 3600.0
    max_wait_seconds: float = 600.0


@dataclass(frozen=True)
class ClipConfig:
    """Where clips are cut.

    Attributes:
        offsets: `uniform` between the margins, as in the `released_code`, without margins, or those that the authors
            published (`paper_lists`, in LARP_PAPER_LISTS_DIR), `uniform` for other tracks.
        clips_per_track: training hears one of a track's clips an epoch; an embedding is the mean over all of them.
    """

    clip_seconds: float = 10.0
    sample_rate_hz: int = 48_000
    margin_seconds: float = 20.0
    offsets: Literal["uniform", "released_code", "paper_lists"] = "uniform"
    clips_per_track: int = 1
    seed: int = 42


@dataclass(frozen=True)
class AudioTowerConfig:
    """HTS-AT as `transformers.ClapAudioModel`; the pooled width is `width * 2 ** (len(depths) - 1)`.

    `architecture="ast"` is an AST of `sum(depths)` layers, `heads[0]` heads and `width` numbers; patches of `patch`
    overlap by three eighths (published: 12 layers, 12 heads, 768, 16). `"pann"` is CNN14, whose six blocks begin with
    `width` channels (published: 64) and give 32 times as many numbers. Neither has windows.

    With `train_mel_norm` off the scale and shift of the batch norm over mel bins stay one and zero: 128 numbers that
    small towers do without (what learning them costs: `larp_core.model.mel_norm`).
    `pretrained` is a hub name or folder of CLAP or its audio tower, or a checkpoint file of HTS-AT, LAION-CLAP or LARP;
    for an AST a hub name or folder of one; for CNN14 its published checkpoint file, or a folder of `Cnn14`.
    """

    architecture: Literal["htsat", "ast", "pann"] = "htsat"
    patch: int = 4
    window: int = 8
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    width: int = 96
    dropout: float = 0.0
    train_mel_norm: bool = True
    pretrained: str | None = None


@dataclass(frozen=True)
class TextTowerConfig:
    """BERT, its CLS token. With nothing pretrained a WordPiece vocabulary is trained on the train split's captions.

    `lexical` adds a weighed bag of the caption's tokens to the tower's vector, a departure from the paper for small
    towers and few playlists, see `larp_core.model.lexical`. It wants a wide `model.projection`.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    max_tokens: int = 30
    vocab_size: int = 30_522
    dropout: float = 0.1
    lexical: bool = False
    pretrained: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """LARP's architecture. `norm="batch"` puts a batch norm (no affine) before each projection: a departure from the
    paper without which small towers do not train from scratch. With `learned_temperature` it starts at `temperature`,
    is learned within .001 and .5 (as the published code does) and handed on with the weights."""

    audio: AudioTowerConfig = field(default_factory=AudioTowerConfig)
    text: TextTowerConfig = field(default_factory=TextTowerConfig)
    projection: int = 256
    norm: Literal["none", "batch"] = "none"
    momentum: float = 0.995
    queue_size: int = 57_600
    temperature: float = 0.07
    learned_temperature: bool = False


@dataclass(frozen=True)
class TrainingConfig:
    """One loop for every stage.

    Attributes:
        batch_size: track pairs (anchor and partner) in a step; stage 1, which has no pairs, takes twice as many tracks.
        epochs: the most epochs of each stage.
        patience: epochs without a better validation Recall@10 before a stage stops; None never stops early.
        num_neighbours: tracks |J| that stand for a playlist in TPC (paper, figure 4).
        targets: `graph` is the paper's appendix A; `diagonal` the published code's, with momentum soft labels.
        batch_keys: the batch's own columns come from the `online` encoder (equation 15) or the `momentum` one (ALBEF).
        label_smoothing: share of each target that is spread over all columns, for small towers trained from scratch.
        token_dropout: share of caption tokens hidden in training; a small text tower learns few captions by heart else.
        queue_positives: queue columns that are in truth positives are a `negative` (the paper's letter) or `masked`.
        false_negatives: `masked` leaves out of every softmax, batch and queue alike, tracks that share a playlist with
            the query's track (O) and are no positives there. It includes `queue_positives="masked"`.
        pair_pruning: the share of track pairs, those least alike to the stage's starting weights, that are no longer
            drawn and no positives, see `larp_core.training.pruning`. Of stages 2 and 3.
        loss_weights: of `wtc`, `ttc`, `tpc` in the mean that is descended; 1 for what is not named.
        text_hardness: queued negatives count the more the nearer their captions are to the query's, by
            exp(text_hardness * cosine), see `larp_core.losses.hard_negatives`; 0 counts all alike.
        text_twins: the cosine of captions from which a queued track is taken for the same song and left out.
        precision: of the towers; losses, weights and optimiser are always fp32. `fp16` scales its gradients.
        caption_groups: a batch's captions are encoded in so many groups of like length, each cut to its longest; the
            numbers are the same but for rounding, and a full-size text tower has less padding to work on.
        gradient_accumulation: batches whose gradients are averaged into one step; each is contrasted by itself.
        gradient_checkpointing: layers are computed again in the backward pass, for less memory and a third more time.
        deterministic: only algorithms that repeat to the bit. Slower on a GPU; on several, HTS-AT needs
            `train_mel_norm` off.
        device: `auto` takes a GPU where there is one.
        save_every_steps, save_every_minutes: how often an epoch under way is saved; each epoch's end always is.
    """

    batch_size: int = 50
    epochs: tuple[tuple[str, int], ...] = (
        ("larp_wtc", 45),
        ("larp_ttc", 45),
        ("larp_ttc_continued", 45),
        ("larp_tpc", 45),
        ("larp_tpc_fusion", 45),
        ("clap_ft", 45),
        ("co_playlist", 45),
    )
    patience: int | None = 5
    learning_rate: float = 1e-4
    adam_betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup_steps: int = 3_000
    num_neighbours: int = 10
    targets: Literal["graph", "diagonal"] = "graph"
    soft_label_weight: float = 0.0
    soft_label_warmup_epochs: int = 2
    label_smoothing: float = 0.0
    token_dropout: float = 0.0
    queue_positives: Literal["negative", "masked"] = "negative"
    false_negatives: Literal["kept", "masked"] = "kept"
    pair_pruning: float = 0.0
    loss_weights: tuple[tuple[str, float], ...] = ()
    text_hardness: float = 0.0
    text_twins: float | None = None
    batch_keys: Literal["online", "momentum"] = "online"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    caption_groups: int = 1
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every_steps: int | None = None
    save_every_minutes: float = 10.0
    num_threads: int | None = None
    seed: int = 42

    def epochs_of(self, stage: str) -> int:
        return dict(self.epochs)[stage]


Similarity = Literal["dot", "cosine", "centred", "whitened"]
SIMILARITIES: tuple[Similarity, ...] = ("dot", "cosine", "centred", "whitened")
"""What ItemKNN may mean by "near", see `larp_core.benchmark.recommenders.similarities`."""


@dataclass(frozen=True)
class CoPlaylistConfig:
    """The CO-Playlist baseline: a ResNet50 at full size, 2048-d, by its bottleneck blocks.

    Attributes:
        stem, widths, depths: channels before the first stage, after each, and blocks of each.
        head_width: of the projection that the contrast is made on.
        temperature: of NT-Xent; LARP's paper doesn't tell it.
        frames_pooled: mel frames averaged before the net. One at full size; more spares time in a small world.
        learning_rate: in place of the towers'; a net of batch norms takes a higher one.
    """

    stem: int = 64
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    head_width: int = 128
    temperature: float = 0.1
    frames_pooled: int = 1
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class EncodersConfig:
    """Encoders that are used as they come.

    `clap_pt` is a hub name or folder of a `ClapModel`, where LARP_CLAP_PT names none.
    """

    clap_pt: str | None = None


@dataclass(frozen=True)
class EvaluationConfig:
    """Recall@K and NDCG@K with bootstrap intervals over playlists.

    Attributes:
        similarity: the tables' ItemKNN; the others are scored as well, as "ItemKNN (dot)" and so on.
        playlist_vector: ItemKNN's playlist by `dot` and `cosine` is the `mean` of its seeds, as the paper has it, or,
            for an encoder with a trained `fusion`, what that makes of them (`larp_core.encoders.playlists`).
        num_seeds: how often each learned recommender is fitted; a playlist's value is the mean.
        tuning_trials: settings that each recommender may try on the validation playlists, the same number for every
            cell of the tables; 0 takes the recipe's as they are.
    """

    ks: tuple[int, ...] = (10, 20, 40)
    bootstrap_samples: int = 2_000
    confidence: float = 0.95
    similarity: Similarity = "cosine"
    playlist_vector: Literal["mean", "fusion"] = "mean"
    num_seeds: int = 1
    tuning_trials: int = 0
    seed: int = 42


@dataclass(frozen=True)
class ReportConfig:
    """What the reports beside the tables look at.

    Attributes:
        seed_counts: numbers of seeds that recommenders are shown in place of all; playlists with fewer take no part.
    """

    seed_counts: tuple[int, ...] = (1, 5, 10, 30, 100)
