"""Does every stage earn its place? The demo recipe on fresh worlds: each row's test Recall, and a control.

    python benchmarks/stages.py                      four fresh worlds, about half an hour on two cores
    python benchmarks/stages.py --seeds 301 302      other worlds

The recipe was tuned on validation playlists of worlds 7 to 9, which are not among the seeds here. In the control the
train playlists are shuffled (same sizes, same popularity, random tracks), and stage 2 runs all its epochs and keeps the
last: an epoch chosen on real validation playlists would let them in again. What it gains is measured against "WTC
continued", stage 1 for as many steps in the same way: stage 2 contains stage 1's loss, whose gains are not playlists'.
Prints `figure: measured (required bound)` for each claim and exits 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

KS = (10, 40)
STAGES = {
    "LARP-WTC": ("larp_wtc", "untrained"),
    "CLAP-FT": ("clap_ft", "untrained"),
    "LARP-TTC": ("larp_ttc", "LARP-WTC"),
    "TTC continued": ("larp_ttc_continued", "LARP-TTC"),
    "LARP-TPC": ("larp_tpc", "LARP-TTC"),
    "LARP-TPC-fusion": ("larp_tpc_fusion", "LARP-TTC"),
}
CONTROL = "LARP-TTC, shuffled playlists"
WTC_CONTINUED = "WTC continued"
CLAIMS = (
    ("untrained", "random"),
    ("LARP-WTC", "untrained"),
    ("CLAP-FT", "untrained"),
    ("LARP-TTC", "LARP-WTC"),
    ("LARP-TTC", "CLAP-FT"),
)
REPORTED = (
    ("LARP-TTC", WTC_CONTINUED),
    ("LARP-TTC", CONTROL),
    (CONTROL, "LARP-WTC"),
    ("LARP-TPC", "TTC continued"),
    ("LARP-TPC-fusion", "TTC continued"),
    ("LARP-TPC-fusion", "LARP-TPC"),
)
CONTROL_BOUND = 0.01
"""Recall that stage 2 may seem to gain on shuffled playlists, by chance."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[401, 402, 403, 404])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, help="keep the worlds here; a temporary folder by default")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure_world(options.one, options.data_dir)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        results = run_worlds(options.seeds, options.data_dir or Path(temporary), options.processes)
    print_rows(results)
    return print_claims(results)


