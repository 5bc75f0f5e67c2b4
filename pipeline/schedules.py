"""What runs by the clock. Stopped until somebody starts it in the UI."""

import dagster as dg

from pipeline.jobs import TRAIN_ALL

weekly_retrain = dg.ScheduleDefinition(
    name="weekly_retrain",
    job_name=TRAIN_ALL,
    cron_schedule="0 3 * * 0",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Sundays at 03:00 (UTC): trains anew whatever new playlists or audio touch; the rest is reused.",
)
