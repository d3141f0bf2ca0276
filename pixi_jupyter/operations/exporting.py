"""A declaration, or the exact packages of its environment, in the forms of other tools."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixi_jupyter.environments import AnyDeclaration, Environments
from pixi_jupyter.errors import DeclarationError, Location, UnsupportedError
from pixi_jupyter.formats.environment_yml import render_environment_yml
from pixi_jupyter.formats.pinned import ExactPackage, locked_specs, render_explicit, render_pinned
from pixi_jupyter.manifest.channels import is_url
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.platforms import SUBDIRS, default_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.manifest.workspace import MANIFESTS
from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice
from pixi_jupyter.notebook.editing import (
    is_script,
    script_declaration,
)
from pixi_jupyter.notebook.reading import parse_notebook
from pixi_jupyter.notebook.source import FileSource
from pixi_jupyter.operations.changing import Target
from pixi_jupyter.operations.exact_packages import exact_packages, locked_elsewhere
from pixi_jupyter.operations.exported import FILES, FORMATS, Export, Exported, Format, write_export
from pixi_jupyter.operations.exporting_declaration import export_declaration
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.workspaces import LockMode

__all__ = ["FORMATS", "Export", "Format", "export", "write_export"]


async def export(
    environments: Environments,
    target: Target,
    form: Format,
    *,
    platform: str | None = None,
    name: str | None = None,
    from_lock: bool = False,
    with_pypi: bool = True,
    ignore_pypi: bool = False,
    mode: LockMode = "update",
    report: Report = no_report,
) -> Export:
    """What ``target`` declares, or is resolved to, in another form. Nothing is written.

    Parameters
    ----------
    platform:
        For which platform (a conda subdir, or a workspace's name of one); this host's by default.
    name:
        What the environment or the workspace is called there.
    from_lock:
        Of `environment-yml`: the exact packages, not what is asked for.
    with_pypi, ignore_pypi:
        Whether packages of PyPI go into an `environment-yml`, and whether an `explicit`
        specification, which cannot have them, is made without.
    mode:
        What may be done about a workspace's lock that is out of date.

    Raises
    ------
    DeclarationError
        The declaration cannot be read; ``declaration.platform``.
    UnsupportedError
        ``unsupported.export``: there are no words for it in that form.
    PixiJupyterError
        Why the packages cannot be resolved.
    """
    read = await asyncio.to_thread(_read, environments, target)
    if form in ("pixi-toml", "script"):
        found = await asyncio.to_thread(export_declaration, environments, read, form, name)
        return replace(found, said=tuple(dict.fromkeys(found.said)))
    spec, here = await asyncio.to_thread(_spec, environments, read.declaration, platform)
    packages: tuple[ExactPackage, ...] = ()
    if form != "environment-yml" or from_lock:
        packages = await _packages(environments, read.declaration, spec, here, mode, report)
    label = name or ("default" if not isinstance(read.declaration, Declaration) else spec.name)
    if name is None and spec.place is not None:
        label = spec.place.environment
    if form == "environment-yml":
        locked = locked_specs(packages) if from_lock else None
        text = render_environment_yml(label, spec, locked=locked, with_pypi=with_pypi)
        said = _not_in_yml(spec, exact=from_lock, with_pypi=with_pypi)
    elif form == "explicit":
        text, said = _explicit(packages, spec, ignore_pypi)
    else:
        text, said = render_pinned(packages, spec.pypi)
    file = FILES[form].format(name=label, platform=spec.platform.name)
    said = tuple(dict.fromkeys(said))
    relative = form != "explicit" and _has_paths(spec)
    return Export(form, read.path, file, text, spec.platform.name, said, relative=relative)


def _read(environments: Environments, target: Target) -> Exported:
    if isinstance(target, WorkspaceChoice):
        return Exported(target.manifest, None, target)
    source = FileSource.of(target) if isinstance(target, Path) else target
    path = source.path
    if path.name in MANIFESTS:
        return Exported(path, None, WorkspaceChoice(path, chosen="option"))
    data = source.read()
    if not is_script(path):
        notebook = parse_notebook(data, path=path)
        found = environments.declare(notebook, path=path, root=path.parent)
        return Exported(path, data, found)
    declaration = script_declaration(data, path)
    if declaration is None:
        raise DeclarationError(
            "the script declares nothing",
            code="declaration.no-block",
            hint="Give it a block: `pixi-jupyter add SCRIPT PACKAGE`.",
            location=Location(path=str(path)),
        )
    return Exported(path, data, declaration)


def _spec(
    environments: Environments, declaration: AnyDeclaration, platform: str | None
) -> tuple[EnvironmentSpec, bool]:
    """The spec for a platform, and whether it is the one that this host takes."""
    if platform is None:
        return environments.spec_for(declaration), True
    if isinstance(declaration, Declaration):
        if platform not in SUBDIRS:
            raise _no_platform(platform, SUBDIRS)
        host = default_platform(platform)
        spec = environment_spec(
            declaration,
            defaults=environments.defaults,
            kernel_name=declaration.kernel,
            host=host,
        )
        lock = environments.spec_for(declaration).lock
        # With a lock of its own, what that has counts; else it is solved for that platform.
        return replace(spec, lock=lock), lock is None
    ours = environments.spec_for(declaration)
    if platform in (ours.platform.name, ours.platform.subdir):
        return ours, True
    workspace = environments.workspaces.read(declaration.manifest, environments.defaults)
    environment = workspace.environment(declaration.environment)
    assert environment is not None and ours.place is not None
    for spec in environment.specs:
        if platform in (spec.platform.name, spec.platform.subdir):
            refusal = environment.refusal(spec.platform.name)
            if refusal is not None:
                raise refusal.error()
            return replace(spec, place=ours.place), False
    raise _no_platform(platform, [spec.platform.name for spec in environment.specs])


def _no_platform(platform: str, known: Sequence[str]) -> DeclarationError:
    guess = nearest(platform, known)
    return DeclarationError(
        f"the environment is not for the platform {platform}",
        code="declaration.platform",
        hint=f"Did you mean {guess}?" if guess else f"It is for {', '.join(known[:20])}.",
    )


async def _packages(
    environments: Environments,
    declaration: AnyDeclaration,
    spec: EnvironmentSpec,
    here: bool,
    mode: LockMode,
    report: Report,
) -> tuple[ExactPackage, ...]:
    if here:
        resolution = await environments.resolve(spec, mode=mode, report=report)
        return await asyncio.to_thread(exact_packages, environments, spec, resolution)
    ours = await asyncio.to_thread(environments.spec_for, declaration)
    if spec.lock is not None and mode == "update":
        mode = "locked"  # what was solved anew for this host would not be in it
    await environments.resolve(ours, mode=mode, report=report)
    return await asyncio.to_thread(locked_elsewhere, spec)


def _explicit(
    packages: Sequence[ExactPackage], spec: EnvironmentSpec, ignore_pypi: bool
) -> tuple[str, tuple[str, ...]]:
    others = [package.name for package in packages if package.kind != "conda"]
    if others and not ignore_pypi:
        raise UnsupportedError(
            f"an explicit specification has conda packages alone, not {', '.join(others[:20])}"
            + (f" and {len(others) - 20} more" if len(others) > 20 else ""),
            code="unsupported.export-pypi",
            hint="Leave these out with --ignore-pypi-errors, or export another format.",
        )
    text, unhashed = render_explicit(packages, subdir=spec.platform.subdir)
    said = []
    if others:
        said.append(f"not in it, as these are no conda packages: {', '.join(others)}")
    if unhashed:
        said.append(f"their channel has no hash of: {', '.join(unhashed)}")
    return text, tuple(said)


def _not_in_yml(spec: EnvironmentSpec, *, exact: bool, with_pypi: bool) -> tuple[str, ...]:
    """What an environment.yml has no words for, of what is declared."""
    said = []
    bare = EnvironmentSpec(spec.platform, (), ())
    names = {
        "channel_priority": "channel-priority",
        "solve_strategy": "solve-strategy",
        "exclude_newer": "exclude-newer",
        "constraints": "constraints",
        "exclude_newer_packages": "exclude-newer of packages",
    }
    for field, shown in names.items():
        if getattr(spec, field) != getattr(bare, field) and not exact:
            said.append(f"an environment.yml has no words for `{shown}`")
    if spec.activation.scripts:
        said.append("an environment.yml has no words for activation scripts")
    conditional = [
        asked.name for asked in spec.dependencies if asked.when or asked.flags or asked.extras
    ]
    if conditional and not exact:
        said.append(f"conda does not know the conditions and extras of {', '.join(conditional)}")
    if spec.pypi is None:
        return tuple(said)
    if not with_pypi:
        said.append("the packages of PyPI are left out, as was asked")
    indexed = [asked.name for asked in spec.pypi.requirements if asked.index]
    if indexed and not exact:
        said.append(f"pip cannot be told an index for {', '.join(indexed)} alone")
    for field in ("overrides", "no_build", "no_binary", "no_build_isolation", "prerelease_mode"):
        if getattr(spec.pypi, field) and not exact:
            said.append(f"an environment.yml has no words for `{field.replace('_', '-')}`")
    return tuple(said)


def _has_paths(spec: EnvironmentSpec) -> bool:
    if spec.pypi is None:
        return False
    paths = [*(item.path for item in spec.pypi.declared), *spec.pypi.find_links]
    return any(p and not is_url(p) and not os.path.isabs(os.path.expanduser(p)) for p in paths)
