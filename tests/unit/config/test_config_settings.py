"""The user's choices: which datasets a run has, what is refused, and that each dataset is registered everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from larp_core.config.datasets import DATASETS, DEMO_DATASETS
from larp_core.config.environment import make_settings, settings_from, spotify_credentials
from larp_core.config.recipes import RECIPES
from larp_core.config.settings import VARIABLES
from larp_core.data.split.policies import POLICIES
from larp_core.evaluation.names import dataset_title
from larp_core.runtime.errors import UserError


def test_a_dataset_is_its_spec_and_what_that_names() -> None:
    for dataset, spec in DATASETS.items():
        assert spec.name == dataset and spec.title and spec.licence and spec.expected_files and spec.origin
        assert VARIABLES[spec.variable] == f"{dataset}_dir"
        assert callable(spec.reader_module.find_files) and callable(spec.reader_module.read_chunks)
        assert spec.split_policy in POLICIES
        assert (dataset in DEMO_DATASETS) == (spec.demo_folder is not None)
        for recipe in RECIPES.values():
            assert recipe.split.policy_for(dataset) in POLICIES, (recipe.name, dataset)


ONE_MORE = """
import dataclasses, sys
from larp_core.config import datasets
new = dataclasses.replace(datasets.DATASETS["mpd"], name="new", variable="LARP_NEW_DIR", split_policy="artist_cold")
datasets.DATASETS["new"] = new
from larp_core.cli.main import parser
from larp_core.config.recipes import RECIPES
from larp_core.config.environment import settings_from
from larp_core.config.settings import FOLDER_VARIABLES, VARIABLES, Settings
settings = settings_from({"LARP_DATA": sys.argv[1] + "/data", "LARP_NEW_DIR": sys.argv[1]})
assert VARIABLES["LARP_NEW_DIR"] == "new_dir" and "LARP_NEW_DIR" in FOLDER_VARIABLES
assert settings.datasets == ("new",) and str(settings.new_dir) == sys.argv[1] == str(settings.raw_folder("new"))
assert Settings(settings.data_dir, settings.recipe, ("new",), new_dir=settings.new_dir) == settings
assert dataclasses.replace(settings, new_dir=None, datasets=("mpd",)).is_demo
assert parser().parse_args(["run", "mels", "--new-dir", "x"]).new_dir == "x"
assert [RECIPES[name].split.policy_for("new") for name in ("demo", "paper")] == ["artist_cold"] * 2
assert "new" not in dict(RECIPES["paper"].split.policy)
"""


def test_a_spec_is_all_that_a_dataset_needs_here(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ONE_MORE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_configured_is_the_demo_world_of_two_datasets(tmp_path):
    settings = make_settings(data_dir=str(tmp_path))
    assert settings.is_demo and settings.datasets == ("mpd", "lfm")


def test_own_music_alone_is_the_only_dataset(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    settings = settings_from({"LARP_DATA": str(tmp_path), "LARP_OWN_DIR": str(music), "LARP_MPD_DIR": ""})
    assert settings.datasets == ("own",) and not settings.is_demo
    assert settings.source_dir("own") == settings.audio_dir_of("own") == music
    assert dataset_title(settings, "own") == "Own music (own)"


def test_own_music_beside_others(tmp_path):
    settings = make_settings(data_dir=str(tmp_path), own_dir="/own", mpd_dir="/mpd", audio_dir="/audio")
    assert settings.datasets == ("mpd", "own")
    assert (settings.audio_dir_of("mpd"), settings.audio_dir_of("own")) == (Path("/audio"), Path("/own"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": "own"}, "LARP_OWN_DIR is not set and the demo world has none of it; set it, or leave own out"),
        ({"datasets": "mpd,own"}, "names own, but LARP_OWN_DIR is not set"),
        ({"datasets": "own", "mpd_dir": "/m"}, "names own, but LARP_OWN_DIR is not set"),
        ({"datasets": "own,lfm", "own_dir": "/o"}, "names lfm, but LARP_LFM_DIR is not set while other data is"),
        ({"datasets": "music", "own_dir": "/o"}, "unknown dataset 'music'; choose from mpd, lfm, own"),
    ],
)
def test_a_dataset_without_its_folder_is_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        make_settings(data_dir=str(tmp_path), **options)


def test_the_pipelines_files_may_not_lie_among_the_music(tmp_path):
    with pytest.raises(UserError, match=r"LARP_DATA: .* lies within LARP_OWN_DIR.*; set LARP_DATA to a folder else"):
        make_settings(data_dir=str(tmp_path / "data"), own_dir=str(tmp_path))
    assert make_settings(data_dir=str(tmp_path), own_dir=str(tmp_path / "music")).datasets == ("own",)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"LARP_OWN_DIR: .*/gone is not a folder; correct it, or unset LARP_OWN_DIR"):
        settings_from({"LARP_DATA": str(tmp_path / "data"), "LARP_OWN_DIR": str(tmp_path / "gone")})


def test_audio_comes_from_what_is_named_or_configured(tmp_path):
    urls = tmp_path / "urls.csv"
    urls.touch()
    nothing = make_settings(data_dir=str(tmp_path))
    assert nothing.audio_sources_in_order == ()
    both = {"data_dir": str(tmp_path), "audio_dir": str(tmp_path), "audio_urls": str(urls)}
    assert make_settings(**both).audio_sources_in_order == ("folder", "urls")
    named = make_settings(**both, audio_sources=" youtube, urls,")
    assert named.audio_sources_in_order == ("youtube", "urls")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"audio_sources": "radio"}, "LARP_AUDIO_SOURCES: unknown source 'radio'; choose from folder, urls, youtube"),
        ({"audio_sources": "youtube,urls"}, "names urls, but LARP_AUDIO_URLS is not set; set it, or leave it out"),
        ({"audio_retry": "all"}, "LARP_AUDIO_RETRY: 'all' means nothing; make it 'final', or unset it"),
    ],
)
def test_audio_settings_that_cannot_be_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        make_settings(data_dir=str(tmp_path), **options)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"LARP_COOKIES_FILE: .*/gone is not a file; correct it, or unset"):
        settings_from({"LARP_DATA": str(tmp_path), "LARP_COOKIES_FILE": str(tmp_path / "gone")})


@pytest.mark.parametrize(("word", "expected"), [("1", True), ("True", True), (" on ", True), ("", False), ("0", False)])
def test_spotify_is_off_unless_turned_on(tmp_path, word, expected):
    assert make_settings(data_dir=str(tmp_path)).spotify is False
    assert make_settings(data_dir=str(tmp_path), spotify=word).spotify is expected


def test_a_switch_is_on_or_off(tmp_path):
    with pytest.raises(UserError, match="LARP_SPOTIFY: 'perhaps' is neither on nor off; make it 1 or 0"):
        settings_from({"LARP_DATA": str(tmp_path), "LARP_SPOTIFY": "perhaps"})


def test_an_option_wins_over_its_variable_and_may_empty_it(tmp_path):
    environment = {"LARP_DATA": str(tmp_path), "LARP_AUDIO_DIR": str(tmp_path), "LARP_RECIPE": "demo"}
    settings = settings_from(environment, recipe="smoke", audio_dir="")
    assert (settings.recipe.name, settings.audio_dir, settings.data_dir) == ("smoke", None, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "none"}, "LARP_RECIPE: unknown recipe 'none'; choose from demo"),
        (
            {"audio_dir": "~no-such-user/x"},
            "LARP_AUDIO_DIR: '~no-such-user/x': .*home.*; correct it, or unset LARP_AUDIO_DIR",
        ),
        ({"datasets": " , "}, "LARP_DATASETS is empty; name at least one of mpd"),
    ],
)
def test_words_that_mean_nothing_are_refused_in_one_line(tmp_path, options, message):
    with pytest.raises(UserError, match=message) as caught:
        make_settings(data_dir=str(tmp_path), **options)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(TypeError, match="no such setting: recepy"):
        make_settings(recepy="demo")


def test_credentials_show_in_no_print():
    found = spotify_credentials({"SPOTIPY_CLIENT_ID": " me ", "SPOTIPY_CLIENT_SECRET": "hush"})
    assert (found.client_id, found.client_secret, repr(found)) == ("me", "hush", "SpotifyCredentials()")
    assert spotify_credentials({"SPOTIPY_CLIENT_ID": "me"}) is None


def test_weights_are_paths_where_they_look_like_one_and_hub_names_otherwise(tmp_path):
    vectors = tmp_path / "mule.npy"
    vectors.write_bytes(b"")
    given = {"LARP_DATA": str(tmp_path / "data"), "LARP_MULE": str(vectors), "LARP_CLAP_PT": "laion/clap-htsat-unfused"}
    settings = settings_from(given | {"LARP_JUKEBOX_COMMAND": "python -m made {clips_csv} {out_npy}"})
    assert (settings.mule, settings.clap_pt) == (str(vectors), "laion/clap-htsat-unfused")
    assert settings.jukebox_command == "python -m made {clips_csv} {out_npy}" and settings.jukebox == ""


@pytest.mark.parametrize("variable", ["LARP_CLAP_PT", "LARP_MULE", "LARP_JUKEBOX"])
@pytest.mark.parametrize("name", ["nowhere", "nowhere.parquet", "notes.txt"])
def test_weights_that_are_not_there_are_refused_at_once(tmp_path, variable, name):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(UserError, match=f"{variable}: .*{name} is not a folder, or vectors"):
        settings_from({"LARP_DATA": str(tmp_path / "data"), variable: str(tmp_path / name)})
