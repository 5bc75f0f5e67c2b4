"""Figure 5: where each stage starts, what its summary says, and that a picture of the right size comes out."""

import dataclasses

import matplotlib.image
import pytest

from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.graph.registry import job_named
from larp_core.report.figures import STYLES, build_figure_5, read_curves
from larp_core.runtime.files import hash_file


def test_every_stage_is_drawn_after_its_parent() -> None:
    drawn = list(STYLES)
    assert set(drawn) == set(STAGES)
    assert all(drawn.index(stage.parent) < drawn.index(stage.name) for stage in STAGES.values() if stage.parent)


def test_stages_start_at_the_best_epoch_of_the_one_before(trained: Settings) -> None:
    starts = {curve.encoder: curve.start for curve in read_curves(trained.paths("mpd"))}
    assert starts == {
        "clap_ft": 0,
        "co_playlist": 0,
        "larp_wtc": 0,
        "larp_ttc": 3,
        "larp_ttc_continued": 6,
        "larp_tpc": 6,
        "larp_tpc_fusion": 6,
    }


def test_report_and_picture(trained: Settings) -> None:
    report = build_figure_5(trained)
    (picture,) = report.pictures.values()
    height, width = matplotlib.image.imread(picture).shape[:2]
    assert width > 1.5 * height > 600
    assert report.num_rows == 2 * len(STAGES) * 6
    rows = {row["encoder"]: row for row in report.tables["Stages on mpd"]}
    assert rows["LARP-WTC"]["best epoch"] == 3
    assert rows["LARP-WTC"]["best Recall@10"] == pytest.approx(0.05)
    assert rows["LARP-TPC"]["best epoch"] == 0


def test_the_same_curves_give_the_same_bytes(trained: Settings) -> None:
    alone = dataclasses.replace(trained, datasets=("lfm",))
    job = job_named("figure_5", alone)
    digests = set()
    for _ in range(2):
        job.work()
        digests.add(hash_file(job.outputs[0]))
    assert len(digests) == 1
