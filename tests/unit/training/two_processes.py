"""Run under torchrun by `test_training_processes.py`: `two_processes.py <folder>`.

Writes `<stage>-<rank>.safetensors`: the gradients of a first step, and the weights, queue and tables after a few. Then
one process makes a mistake, and at last both train by the command line.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from unittest.mock import patch

import torch
from safetensors.torch import save_file
from torch import Tensor
from training_world import TINY, make_inputs, only, write_world

from larp_core.cli import main as command_line
from larp_core.config.recipes import Recipe
from larp_core.config.stages import STAGES
from larp_core.model.modeling_larp import LarpModel
from larp_core.model.pretrained import build_model
from larp_core.runtime.errors import UserError
from larp_core.training import distributed, loop, plans, stages
from larp_core.training.run import Run

PAIRS = 4
CASES = [("larp_tpc_fusion", "none"), ("larp_ttc", "batch"), ("clap_ft", "none")]
"""Stage and the model's norm."""


def recipe_of(stage: str, norm: str, batch_size: int) -> Recipe:
    """Without dropout, and with steps so small that rounding stays what it is."""
    training = dataclasses.replace(
        TINY.training,
        batch_size=batch_size,
        epochs=only(**{stage: 2}),
        token_dropout=0.0,
        learning_rate=1e-5,
        gradient_accumulation=2 if stage == "larp_ttc" else 1,
        pair_pruning=0.2 if stage == "larp_tpc_fusion" else 0.0,
    )
    model = dataclasses.replace(TINY.model, norm=norm, learned_temperature=True)
    return dataclasses.replace(TINY, model=model, training=training)


def measure(stage: str, norm: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    original = loop.start_run

    def start_and_keep(*arguments: object) -> Run:
        run = original(*arguments)  # type: ignore[arg-type]

        def first(*_: object) -> None:
            if not found:
                for name, parameter in run.objective.model.named_parameters():
                    if parameter.grad is not None:
                        found[f"gradient.{name}"] = parameter.grad.clone()

        run.optimizer.register_step_pre_hook(first)
        found_run.append(run)
        return run

    def build_steady(*arguments: object) -> LarpModel:
        """Few captions differ little: a batch norm would divide by next to nothing, and show nothing but rounding."""
        model = build_model(*arguments)  # type: ignore[arg-type]
        for module in (model.audio_norm, model.text_norm):
            module.eps = 1.0
        return model

    found_run: list[Run] = []
    recipe = recipe_of(stage, norm, PAIRS * 2 // distributed.world_size())
    with patch.object(loop, "start_run", start_and_keep), patch.object(plans, "build_model", build_steady):
        _, result = stages.run_stage(
            STAGES[stage], make_inputs(without_audio=5, without_text=3), recipe, None, keep="last"
        )
    after = {f"after.{name}": tensor.clone() for name, tensor in found_run[0].objective.resumable().items()}
    losses = torch.tensor([[entry.loss, entry.valid_recall_at_10] for entry in result.curve[1:]])
    return found | after | {"losses": losses}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.start("cpu")
    for stage, norm in CASES:
        save_file(measure(stage, norm), folder / f"{stage}-{distributed.rank()}.safetensors")
    try:
        with distributed.together():
            if not distributed.is_main():
                raise UserError("a file is gone here")
    except UserError as error:
        (folder / f"told-{distributed.rank()}.json").write_text(json.dumps(str(error)))
    if distributed.is_main():
        write_world(folder / "data")
    distributed.barrier()
    words = ["run", "larp_wtc", "--dataset", "mpd", "--recipe", "smoke", "--data-dir", str(folder / "data")]
    assert command_line.main(words) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
