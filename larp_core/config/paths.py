"""Every file that the pipeline writes, by name (the table of files in the README's "What lies on disk")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SharedPaths:
    """Files that belong to no single dataset."""

    data_dir: Path

    @property
    def steps(self) -> Path:
        return self.data_dir / ".steps"

    @property
    def demo_world(self) -> Path:
        """`mpd/*.json`, `lfm2b/*.tsv.bz2`, `audio/<track_uri>.mp3`."""
        return self.data_dir / "demo_world"

    @property
    def audio(self) -> Path:
        """Acquired audio, `ab/<track_uri>.<ext>`, shared by the datasets: a track needs one download."""
        return self.data_dir / "audio"

    @property
    def audio_sources(self) -> Path:
        """`<source>.json`: until when a source is paused, and why."""
        return self.data_dir / "audio_sources"

    @property
    def spotify(self) -> Path:
        """`answers.sqlite`: what Spotify has said of each track; `spotify.json`: until when it is paused, and why."""
        return self.data_dir / "spotify"

    @property
    def reports(self) -> Path:
        return self.data_dir / "reports"

    def listening_page(self, dataset: str) -> Path:
        return self.reports / f"listen_{dataset}.html"


@dataclass(frozen=True)
class DatasetPaths:
    """Files of one dataset, below `<data_dir>/<dataset>/`."""

    data_dir: Path
    dataset: str

    @property
    def root(self) -> Path:
        return self.data_dir / self.dataset

    @property
    def steps(self) -> Path:
        return self.root / ".steps"

    @property
    def source(self) -> Path:
        return self.root / "source.json"

    @property
    def playlists(self) -> Path:
        return self.root / "playlists.parquet"

    @property
    def tracks(self) -> Path:
        return self.root / "tracks.parquet"

    @property
    def interactions(self) -> Path:
        return self.root / "interactions.parquet"

    @property
    def rejects(self) -> Path:
        """`file`, `reason`, `num_rows`, `first_place` of what the raw files hold and the tables don't."""
        return self.root / "rejects.parquet"

    @property
    def parts(self) -> Path:
        """`<raw file>/*.parquet`: what was read of each raw file, so that it is read once."""
        return self.root / "parts"

    @property
    def split_playlists(self) -> Path:
        return self.root / "split" / "playlists.parquet"

    @property
    def split_tracks(self) -> Path:
        return self.root / "split" / "tracks.parquet"

    @property
    def holdouts(self) -> Path:
        return self.root / "split" / "holdouts.parquet"

    @property
    def split_memory(self) -> Path:
        """Sides that tracks and playlists took, where the split's policy must remember them."""
        return self.root / "split" / "memory.parquet"

    @property
    def metadata(self) -> Path:
        return self.root / "metadata.parquet"

    @property
    def captions(self) -> Path:
        return self.root / "captions.parquet"

    @property
    def sound_fields(self) -> Path:
        """What captions say of clips' sound, by the clip's `sha256`; only where their template asks for it."""
        return self.root / "sound_fields.parquet"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.parquet"

    @property
    def audio_tags(self) -> Path:
        """What the tags of the files in LARP_AUDIO_DIR say."""
        return self.root / "audio_tags.parquet"

    @property
    def clips(self) -> Path:
        return self.root / "clips.parquet"

    @property
    def clips_dir(self) -> Path:
        """`ab/<track_uri>.flac`, a track's further clips `ab/<track_uri>.clip1.flac` and so on."""
        return self.root / "clips"

    @property
    def clips_in_work(self) -> Path:
        """`3-of-16.parquet`: the outcomes of a shard, which the step takes up; gone once it has finished."""
        return self.root / "clips.state"

    @property
    def mels(self) -> Path:
        return self.root / "mels.npy"

    @property
    def mel_sources(self) -> Path:
        """`sha256` of the clip of each row of `mels.npy`, so that no row is computed twice."""
        return self.root / "mels.sources.parquet"

    @property
    def mels_in_work(self) -> Path:
        """What a killed computation of mels goes on from; gone once it has finished."""
        return self.root / "mels.state"

    @property
    def mel_rows(self) -> Path:
        return self.root / "mels.parquet"

    @property
    def graph(self) -> Path:
        return self.root / "graph.duckdb"

    @property
    def pictures(self) -> Path:
        """PNG files shown in the web UI."""
        return self.root / "pictures"

    def model(self, encoder: str) -> Path:
        return self.root / "models" / encoder

    def training_state(self, encoder: str) -> Path:
        """What a killed training goes on from; gone once it has finished."""
        return self.root / "models" / f"{encoder}.state"

    def tensorboard(self, encoder: str) -> Path:
        """Event files of the encoder's last training."""
        return self.root / "models" / f"{encoder}.tensorboard"

    def embeddings(self, encoder: str) -> Path:
        return self.root / "embeddings" / f"{encoder}.parquet"

    def embedding_parts(self, encoder: str) -> Path:
        """Batches of vectors that an encoder's command has finished; gone once all are there."""
        return self.root / "embeddings" / f"{encoder}.parts"

    def playlist_embeddings(self, encoder: str) -> Path:
        """`playlist_id, vector` of held-out playlists; only where `evaluation.playlist_vector` is `fusion`."""
        return self.root / "embeddings" / f"{encoder}_playlists.parquet"

    def transferred_embeddings(self, encoder: str, source: str) -> Path:
        """This dataset's tracks by an encoder that was trained on the dataset `source`."""
        return self.root / "embeddings" / f"{encoder}_from_{source}.parquet"

    def sensitivity(self, name: str) -> Path:
        """Scores of a model that was trained for figure 4 alone."""
        return self.root / "sensitivity" / f"{name}.parquet"

    def scores(self, encoder: str) -> Path:
        return self.root / "scores" / f"{encoder}.parquet"

    def rankings(self, encoder: str) -> Path:
        return self.root / "rankings" / f"{encoder}.parquet"

    def tuning(self, encoder: str) -> Path:
        """Trials of its recommenders on the validation playlists; only where the recipe has any."""
        return self.root / "tuning" / f"{encoder}.journal"

    @property
    def wmf_playlists(self) -> Path:
        """`playlist_id, vector`: collaborative vectors of the train playlists."""
        return self.root / "wmf" / "playlists.parquet"

    @property
    def wmf_tracks(self) -> Path:
        """`track_id, vector`: collaborative vectors of the train tracks."""
        return self.root / "wmf" / "tracks.parquet"