def run_worlds(seeds: list[int], folder: Path, processes: int) -> list[dict[str, Any]]:
    """Each world in a process of its own, `processes` at a time."""
    results: list[dict[str, Any]] = []
    for start in range(0, len(seeds), processes):
        running = [
            subprocess.Popen(
                [sys.executable, __file__, "--one", str(seed), "--data-dir", str(folder / str(seed))],
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in seeds[start : start + processes]
        ]
        for process in running:
            output, _ = process.communicate()
            if process.returncode:
                raise SystemExit(f"a world failed with exit status {process.returncode}, see above")
            results.append(json.loads(output.splitlines()[-1]))
    return results


def measure_world(seed: int, data_dir: Path) -> dict[str, dict[str, float]]:
    """Row -> {"10": Recall@10, "40": Recall@40} on the test playlists of one fresh world."""
    import torch

    from larp_core.config.recipes import DEMO
    from larp_core.config.settings import Settings
    from larp_core.evaluation.holdouts import load_holdouts
    from larp_core.evaluation.metadata_rows import metadata_frames, metadata_rankings
    from larp_core.evaluation.recommenders.itemknn import evaluate_itemknn
    from larp_core.graph import memo
    from larp_core.graph.registry import job_named
    from larp_core.model.pretrained import build_model
    from larp_core.training.encode import encode_all, settle_batch_norms, track_vectors
    from larp_core.training.stages import StageInputs, run_stage
    from larp_core.training.track_data import load_track_data

    recipe = replace(DEMO, world=replace(DEMO.world, seed=seed))
    settings = Settings(data_dir.resolve(), recipe, ("mpd",))
    for name in INGEST:
        memo.run(job_named(name, settings, "mpd"))
    torch.set_num_threads(1)
    paths = settings.paths("mpd")
    inputs = StageInputs.load(paths, recipe, None)
    holdouts = load_holdouts(paths, "test")
    test = load_track_data(
        paths, np.sort(holdouts.candidates), inputs.tokenizer, recipe.model.text.max_tokens, inputs.train.mels
    )

    def recall(frame: pl.DataFrame) -> dict[str, float]:
        means = frame.filter(pl.col("metric") == "recall").group_by("k").agg(pl.col("value").mean())
        return {str(k): value for k, value in means.iter_rows()}

    def recall_of(model: Any) -> dict[str, float]:
        vectors = track_vectors(encode_all(model, test, recipe.training.precision))
        return recall(evaluate_itemknn(holdouts, test.track_ids, vectors, KS))

    frames = metadata_frames(metadata_rankings(paths, holdouts, max(KS)), holdouts, KS)
    rows = {name: recall(frame) for name, frame in frames.items()}
    models = {"untrained": build_model(recipe.model, len(inputs.tokenizer), recipe.training.seed)}
    settle_batch_norms(models["untrained"], inputs.train, recipe.training.precision)
    rows["untrained"] = recall_of(models["untrained"])
    for row, (stage, parent) in STAGES.items():
        models[row], result = run_stage(STAGES[stage], inputs, recipe, models[parent])
        rows[row] = recall_of(models[row])
        print(f"world {seed}: {row}, best epoch {result.best_epoch}, {rows[row]}", file=sys.stderr, flush=True)
    epochs, wtc = recipe.training.epochs_of("larp_ttc"), models["LARP-WTC"]
    shuffled = replace(inputs, graph=inputs.graph.shuffled(np.random.default_rng(seed)))
    rows[CONTROL] = recall_of(run_to_the_end("larp_ttc", epochs, shuffled, recipe, wtc))
    # A step of stage 1 takes twice the anchors, so that one epoch of stage 2 is two of stage 1.
    rows[WTC_CONTINUED] = recall_of(run_to_the_end("larp_wtc", 2 * epochs, inputs, recipe, wtc))
    print(f"world {seed}: control {rows[CONTROL]}, {WTC_CONTINUED} {rows[WTC_CONTINUED]}", file=sys.stderr, flush=True)
    return rows


def run_to_the_end(stage: str, epochs: int, inputs: Any, recipe: Any, parent: Any) -> Any:
    """`stage` for all its epochs, with no early stop; the last epoch's model."""
    from larp_core.training.stages import run_stage

    of_each = tuple((name, epochs if name == stage else 0) for name in STAGES)
    training = replace(recipe.training, patience=None, epochs=of_each)
    return run_stage(STAGES[stage], inputs, replace(recipe, training=training), parent, keep="last")[0]


INGEST = (
    "demo_world",
    "source",
    "playlists",
    "cold_start_split",
    "metadata",
    "captions",
    "mp3",
    "clips",
    "mels",
    "interaction_graph",
)


def values(results: list[dict[str, Any]], row: str, k: int) -> np.ndarray:
    return np.array([result[row][str(k)] for result in results])


def print_rows(results: list[dict[str, Any]]) -> None:
    print(f"{'row':30}" + "".join(f"  Recall@{k} mean  (spread)" for k in KS))
    for row in results[0]:
        cells = (values(results, row, k) for k in KS)
        print(f"{row:30}" + "".join(f"  {cell.mean():14.4f}  ({np.std(cell):.4f})" for cell in cells))
    print()


def print_claims(results: list[dict[str, Any]]) -> int:
    """Prints every claim; returns the exit status."""
    failed = False
    for k in KS:
        for better, worse in (*CLAIMS, *REPORTED):
            gain = values(results, better, k) - values(results, worse, k)
            required = (better, worse) in CLAIMS
            failed |= required and not gain.mean() > 0
            bound = "> 0" if required else "reported, no bound"
            print(f"Recall@{k}, {better} over {worse}: {gain.mean():+.4f} +- {gain.std():.4f} ({bound})")
        gain = values(results, CONTROL, k) - values(results, WTC_CONTINUED, k)
        failed |= not gain.mean() < CONTROL_BOUND
        print(f"Recall@{k}, {CONTROL} over {WTC_CONTINUED}: {gain.mean():+.4f} +- {gain.std():.4f} (< {CONTROL_BOUND})")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
