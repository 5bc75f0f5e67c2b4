"""A full-size training step against one written as the published code does it: same towers, pairs, machine and run.

    python benchmarks/train_step.py                    the CPU in fp32: 8 pairs a step, some five minutes
    python benchmarks/train_step.py --device cuda      a GPU: 50 pairs a step, ours in bf16

HTS-AT tiny and BERT base with random weights, 57,600 queued tracks, stage 2 (WTC and TTC) through the real loop;
10 s MP3s at 128 kbit/s for the published step; captions as long as those of 9,702 real tracks (median 16 tokens). The
two take turns, and rates are means over the turns. The published step runs the modules that HTS-AT and BERT come with.

On a CPU 16 pairs take 17 GB, and the paper's 50 would take some 40 and minutes a step, hence 8 there. What costs the
same whatever the batch (Adam, the momentum copy, the text tower's gradients) weighs the more in a small step, and
a turn's first steps also pay for memory that later ones reuse.

Prints `figure: measured (required bound)` a line and exits 1 where a bound does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
import torch
from published_step import PublishedStep, loader_of
from torch.utils.flop_counter import FlopCounterMode

from larp_core.config import ModelConfig, TrainingConfig
from larp_core.config.recipes import PAPER
from larp_core.config.stages import STAGES
from larp_core.data.train_graph import TrainGraph, make_train_graph
from larp_core.losses.encoded import Features
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.wtc import within_track_contrast
from larp_core.model.pretrained import build_model
from larp_core.training import loop
from larp_core.training.encode import encode_all
from larp_core.training.objective import LarpObjective
from larp_core.training.sampler import Draw, Sampler
from larp_core.training.track_data import TrackData

STAGE = "larp_ttc"
VOCAB_SIZE, MAX_TOKENS = 30_522, 30
CAPTION_QUANTILES = ([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0], [8, 11, 14, 16, 20, 28, 30])
BATCH_OF_THE_PAPER = 50
REAL_TRACKS, REAL_PLAYLISTS = 98_552, 20_000
PEAK_TFLOPS_BF16 = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "A10": 125.0}


@dataclass(frozen=True)
class World:
    """Tracks with mels, captions and MP3s, and a graph in which all are partners."""

    data: TrackData
    graph: TrainGraph
    files: list[Path]


def make_world(folder: Path, num_tracks: int) -> World:
    rng = np.random.default_rng(0)
    mels = np.lib.format.open_memmap(folder / "mels.npy", "w+", np.float16, (num_tracks, 1001, 64))
    files = []
    for track in range(num_tracks):
        mels[track] = rng.normal(-40, 15, (1001, 64))
        files.append(folder / f"{track}.mp3")
        soundfile.write(files[-1], rng.normal(0, 0.1, 480_000).astype(np.float32), 48_000, format="MP3")
    lengths = np.interp(rng.random(num_tracks), *CAPTION_QUANTILES).round().astype(int)
    data = TrackData(
        track_ids=np.arange(num_tracks, dtype=np.int32),
        input_ids=torch.from_numpy(rng.integers(1000, VOCAB_SIZE, (num_tracks, MAX_TOKENS))),
        attention_mask=torch.from_numpy((np.arange(MAX_TOKENS) < lengths[:, None]).astype(np.int64)),
        has_text=torch.ones(num_tracks, dtype=torch.bool),
        mel_rows=np.arange(num_tracks),
        mels=mels,
        caption_groups=PAPER.training.caption_groups,
    )
    return World(data, random_graph(num_tracks, 1, num_tracks), files)


def random_graph(num_tracks: int, num_playlists: int, length: int) -> TrainGraph:
    rng = np.random.default_rng(1)
    members = np.stack([rng.choice(num_tracks, length, replace=False) for _ in range(num_playlists)])
    playlists = np.repeat(np.arange(num_playlists), length).astype(np.int32)
    return make_train_graph(playlists, members.ravel().astype(np.int32))


class WaitMeter:
    """In place of the loop's `made_ahead`: the same, and for the last epoch how long the loop waited for its batches,
    and the processors' time from its first batch to its end."""

    def __init__(self) -> None:
        self.original, self.seconds, self.processor_seconds = loop.made_ahead, 0.0, 0.0

    def __call__(self, *arguments: Any) -> Iterator[Any]:
        batches = self.original(*arguments)
        processor, self.seconds = time.process_time(), 0.0
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - started
            self.processor_seconds = time.process_time() - processor
            if batch is None:
                return
            yield batch


