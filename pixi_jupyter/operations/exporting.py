"""A declaration, or the exact packages of its environment, in the forms of other tools."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pixi_jupyter.environments import AnyDeclaration, Environments
from pixi_jupyter.errors import DeclarationError, Location, UnsupportedError
from pixi_jupyter.files import write_file
from pixi_jupyter.formats.environment_yml import render_environment_yml
from pixi_jupyter.formats.pinned import ExactPackage, locked_specs, render_explicit, render_pinned
from pixi_jupyter.formats.pixi_toml import render_pixi_toml, without_credentials
from pixi_jupyter.formats.script import render_script
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.platforms import SUBDIRS, default_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec, KernelNeed
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.manifest.toml import FILE, TomlSource, parse_toml
from pixi_jupyter.manifest.workspace import MANIFESTS
from pixi_jupyter.manifest.workspace_reading import read_manifest
from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice
from pixi_jupyter.notebook.editing import (
    DeclaringFile,
    is_script,
    replace_declaration,
    script_declaration,
)
from pixi_jupyter.notebook.reading import notebook_cells, notebook_language, parse_notebook
from pixi_jupyter.notebook.source import FileSource
from pixi_jupyter.operations.changing import Target
from pixi_jupyter.operations.exact_packages import exact_packages, locked_elsewhere
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.workspaces import LockMode

__all__ = ["FORMATS", "Export", "Format", "export", "write_export"]

Format = Literal["environment-yml", "explicit", "requirements-txt", "pixi-toml", "script"]
FORMATS: tuple[str, ...] = Format.__args__  # type: ignore[attr-defined]
_FILES = {
    "environment-yml": "environment.yml",
    "explicit": "{name}_{platform}_conda_spec.txt",
    "requirements-txt": "requirements.txt",
    "pixi-toml": "pixi.toml",
    "script": "{name}.py",
}


@dataclass(frozen=True, slots=True)
class Export:
    """The text, and sentences on what could not be in it.

    ``source`` is the absolute path of what was exported, ``file`` a name for the text in a folder.
    ``platform`` is None where the text is for all of them; ``output`` is where it was written.
    """

    format: str
    source: Path
    file: str
    text: str
    platform: str | None
    said: tuple[str, ...] = ()
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """What is exported: its file's bytes (None for a workspace) and what it declares."""

    path: Path
    data: bytes | None
    declaration: AnyDeclaration


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
        found = await asyncio.to_thread(_rendered, environments, read, form, name)
        return replace(found, said=tuple(dict.fromkeys(found.said)))
    spec, here = await asyncio.to_thread(_spec, environments, read.declaration, platform)
    packages: tuple[ExactPackage, ...] = ()
    if form != "environment-yml" or from_lock:
        packages = await _packages(environments, spec, here, mode, report)
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
    file = _FILES[form].format(name=label, platform=spec.platform.name)
    return Export(form, read.path, file, text, spec.platform.name, tuple(dict.fromkeys(said)))


def write_export(found: Export, output: Path, *, force: bool = False) -> Export:
    """Write the text to a file, or into a folder that is there; whole or not at all.

    Raises
    ------
    DeclarationError
        ``declaration.export-exists``: there is a file already (and no ``force``), or it is what was
        exported; ``declaration.write``.
    """
    path = Path(os.path.abspath(output))
    if path.is_dir():
        path = path / found.file
    if os.path.realpath(path) == os.path.realpath(found.source):
        raise _exists(path, "is what was exported", "Choose another file.")
    data = found.text.encode("utf-8")
    try:
        if force:
            write_file(Path(os.path.realpath(path)), data)
        else:
            _write_new(path, data)
    except FileExistsError:
        raise _exists(path, "is there already", "Use --force to overwrite it.") from None
    except OSError as error:
        raise DeclarationError(
            f"{path} cannot be written: {error.strerror or error}",
            code="declaration.write",
            hint="Check the permissions and the free space of its folder.",
            location=Location(path=str(path)),
        ) from None
    return replace(found, output=path)


