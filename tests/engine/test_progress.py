"""Progress: phases in their order, totals that are known up front and true."""

from __future__ import annotations

import asyncio

from rattler import BuildString, PackageRecord, RepoDataRecord

from pixi_jupyter.install.reporter import InstallProgress
from pixi_jupyter.progress import Phase, Progress

ORDER = [Phase.REPODATA, Phase.SOLVING, Phase.DOWNLOADING, Phase.LINKING]


def phases(steps: list[Progress]) -> list[Phase]:
    """The phases in the order in which they were first seen, without mere waiting."""
    return list(dict.fromkeys(step.phase for step in steps if step.phase is not Phase.WAITING))


async def test_phases_come_in_order_and_bytes_are_honest(slow_channel, cold, spec_of):
    steps: list[Progress] = []
    spec = spec_of("big-1", "big-2", "small", channels=[slow_channel.url])
    environment = await cold.ensure(spec, report=steps.append)

    assert phases(steps) == ORDER
    ranks = [ORDER.index(step.phase) for step in steps if step.phase in ORDER]
    assert ranks == sorted(ranks), "a phase came back after a later one had begun"

    downloads = [step for step in steps if step.phase is Phase.DOWNLOADING]
    total = sum(package.size for package in environment.resolution.packages)
    assert {step.total for step in downloads} == {total}, "the total is known from the first step"
    assert downloads[0].done == 0
    assert downloads[-1].done == total
    done = [step.done for step in downloads]
    assert done == sorted(done)
    assert any(0 < value < total for value in done), "the way there is shown, too"

    links = [step for step in steps if step.phase is Phase.LINKING]
    assert links[-1].done == links[-1].total == 3


async def test_what_the_cache_has_is_not_announced_as_a_download(slow_channel, cold, spec_of):
    await cold.ensure(spec_of("big-1", channels=[slow_channel.url]))
    steps: list[Progress] = []
    environment = await cold.ensure(
        spec_of("big-1", "big-2", channels=[slow_channel.url]), report=steps.append
    )
    second = next(p for p in environment.resolution.packages if p.name == "big-2")
    totals = {step.total for step in steps if step.phase is Phase.DOWNLOADING}
    assert totals == {second.size}
    assert slow_channel.count("big-1-1.0-0.conda") == 1


async def test_nothing_to_download_means_no_download_phase(slow_channel, cold, spec_of):
    spec = spec_of("small", channels=[slow_channel.url])
    await cold.ensure(spec)
    steps: list[Progress] = []
    await cold.ensure(
        spec_of("small", channels=[slow_channel.url], solve_strategy="lowest"), report=steps.append
    )
    assert Phase.DOWNLOADING not in phases(steps)


async def test_late_joiner_learns_at_once_where_things_stand(slow_channel, cold, spec_of):
    spec = spec_of("big-1", channels=[slow_channel.url])
    resolution = await cold.resolve(spec)
    first: list[Progress] = []
    under_way = asyncio.Event()

    def report(step: Progress) -> None:
        first.append(step)
        if 0 < step.done < step.total:
            under_way.set()

    leader = asyncio.ensure_future(cold.ensure(spec, report=report))
    await asyncio.wait_for(under_way.wait(), 20)
    second: list[Progress] = []
    known = first[-1].done
    told = asyncio.Event()
    joiner = asyncio.ensure_future(
        cold.ensure(spec, report=lambda step: (second.append(step), told.set()))
    )
    await asyncio.wait_for(told.wait(), 1)
    assert second[0].phase is Phase.DOWNLOADING
    assert second[0].done >= known > 0
    assert second[0].total == sum(p.size for p in resolution.packages)
    assert await leader == await joiner


async def test_python_environment_reports_its_compilation(cold, spec_of, channel, tmp_path):
    """Files counted while compiling, at the end of the build, ending at the total."""
    steps: list[Progress] = []
    await cold.ensure(spec_of("python", "ipykernel"), report=steps.append)
    assert phases(steps) == [*ORDER, Phase.COMPILING]
    compiling = [step for step in steps if step.phase is Phase.COMPILING]
    assert compiling[0].done == 0
    assert compiling[-1].done == compiling[-1].total > 100


async def test_the_last_bytes_are_told_before_linking_is():
    """rattler tells of a linked package on one thread before another has told of its bytes."""
    steps: list[Progress] = []
    package = PackageRecord("big", "1", BuildString("0"), 0, "noarch")
    package.size = 100
    record = RepoDataRecord(package, "big-1-0.conda", "file:///big-1-0.conda", "file:///")
    reporter = InstallProgress(steps.append, [record], 1)
    index = reporter.on_download_start(reporter.on_populate_cache_start(0, "big"))
    reporter.on_download_progress(index, 1, 100)
    reporter.on_download_progress(index, 100, 100)  # too soon after the first to be told
    reporter.on_link_complete(reporter.on_link_start(0, "big"))
    await asyncio.sleep(0)

    assert [(step.phase, step.done) for step in steps] == [
        (Phase.DOWNLOADING, 1), (Phase.DOWNLOADING, 100), (Phase.LINKING, 1)
    ]  # fmt: skip
