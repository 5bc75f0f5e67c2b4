"""Checks that stop everything downstream when they fail."""

import dataclasses

import dagster as dg

from assets.presentation import value_of
from larp_core.settings import Settings


def no_leaks(dataset: str) -> dg.AssetChecksDefinition:
    """The check that train, validation and test of `dataset` share nothing."""

    @dg.asset_check(
        asset=[dataset, "cold_start_split"],
        name="no_leaks",
        blocking=True,
        description="Train, validation and test share no track and no playlist, and no song under another uri where "
        "the recipe excludes such twins; every holdout lies in its own split.",
    )
    def check(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        from larp_core.data.leaks import check_leaks

        leaks = check_leaks(settings.paths(dataset), settings.recipe.split.twins)
        return dg.AssetCheckResult(
            passed=leaks.is_clean,
            description="no leaks" if leaks.is_clean else "; ".join(leaks.examples),
            metadata={name: value_of(value) for name, value in dataclasses.asdict(leaks).items()},
        )

    return check