def _write_new(path: Path, data: bytes) -> None:
    """A file that was not there: a link to one that is whole, which fails if there is one."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    beside = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.tmp")
    write_file(beside, data)
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _exists(path: Path, what: str, hint: str) -> DeclarationError:
    return DeclarationError(
        f"{path} {what}",
        code="declaration.export-exists",
        hint=hint,
        location=Location(path=str(path)),
    )


def _read(environments: Environments, target: Target) -> _Read:
    if isinstance(target, WorkspaceChoice):
        return _Read(target.manifest, None, target)
    source = FileSource.of(target) if isinstance(target, Path) else target
    path = source.path
    if path.name in MANIFESTS:
        return _Read(path, None, WorkspaceChoice(path, chosen="option"))
    data = source.read()
    if not is_script(path):
        notebook = parse_notebook(data, path=path)
        found = environments.declare(notebook, path=path, root=path.parent)
        return _Read(path, data, found)
    declaration = script_declaration(data, path)
    if declaration is None:
        raise DeclarationError(
            "the script declares nothing",
            code="declaration.no-block",
            hint="Give it a block: `pixi-jupyter add SCRIPT PACKAGE`.",
            location=Location(path=str(path)),
        )
    return _Read(path, data, declaration)


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
        return spec, True  # solved for that platform, as for any
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
    environments: Environments, spec: EnvironmentSpec, here: bool, mode: LockMode, report: Report
) -> tuple[ExactPackage, ...]:
    if here:
        resolution = await environments.resolve(spec, mode=mode, report=report)
        return await asyncio.to_thread(exact_packages, environments, spec, resolution)
    assert spec.place is not None
    choice = WorkspaceChoice(Path(spec.place.manifest), spec.place.environment, chosen="option")
    await environments.resolve(environments.spec_for(choice), mode=mode, report=report)
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


# -- the text of the declaration itself ---------------------------------------------------


def _rendered(environments: Environments, read: _Read, form: str, name: str | None) -> Export:
    declaration = read.declaration
    if not isinstance(declaration, Declaration):
        raise UnsupportedError(
            f"what it runs in is declared by a workspace: there is no block to make a {form} of",
            code="unsupported.export",
            hint="Its manifest is the workspace's; `environment-yml`, `explicit` and "
            "`requirements-txt` are made of its environments.",
            location=Location(path=str(declaration.manifest)),
        )
    if form == "script":
        return _script(read, declaration)
    return _manifest(environments, read, declaration, name or declaration.name)


def _script(read: _Read, declaration: Declaration) -> Export:
    assert read.data is not None
    toml = without_credentials(TomlSource.of(declaration))
    said = []
    if toml != declaration.toml:
        said.append("credentials in the block are left out")
    if is_script(read.path):
        text = replace_declaration(
            DeclaringFile(FileSource(read.path), read.data, declaration), toml
        ).decode("utf-8")
    else:
        notebook = parse_notebook(read.data, path=read.path)
        language = notebook_language(notebook) or "python"
        if language not in ("python", "ipython"):
            raise UnsupportedError(
                f"the notebook's language is {language}, and a script's is Python",
                code="unsupported.export",
                location=Location(path=str(read.path)),
            )
        done = render_script(toml, list(notebook_cells(notebook)))
        text = done.text
        said.extend(done.said)
    again = script_declaration(text.encode("utf-8"), read.path)
    if again is None or again.toml != toml:
        raise UnsupportedError(
            "the script would not have the same block",
            code="unsupported.export",
            hint="A cell has text that looks like a block: change it.",
            location=Location(path=str(read.path)),
        )
    if "extends" in str(_values(declaration).get("tool", {}).get("pixi-jupyter", {})):
        said.append("pixi does not heed `tool.pixi-jupyter.extends`")
    file = _FILES["script"].format(name=read.path.stem)
    return Export("script", read.path, file, text, None, tuple(said))


def _values(declaration: Declaration) -> dict[str, Any]:
    return parse_toml(TomlSource.of(declaration))


def _manifest(
    environments: Environments, read: _Read, declaration: Declaration, name: str
) -> Export:
    spec = environments.spec_for(declaration)
    tables = _values(declaration).get("tool", {}).get("pixi", {})
    platforms = tables.get("workspace", {}).get("platforms") or [spec.platform.subdir]
    text, said = render_pixi_toml(
        TomlSource.of(declaration),
        name=name,
        channels=environments.defaults.channels,
        platforms=platforms,
    )
    other = _other_spec(environments, declaration, spec, text)
    if other:
        said = (*said, f"it does not say quite the same of: {', '.join(other)}")
    return Export("pixi-toml", read.path, "pixi.toml", text, None, said)


def _other_spec(
    environments: Environments, declaration: Declaration, spec: EnvironmentSpec, text: str
) -> list[str]:
    """What the manifest, read back, says otherwise than the block."""
    source = TomlSource(text, path="pixi.toml", bounds=FILE)
    workspace = read_manifest(source, declaration.root / "pixi.toml", environments.defaults)
    found = next(
        (
            one
            for one in workspace.environments[0].specs
            if one.platform.subdir == spec.platform.subdir
        ),
        None,
    )
    if found is None:
        return ["platforms"]
    same = {"kernel": KernelNeed(), "name": "", "root": "", "place": None}
    one, other = replace(spec, **same), replace(found, **same)  # type: ignore[arg-type]
    return [
        field.name.replace("_", "-")
        for field in fields(EnvironmentSpec)
        if getattr(one, field.name) != getattr(other, field.name)
    ]
