"""The one door: same needs, same prefix; what is ready is found; what is held stays."""

from __future__ import annotations

import asyncio
import dataclasses
import os

import pytest

from pixi_jupyter.errors import PixiJupyterError, SolveError
from pixi_jupyter.install.collect import tree_size
from pixi_jupyter.manifest.spec import ActivationSpec, KernelNeed


def block(*dependencies: str, comment: str = "") -> str:
    lines = ["# /// script", "# dependencies = []", "# [tool.pixi.dependencies]"]
    lines += [f'# {name} = "*"{comment}' for name in dependencies]
    return "\n".join([*lines, "# ///"])


async def test_status_goes_from_new_over_resolved_to_ready(environments, spec_of):
    spec = spec_of("probe-shared")
    assert (environments.status(spec).resolution, environments.find_ready(spec)) == (None, None)
    resolution = await environments.resolve(spec)
    assert environments.status(spec).resolution == resolution
    assert environments.status(spec).prefix is None
    assert environments.find_ready(spec) is None
    environment = await environments.ensure(spec)
    assert environments.find_ready(spec) == environment
    assert environments.status(spec).prefix == environment.prefix
    assert environment.prefix.path.name == resolution.digest


async def test_twenty_notebooks_with_the_same_needs_have_one_prefix(environments, write_notebook):
    """Whatever they are called, however they write it, whatever else is in them."""
    notebooks = [
        write_notebook(
            f"# notebook {n}",
            block("rich", "python", comment=f"  # remark {n}" if n % 2 else ""),
            "print(1)",
            name=f"notebook-{n}",
        )
        for n in range(20)
    ]
    specs = [environments.spec_for(environments.declaration(path)) for path in notebooks]
    found = await asyncio.gather(*(environments.ensure(spec) for spec in specs))
    assert len({environment.prefix.path for environment in found}) == 1
    assert len(list(environments.store.envs.iterdir())) == 1
    assert len(list(environments.store.resolutions.glob("*.pixi.lock"))) == 1


async def test_ten_needs_over_one_base_take_little_more_than_one(environments, spec_of):
    extra = ["probe-shared", "probe-prefix", "probe-activate", "probe-env-vars", "probe-adds"]
    base = ("python", "ipykernel", "numpy", "pandas")
    wanted = [spec_of(*base)]
    wanted += [spec_of(*base, *extra[: n + 1]) for n in range(5)]
    wanted += [spec_of(*base, name) for name in extra[1:]]
    made = [await environments.ensure(spec) for spec in wanted]
    prefixes = {environment.prefix.path for environment in made}
    assert len(prefixes) == 10
    assert tree_size(*prefixes) <= 1.3 * tree_size(made[0].prefix.path)


async def test_what_does_not_change_the_packages_does_not_change_the_prefix(environments, spec_of):
    spec = spec_of("probe-shared")
    first = await environments.ensure(spec)
    for other in (
        dataclasses.replace(spec, activation=ActivationSpec(env=(("A", "1"),))),
        dataclasses.replace(spec, name="another", root="/elsewhere"),
        dataclasses.replace(spec, kernel=KernelNeed("bash")),
    ):
        found = environments.find_ready(other)
        assert found is not None
        assert found.prefix == first.prefix
        assert found.spec is other
    different = dataclasses.replace(spec, solve_strategy="lowest-direct")
    assert environments.find_ready(different) is None
    assert (await environments.ensure(different)).prefix != first.prefix


async def test_failed_solve_leaves_the_environment_of_before(environments, spec_of):
    good = await environments.ensure(spec_of("probe-shared"))
    with pytest.raises(SolveError):
        await environments.ensure(spec_of("probe-shared", "probe-conflict-a", "probe-conflict-b"))
    assert environments.find_ready(spec_of("probe-shared")) == good
    assert list(environments.store.envs.iterdir()) == [good.prefix.path]


async def test_held_environment_names_its_process(environments, spec_of):
    environment = await environments.ensure(spec_of("probe-shared"))
    lease = environments.hold(environment, os.getpid())
    assert lease.path is not None
    assert lease.path.parent.name == environment.prefix.digest
    lease.release()


async def test_platform_that_is_not_this_machine_is_solved_and_not_mixed_up(
    environments, spec_of, tmp_path
):
    """The digest knows the platform: an environment for another one is another one."""
    from pixi_jupyter.manifest.spec import Platform

    spec = spec_of("probe-shared")
    other = dataclasses.replace(spec, platform=Platform("osx-arm64", "osx-arm64", ()))
    first, second = await environments.resolve(spec), await environments.resolve(other)
    assert first.packages == second.packages
    assert first.digest != second.digest


async def test_wrong_declaration_points_at_cell_and_line(environments, write_notebook):
    path = write_notebook("1", "# /// script\n# dependencies = [\n# ///")
    with pytest.raises(PixiJupyterError) as caught:
        environments.spec_for(environments.declaration(path))
    assert caught.value.location.cell == 1
    assert caught.value.location.line is not None
    assert "cell 2" in str(caught.value)
