"""What weights are made from: two trainings with the same provenance give the same weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """Of one training.

    Attributes:
        fingerprint: of all that the weights depend on: code version, settings, the contents of what is read.
        data_fingerprint: of those contents alone, the parent's weights among them.
        recipe_name, seed: as `training.json` has them.
        asset: what a person materializes to get these weights, `mpd/larp_ttc`.
        is_demo: whether the demo world stood in for the dataset.
        parent: of the weights that it starts from; None for new ones.
    """

    fingerprint: str
    data_fingerprint: str
    recipe_name: str
    seed: int
    asset: str
    is_demo: bool = False
    parent: Provenance | None = None
