"""The check of what getting the audio needs: it warns, and stops nothing."""

from pathlib import Path

import dagster as dg

from assets import checks
from larp_core.config.environment import make_settings
from larp_core.config.settings import Settings
from pipeline.resources import resources_of


def evaluated(settings: Settings) -> tuple[dg.ExecuteInProcessResult, dg.AssetCheckEvaluation]:
    @dg.asset(key=["mpd", "mp3"])
    def mp3() -> None:
        pass

    @dg.asset(deps=[mp3])
    def clips() -> None:
        pass

    graph = [mp3, clips, checks.ready_for_audio("mpd")]
    done = dg.materialize(graph, resources=resources_of(settings), instance=dg.DagsterInstance.ephemeral())
    [evaluation] = done.get_asset_check_evaluations()
    return done, evaluation


def test_what_is_missing_is_a_warning_that_stops_nothing(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("{}")
    settings = make_settings(
        data_dir=str(tmp_path / "data"), mpd_dir=str(tmp_path), audio_sources="youtube", cookies_file=str(cookies)
    )
    done, evaluation = evaluated(settings)
    assert done.success and len(done.get_asset_materialization_events()) == 2
    assert not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.WARN
    assert "export it in that format" in (evaluation.description or "")
    assert {"ffmpeg", "JavaScript runtime", "disk", "cookies", "Spotify"} <= set(evaluation.metadata)


def test_the_demo_passes(tmp_path: Path) -> None:
    assert evaluated(make_settings(data_dir=str(tmp_path)))[1].passed
