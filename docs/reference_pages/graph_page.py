"""Steps, stages, encoders and datasets: the graph and its catalogues."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from larp_core.config.datasets import DATASETS
from larp_core.config.encoders import CATALOGUE
from larp_core.config.environment import make_settings
from larp_core.config.settings import Settings
from larp_core.config.stages import STAGES
from larp_core.graph.job import Job
from larp_core.graph.registry import STEPS
from reference_pages.docstrings import escaped, table

INTRODUCTION = """\
# Steps, stages, encoders, datasets

## Steps

The steps in the order of the data's flow. `larp run STEP` runs one by hand. In Dagster every step is an asset, whose
key begins with the name of its dataset. Paths are relative to `LARP_DATA`.
"""

STAGES_TEXT = """\
## Stages of training

Each one writes `<dataset>/models/<stage>/`. Where a stage has a parent, it starts from the parent's weights.
"""

ENCODERS_TEXT = """\
## Encoders

An encoder turns tracks into vectors. The licence is that of its code and weights.
"""

DATASETS_TEXT = """\
## Datasets
"""


def graph_page() -> str:
    data_dir = Path("/LARP_DATA")
    settings = Settings(data_dir, make_settings().recipe, ("mpd", "lfm"))
    steps: list[tuple[object, ...]] = [
        (f"`{step.name}`", escaped(step.summary), _reads(step.upstream(settings)), _outputs(name, settings))
        for name, step in STEPS.items()
    ]
    stages: list[tuple[object, ...]] = [
        (f"`{stage.name}`", escaped(stage.summary), ", ".join(stage.losses), _names([stage.parent or ""]), stage.job)
        for stage in STAGES.values()
    ]
    encoders: list[tuple[object, ...]] = [
        (f"`{name}`", encoder.title, escaped(encoder.summary), escaped(encoder.licence), _names(encoder.variables))
        for name, encoder in CATALOGUE.items()
    ]
    datasets: list[tuple[object, ...]] = [
        (f"`{name}`", spec.title, f"`{spec.variable}`", escaped(spec.expected_files), escaped(spec.licence))
        for name, spec in DATASETS.items()
    ]
    parts = [
        INTRODUCTION,
        table(("step", "what it makes", "reads", "writes"), steps),
        STAGES_TEXT,
        table(("stage", "what it is", "losses", "parent", "job"), stages),
        ENCODERS_TEXT,
        table(("encoder", "in the tables", "what it is", "licence", "weights from"), encoders),
        DATASETS_TEXT,
        table(("dataset", "title", "variable", "raw files", "licence"), datasets),
    ]
    return "\n\n".join(parts) + "\n"


def _names(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names if name)


def _reads(names: list[str]) -> str:
    """With `scores/*` for many steps of one kind."""
    kinds = Counter(name.split("/")[0] for name in names if "/" in name)
    many = {kind for kind, count in kinds.items() if count > 3}
    return _names(list(dict.fromkeys(f"{kind}/*" if (kind := name.split("/")[0]) in many else name for name in names)))


def _outputs(name: str, settings: Settings) -> str:
    step = STEPS[name]
    job = Job(step, settings, "" if step.shared else "mpd", STEPS)
    paths = [path.relative_to(settings.data_dir).as_posix() for path in job.outputs]
    return _names([path.replace("mpd/", "<dataset>/", 1) if not step.shared else path for path in paths])