@dataclass(frozen=True)
class Turn:
    """What a pair cost, and the share of the time that was spent waiting for batches where that is known."""

    seconds: float
    processor_seconds: float
    waited: float = 0.0


def run_ours(objective: LarpObjective, world: World, config: TrainingConfig) -> Turn:
    """The loop's second epoch."""
    sampler = Sampler(world.graph, np.arange(len(world.files)), config.batch_size, True, 0, seed=1)
    meter = WaitMeter()
    with patch.object(loop, "made_ahead", meter):
        result = loop.train(objective, world.data, sampler, lambda: 0.0, config, epochs=2)
    pairs, seconds = sampler.steps_per_epoch * config.batch_size, result.curve[-1].seconds
    return Turn(seconds / pairs, meter.processor_seconds / pairs, meter.seconds / seconds)


def run_published(step: PublishedStep, world: World, config: TrainingConfig, device: torch.device) -> Turn:
    """What follows a first step."""
    draws = list(Sampler(world.graph, np.arange(len(world.files)), config.batch_size, True, 0, seed=1).epoch(1))
    order = [draws[0], *draws]
    pairs = np.concatenate([draw.tracks.reshape(2, -1).T for draw in order])
    workers = min(8, os.cpu_count() or 1) if device.type == "cuda" else 0
    started = processor = 0.0
    step.train()
    for number, (draw, mels) in enumerate(
        zip(order, loader_of(world.files, pairs, config.batch_size, workers), strict=True)
    ):
        tracks = torch.from_numpy(draw.tracks)
        ids, mask = world.data.input_ids[tracks], world.data.attention_mask[tracks]
        step.step(mels.to(device), ids.to(device), mask.to(device))
        if number == 0:
            started, processor = finished(device), time.process_time()
    pairs_done = len(draws) * config.batch_size
    return Turn((finished(device) - started) / pairs_done, (time.process_time() - processor) / pairs_done)


def finished(device: torch.device) -> float:
    """The time when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def losses_seconds(device: torch.device, config: TrainingConfig) -> float:
    """All three losses of one step of 50 pairs, forward and back, with a full queue and a graph of the paper's size."""
    graph = random_graph(REAL_TRACKS, REAL_PLAYLISTS, 60)
    model = build_model(small_towers(), 100, seed=0)
    objective = LarpObjective(model, STAGES["larp_tpc"], graph, ModelConfig(), config).to(device)
    rng = torch.Generator().manual_seed(0)

    def features(rows: int) -> Features:
        sides = torch.nn.functional.normalize(torch.randn(2, rows, 256, generator=rng), dim=-1).to(device)
        there = torch.ones(rows, dtype=torch.bool, device=device)
        return Features(sides[0].clone().requires_grad_(), sides[1].clone().requires_grad_(), there, there)

    size = objective.queue.tracks.shape[0]
    past = features(size)
    queued = torch.from_numpy(np.random.default_rng(0).integers(0, graph.num_tracks, size)).to(device)
    objective.queue.push(past.audio.detach(), past.text.detach(), queued, past.has_audio, past.has_text)
    draw: Draw = next(Sampler(graph, graph.anchors, BATCH_OF_THE_PAPER, True, 10, seed=1).epoch(1))
    seconds = []
    for _ in range(4):
        online, slow, playlist = features(len(draw.tracks)), features(len(draw.tracks)), features(BATCH_OF_THE_PAPER)
        started = finished(device)
        step = objective._encoded(draw, online, slow, 0.0)
        total = within_track_contrast(step) + track_track_contrast(step) + track_playlist_contrast(step, playlist)
        total.backward()
        seconds.append(finished(device) - started)
    return min(seconds[1:])


def small_towers() -> ModelConfig:
    from larp_core.config.recipes import SMALL_MODEL

    return replace(SMALL_MODEL, projection=256)


