"""Checks: leaks stop everything downstream; what acquisition misses is only told."""

import dataclasses

import dagster as dg

from assets.presentation import value_of
from larp_core.config.settings import Settings


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
        from larp_core.data.split.leaks import check_leaks

        leaks = check_leaks(settings.paths(dataset), settings.recipe.split.twins)
        return dg.AssetCheckResult(
            passed=leaks.is_clean,
            description="no leaks" if leaks.is_clean else "; ".join(leaks.examples),
            metadata={name: value_of(value) for name, value in dataclasses.asdict(leaks).items()},
        )

    return check


def ready_for_audio(dataset: str) -> dg.AssetChecksDefinition:
    """The check of what getting the audio of `dataset` needs; it can be run before the start, and blocks nothing."""

    @dg.asset_check(
        asset=[dataset, "mp3"],
        name="ready_for_audio",
        blocking=False,
        description="Programs, free disk, cookies' age, sources and their pauses: what `larp_core doctor` says.",
    )
    def check(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        from larp_core.doctor import examine

        findings = examine(settings, dataset)
        todo = [f"{finding.name}: {finding.says}" for finding in findings if not finding.is_fine]
        return dg.AssetCheckResult(
            passed=not todo,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(todo) or "nothing is missing",
            metadata={finding.name: value_of(finding.says) for finding in findings},
        )

    return check
