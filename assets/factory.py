"""A step of `larp_core.graph.registry` as a Dagster asset: the same few lines for every one of them."""

import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence

import dagster as dg

from assets.launch import run_apart
from assets.presentation import headline, metadata_of
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.runtime.errors import UserError

GPU_POOL = "gpu"
RETRY_A_KILLED_STEP = dg.RetryPolicy(max_retries=1)
"""For torch steps only: they are what gets killed (memory, a lost GPU), and training goes on from its last epoch.
A user's mistake is never retried."""


def asset_of(node: Job, *, group: str, gpu: bool = False) -> dg.AssetsDefinition:
    """The asset of one step of one dataset; `gpu` steps share the pool that keeps them from running side by side."""
    step, dataset = node.step, node.dataset

    @dg.asset(
        key=list(node.key),
        deps=[list(parent.key) for parent in node.upstream()],
        description=step.summary,
        group_name=group,
        kinds=set(step.kinds),
        tags={"dataset": dataset} if dataset else {},
        pool=GPU_POOL if gpu else None,
        retry_policy=RETRY_A_KILLED_STEP if step.torch else None,
        code_version=str(step.version),
    )
    def materialize(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        job = dataclasses.replace(node, settings=settings)
        done = _run_or_reuse(job, context, pipes)
        # Tables, figures and pages are what the run was for: say where they are. `dagster dev` shows them too.
        shown = [path for path in job.outputs[-1:] if step.shared or settings.shared.reports in path.parents]
        context.log.info(": ".join([headline(done), *map(str, shown)]))
        return dg.MaterializeResult(metadata=metadata_of(done), data_version=dg.DataVersion(done.digest))

    return materialize


def assets_in_one_process(jobs: Sequence[Job], *, name: str, group: str) -> dg.AssetsDefinition:
    """The assets of several torch steps of one dataset that share a process: loading torch costs more than their work.

    Any of them can be materialized alone; finished ones are reused one by one.
    """

    @dg.multi_asset(
        name=f"{jobs[0].dataset}__{name}",
        specs=[
            dg.AssetSpec(
                list(job.key),
                deps=[list(parent.key) for parent in job.upstream()],
                description=job.step.summary,
                group_name=group,
                kinds=set(job.step.kinds),
                tags={"dataset": job.dataset},
                code_version=str(job.step.version),
            )
            for job in jobs
        ],
        can_subset=True,
        retry_policy=RETRY_A_KILLED_STEP,
    )
    def materialize(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], pipes: dg.PipesSubprocessClient
    ) -> Iterator[dg.MaterializeResult]:
        _end_with_run()
        wanted = [dataclasses.replace(job, settings=settings) for job in jobs]
        wanted = [job for job in wanted if dg.AssetKey(list(job.key)) in context.selected_asset_keys]
        try:
            found = {job.key: done for job in wanted if (done := memo.finished(job))}
            stale = [job for job in wanted if job.key not in found]
            made = run_apart(stale, context, pipes) if stale else []
        except UserError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        found |= {job.key: done for job, done in zip(stale, made, strict=True)}
        for key, done in found.items():
            context.log.info(f"{key[-1]}: {headline(done)}")
            yield dg.MaterializeResult(
                asset_key=list(key), metadata=metadata_of(done), data_version=dg.DataVersion(done.digest)
            )

    return materialize


def _run_or_reuse(job: Job, context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> memo.Finished:
    _end_with_run()
    try:
        if job.step.torch:
            return memo.finished(job) or run_apart([job], context, pipes)[0]
        return memo.run(job)
    except UserError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


def _end_with_run() -> None:
    """A run killed with SIGKILL can't stop its step processes, which would go on beside the next run's."""
    run_process = multiprocessing.parent_process()
    if run_process is None:
        return

    def end_after_it() -> None:
        run_process.join()
        os._exit(1)

    threading.Thread(target=end_after_it, daemon=True).start()
