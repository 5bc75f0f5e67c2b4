"""What a run prints in a terminal: a line a step, a line a mistake. Dagster's own events and stacks stay in the UI."""

import logging
import sys

import dagster as dg

SKIPPED_STEP = "Dependencies for step"
"""How Dagster begins the line that it logs, as an error, for each step after one that failed."""

PIPES = "[pipes]"
"""How it begins those about its connection to a step's process."""


class OneLine(logging.Formatter):
    """`14:57:36 mpd/mp3: 1,486 rows, done in 39.7 s`, with nothing more where the user can mend what is wrong."""

    def format(self, record: logging.LogRecord) -> str:
        meta = record.dagster_meta  # type: ignore[attr-defined]
        event: dg.DagsterEvent | None = meta["dagster_event"]
        at = self.formatTime(record, "%H:%M:%S")
        step = f"{_name(meta['step_key'])}: " if meta["step_key"] else ""
        if event is None:
            return f"{at} {step}{meta['orig_message']}"
        if event.is_step_failure:
            return f"{at} {_failure(event)}"
        if event.event_type == dg.DagsterEventType.RUN_FAILURE:
            return f"{at} {_end(event)}"
        return f"{at} {step}{event.message or event.event_type_value}"


def _failure(event: dg.DagsterEvent) -> str:
    """A user's mistake in the words of the step, anything else with its stack."""
    data = event.step_failure_data
    said = data.user_failure_data.description if data.user_failure_data else data.error and data.error.to_string()
    return f"{_name(event.step_key)}: {said or event.message}"


def _end(event: dg.DagsterEvent) -> str:
    """The step's process may still be about to print its line when the run ends: it is said again, with what to do."""
    first = event.job_failure_data.first_step_failure_event
    said = _failure(first) if first else event.message
    return f"The run failed. {said}\nRun the job again once that is mended: what has finished is reused."


def _name(step_key: str | None) -> str:
    return (step_key or "").replace("__", "/")


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """False for steps that did not run because of the one that failed, which has its own line, and for plumbing."""
    said: str = record.dagster_meta["orig_message"]  # type: ignore[attr-defined]
    return not (said.startswith(SKIPPED_STEP) or (said.startswith(PIPES) and record.levelno <= logging.INFO))


@dg.logger(config_schema={"log_level": dg.Field(str, is_required=False, default_value="INFO")})
def one_line_console(context: dg.InitLoggerContext) -> logging.Logger:
    """On standard error. `log_level: DEBUG` in a run's `loggers.console.config` shows Dagster's events too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    handler.addFilter(is_worth_a_line)
    console = logging.Logger("larp", level=context.logger_config["log_level"])
    console.addHandler(handler)
    return console