def flops_of_a_step(objective: LarpObjective, world: World, config: TrainingConfig) -> float:
    draw = next(Sampler(world.graph, np.arange(len(world.files)), config.batch_size, True, 0, seed=1).epoch(1))
    batch = world.data.batch(draw.tracks).to(objective.model.device)
    # The counter knows PyTorch's own products, not oneDNN's.
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        torch.stack(list(objective.train()(draw, batch, 0.0).values())).mean().backward()
    objective.zero_grad(set_to_none=True)
    return float(counter.get_total_flops())


def report(figure: str, measured: float, bound: float, *, at_least: bool, unit: str = "") -> bool:
    """Prints a line; returns whether the bound holds."""
    sign = ">=" if at_least else "<"
    print(f"{figure}: {measured:.3g}{unit} ({sign} {bound:g}{unit})", flush=True)
    return measured >= bound if at_least else measured < bound


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, help="pairs a step: 8 on a CPU, 50 on a GPU")
    parser.add_argument("--steps", type=int, help="measured steps a turn: 2 on a CPU, 20 on a GPU")
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    device, on_gpu = torch.device(options.device), options.device == "cuda"
    pairs = options.pairs or (BATCH_OF_THE_PAPER if on_gpu else 8)
    config = replace(
        PAPER.training, batch_size=pairs, precision="bf16" if on_gpu else "fp32", device=options.device, patience=None
    )
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), pairs * (options.steps or (20 if on_gpu else 2)))
        return measure(world, config, device, options.turns)


def measure(world: World, config: TrainingConfig, device: torch.device, turns: int) -> int:
    on_gpu = device.type == "cuda"
    model = build_model(ModelConfig(), VOCAB_SIZE, seed=0).to(device)
    published = PublishedStep(model, ModelConfig().queue_size, ModelConfig().momentum).to(device)
    objective = LarpObjective(model, STAGES[STAGE], world.graph, ModelConfig(), config).to(device)
    theirs, ours = [], []
    for _ in range(turns):
        theirs.append(run_published(published, world, config, device))
        ours.append(run_ours(objective, world, config))
        print(f"turn: published {theirs[-1].seconds:.3f}, ours {ours[-1].seconds:.3f} seconds a pair", flush=True)
    published_seconds, seconds = (float(np.mean([turn.seconds for turn in turns])) for turns in (theirs, ours))
    published_work, work = (float(np.mean([turn.processor_seconds for turn in turns])) for turns in (theirs, ours))
    rate = 1 / seconds
    started = finished(device)
    encode_all(model, world.data, config.precision)
    encoding = len(world.files) / (finished(device) - started)
    step_of_the_paper = BATCH_OF_THE_PAPER * seconds
    name = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, ours in {config.precision}, {config.batch_size} pairs a step, {turns} turns")
    print(f"pairs a second: published {1 / published_seconds:.3g}, ours {rate:.3g}")
    print(
        f"processor seconds a pair, published / ours: {published_work:.3g} / {work:.3g} = {published_work / work:.3g}"
    )
    holds = [
        report("pairs a second, ours / published", published_seconds / seconds, 6.0 if on_gpu else 2.2, at_least=True),
        report("tracks a second, encoding / training", encoding / (2 * rate), 2.0, at_least=True),
        report(
            f"losses and graph at {BATCH_OF_THE_PAPER} pairs and 57,600 queued, of a step at this rate",
            100 * losses_seconds(device, config) / step_of_the_paper,
            5.0,
            at_least=False,
            unit="%",
        ),
        report("waiting for batches", 100 * max(run.waited for run in ours), 2.0, at_least=False, unit="%"),
    ]
    flops = flops_of_a_step(objective, world, config)
    print(f"model FLOPs of a step: {flops / 1e12:.3g} T, {flops / 1e12 * rate / config.batch_size:.3g} TFLOP/s")
    if on_gpu:
        peak = next((value for key, value in PEAK_TFLOPS_BF16.items() if key in name), None)
        achieved = flops / 1e12 * rate / config.batch_size
        print("model-FLOPs utilisation: " + (f"{achieved / peak:.1%}" if peak else f"peak of {name} not known"))
        print(f"peak GPU memory, both models: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
