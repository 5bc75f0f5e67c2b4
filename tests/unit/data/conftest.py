"""Jobs that run on small files."""

from data_jobs import make_job, run_steps

__all__ = ["make_job", "run_steps"]
