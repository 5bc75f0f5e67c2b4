"""One command re-derives a cell: every cell of every row, and a file that was tampered with is found out."""

import polars as pl
import pytest

from larp_core.__main__ import main
from larp_core.config.encoders import SCORE_FILES
from larp_core.config.settings import Settings
from larp_core.graph.registry import job_named
from larp_core.report.cell import derive_cell
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet


def test_every_cell_of_every_row_is_derived_again(scored: Settings) -> None:
    job_named("table_2", scored).work()
    job_named("table_3", scored).work()
    seen = {}
    for dataset in scored.datasets:
        paths = scored.paths(dataset)
        for encoder in SCORE_FILES:
            for row in pl.read_parquet(paths.scores(encoder)).iter_rows(named=True):
                cell = derive_cell(paths, scored.recipe, encoder, row["recommender"], row["metric"], row["k"])
                assert cell.value == pytest.approx(row["value"], abs=1e-9)
                assert cell.is_same
                seen[dataset, encoder, row["recommender"], row["metric"], row["k"]] = cell
    anew = [cell for cell in seen.values() if "ranked anew" in cell.origin]
    assert len(anew) > 50 and len(seen) > len(anew)
    assert sum("reports/table_2.parquet" in cell.on_disk for cell in seen.values()) > 50
    assert "reports/table_3.parquet" in seen["mpd", "larp_ttc", "ItemKNN", "recall", 10].on_disk


def test_the_command_prints_the_figure_and_whether_it_is_the_same(
    scored: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    job_named("table_3", scored).work()
    words = ["cell", "--dataset", "mpd", "--encoder", "larp_ttc", "--recommender", "ItemKNN", "--metric", "ndcg"]
    options = ["--k", "20", "--data-dir", str(scored.data_dir), "--recipe", "smoke"]
    assert main([*words, *options]) == 0
    out = capsys.readouterr().out
    assert "from embeddings/larp_ttc.parquet, ranked anew" in out and out.count("the same") == 2
    path = scored.paths("mpd").scores("larp_ttc")
    tampered = pl.read_parquet(path).with_columns(pl.col("value") + 1e-6)
    write_parquet(tampered, path, metadata=pl.read_parquet_metadata(path))
    assert main([*words, *options]) == 1
    assert "NOT the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing", "ItemKNN", "recall", 10), "unknown 'nothing'"),
        (("larp_ttc", "Oracle", "recall", 10), "--recommender: .* has no 'Oracle'; choose from ItemKNN"),
        (("larp_ttc", "ItemKNN", "recall", 11), "has no '11'; choose from 10, 20, 40"),
        (("mule", "ItemKNN", "recall", 10), "mule has no scores: weights not found"),
    ],
)
def test_what_is_not_there_is_said(scored: Settings, arguments: tuple[str, str, str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        derive_cell(scored.paths("mpd"), scored.recipe, *arguments)
