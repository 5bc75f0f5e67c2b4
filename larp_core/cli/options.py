"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from larp_core.config.datasets import DATASETS
from larp_core.config.environment import settings_from
from larp_core.config.settings import VARIABLES, Settings
from larp_core.runtime.errors import UserError


def add_settings(command: argparse.ArgumentParser) -> None:
    """Every setting as an option, in a group of its own."""
    group = command.add_argument_group("settings", "by default those of the environment")
    for variable, name in VARIABLES.items():
        group.add_argument(f"--{name.replace('_', '-')}", metavar=variable)


def add_dataset(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dataset", help=f"{', '.join(DATASETS)}; the first configured one by default")


def settings_of(options: dict[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Options win over the environment. Dagster hands every setting over as an option, and the rest is not set.

    Raises:
        UserError: see `settings_from`.
    """
    given = {name: value for name in VARIABLES.values() if (value := options[name]) is not None}
    return settings_from(environment, **given)


def dataset_of(name: str | None, settings: Settings) -> str:
    """The named dataset, or the first one. Raises UserError where it is not configured."""
    dataset = name or settings.datasets[0]
    if dataset not in settings.datasets:
        raise UserError(f"--dataset {dataset} is not among the configured ones: {', '.join(settings.datasets)}")
    return dataset
