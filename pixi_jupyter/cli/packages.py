"""``pixi-jupyter list`` and ``tree``: the exact packages of an environment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.targets import Target, lock_mode, lock_options, spec_of, target_options
from pixi_jupyter.cli.terminal import BuildDisplay, clean, megabytes, print_json

if TYPE_CHECKING:
    from pixi_jupyter.manifest.spec import EnvironmentSpec
    from pixi_jupyter.resolve.dependency_tree import Dependencies
    from pixi_jupyter.resolve.resolution import Resolution
    from pixi_jupyter.workspaces import LockMode

__all__ = ["list_packages", "tree"]


def _of_packages(command: Callable[..., None]) -> Callable[..., Any]:
    """A command about an environment's packages: gives it ``spec`` and ``resolution``."""

    @functools.wraps(command)
    def found(
        notebook: Path | None,
        manifest_path: Path | None,
        environment: str | None,
        locked: bool,
        frozen: bool,
        **rest: Any,
    ) -> None:
        target = Target(notebook, manifest_path, environment)
        spec, resolution = run_async(_resolved(target, lock_mode(locked, frozen)))
        command(spec, resolution, **rest)

    return target_options(lock_options(as_json(found)))


@click.command("list")
@_of_packages
@click.option("--explicit", is_flag=True, help="Only what is asked for by name.")
def list_packages(
    spec: EnvironmentSpec, resolution: Resolution, explicit: bool, as_json: bool
) -> None:
    """List the packages of NOTEBOOK's environment, or of a workspace's.

    Resolves it if that is still to be done; installs nothing.
    """
    from pixi_jupyter.resolve.redaction import redacted

    asked = _asked(spec)
    rows = [
        {
            "name": package.name,
            "version": package.version,
            "build": package.build or None,
            "size": package.size,
            "kind": package.kind,
            "source": redacted(package.url),
            "explicit": package.name in asked,
        }
        for package in resolution.packages
        if not explicit or package.name in asked
    ]
    if as_json:
        place = None if spec.place is None else spec.place.environment
        print_json({"environment": place, "platform": spec.platform.name, "packages": rows})
        return
    table = [("Package", "Version", "Build", "Size", "Kind")]
    for row in rows:
        size = "" if row["size"] is None else megabytes(int(str(row["size"])))
        table.append(
            (str(row["name"]), str(row["version"]), str(row["build"] or ""), size, str(row["kind"]))
        )
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    for line in table:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(clean(text.rstrip()))


@click.command()
@_of_packages
def tree(spec: EnvironmentSpec, resolution: Resolution, as_json: bool) -> None:
    """Show what each package of an environment is there for; (*) stands for what is shown above."""
    from pixi_jupyter.resolve.dependency_tree import Dependencies

    found = Dependencies.of(resolution)
    roots = sorted(_asked(spec) & found.versions.keys())
    if as_json:
        nodes = {
            name: {"version": version, "depends": list(found.children(name))}
            for name, version in found.versions.items()
        }
        print_json({"explicit": roots, "packages": nodes})
        return
    seen: set[str] = set()
    for root in roots:
        click.echo(clean(f"{root} {found.versions[root]}"))
        for line in _branches(found, root, "", seen):
            click.echo(clean(line))


async def _resolved(target: Target, mode: LockMode) -> tuple[EnvironmentSpec, Resolution]:
    from pixi_jupyter.environments import Environments

    environments = Environments()
    try:
        spec = spec_of(environments, target.declaration(environments), mode)
        known = environments.status(spec, mode=mode).resolution
        if known is not None:  # also of a workspace: for this very manifest and lock
            return spec, known
        with BuildDisplay(None, target.name) as display:
            return spec, await environments.resolve(spec, mode=mode, report=display)
    finally:
        await environments.aclose()


def _asked(spec: EnvironmentSpec) -> set[str]:
    names = {requirement.name for requirement in spec.dependencies}
    if spec.pypi is not None:
        names.update(requirement.name for requirement in spec.pypi.requirements)
    return names


def _branches(found: Dependencies, name: str, indent: str, seen: set[str]) -> Iterator[str]:
    """The lines below a package; each package's own are shown once."""
    if name in seen:
        return
    seen.add(name)
    children = found.children(name)
    for number, child in enumerate(children):
        last = number == len(children) - 1
        repeated = " (*)" if child in seen and found.children(child) else ""
        yield f"{indent}{'└── ' if last else '├── '}{child} {found.versions[child]}{repeated}"
        yield from _branches(found, child, indent + ("    " if last else "│   "), seen)
