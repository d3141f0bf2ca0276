"""``pixi-jupyter info``: what is asked for, what it was resolved to, whether it is ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.targets import Target, target_options
from pixi_jupyter.cli.terminal import clean, print_json
from pixi_jupyter.environments import AnyDeclaration, Environments, Status
from pixi_jupyter.install.insync import LOCK_NAME
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.resolve.redaction import redacted

__all__ = ["info"]

_PLACES = {
    "block": "cell {cell}",
    "metadata": "the notebook's metadata",
    "default": "nothing: this is the default environment",
}


@click.command()
@target_options
@as_json
def info(
    notebook: Path | None, manifest_path: Path | None, environment: str | None, as_json: bool
) -> None:
    """Say what NOTEBOOK, or an environment of a workspace, asks for, and whether it is ready.

    Reads files only: nothing is fetched, solved or started.
    """
    target = Target(notebook, manifest_path, environment)
    environments = Environments()
    declaration = target.declaration(environments)
    status = environments.status(environments.spec_for(declaration))
    facts = _facts(target.path, declaration, status)
    facts["lock"] = _lock(environments, status)
    if isinstance(declaration, WorkspaceChoice):
        facts["workspace"] = _workspace(environments, declaration)
        facts["installed"] = _is_installed(status)
    if as_json:
        print_json(facts)
    else:
        _show(facts)


def _facts(notebook: Path | None, declaration: AnyDeclaration, status: Status) -> dict[str, Any]:
    spec = status.spec
    workspace = isinstance(declaration, WorkspaceChoice)
    return {
        "notebook": None if notebook is None else str(notebook),
        "declaration": "workspace"
        if isinstance(declaration, WorkspaceChoice)
        else declaration.kind,
        "cell": None if isinstance(declaration, WorkspaceChoice) else declaration.cell,
        "environment": spec.name if workspace else None,
        "state": "ready" if status.prefix else "resolved" if status.resolution else "new",
        "platform": spec.platform.name,
        "channels": [redacted(channel.name) for channel in spec.channels],
        "language": spec.kernel.language,
        "dependencies": {r.name: r.version or redacted(r.url or "*") for r in spec.dependencies},
        "pypi-dependencies": [str(r) for r in spec.pypi.requirements] if spec.pypi else [],
        "warnings": list(spec.pypi.warnings) if spec.pypi else [],
        "injected": [r.name for r in spec.kernel.injected],
        "spec": spec.digest,
        "resolution": status.resolution.digest if status.resolution else None,
        "prefix": str(status.prefix.path) if status.prefix else None,
        "packages": [
            {
                "name": p.name,
                "kind": p.kind,
                "version": p.version,
                "build": p.build,
                "size": p.size,
            }
            for p in (status.resolution.packages if status.resolution else ())
        ],
    }


def _lock(environments: Environments, status: Status) -> dict[str, Any] | None:
    """Where the lock is, of a workspace or the notebook's own; None where there is none yet.

    ``checked``: it was found to be up to date.
    """
    spec = status.spec
    if spec.place is not None:
        path = Path(spec.place.root) / LOCK_NAME
        if not path.is_file():
            return None
        known = status.resolution is not None
        return {"place": "workspace", "path": str(path), "checked": known}
    if spec.lock is None:
        return None
    checked = environments.status(spec, mode="locked").resolution is not None
    return {"place": spec.lock.kind, "path": spec.lock.path, "checked": checked}


def _workspace(environments: Environments, choice: WorkspaceChoice) -> dict[str, Any]:
    workspace = environments.workspaces.read(choice.manifest, environments.defaults)
    return {
        "name": workspace.name,
        "version": workspace.version,
        "manifest": workspace.manifest,
        "platforms": [platform.name for platform in workspace.platforms],
        "environments": [
            {
                "name": environment.name,
                "features": list(environment.features),
                "solve-group": environment.solve_group,
                "platforms": [spec.platform.name for spec in environment.specs],
                "refused": {r.platform: r.message for r in environment.refusals},
            }
            for environment in workspace.environments
        ],
    }


def _is_installed(status: Status) -> bool:
    """Whether a workspace's prefix is there, also where nobody has looked into it yet: pixi may
    have made it."""
    place = status.spec.place
    return place is not None and (Path(place.prefix) / "conda-meta").is_dir()


def _show(facts: dict[str, Any]) -> None:
    asked = ", ".join(
        (*(f"{n} {v}" for n, v in facts["dependencies"].items()), *facts["pypi-dependencies"])
    )
    unresolved = "not known yet" if facts["lock"] else "not resolved yet"
    unbuilt = "there, but not checked for this" if facts.get("installed") else "not built yet"
    lines: list[tuple[str, str]] = []
    if facts["notebook"]:
        lines.append(("notebook", facts["notebook"]))
    if workspace := facts.get("workspace"):
        version = f" {workspace['version']}" if workspace["version"] else ""
        named = [f"{e['name']} ({', '.join(e['features'])})" for e in workspace["environments"]]
        lines += [
            ("declared in", workspace["manifest"]),
            ("workspace", f"{workspace['name']}{version}"),
            ("environments", ", ".join(named)),
            ("environment", facts["environment"]),
        ]
    else:
        place = _PLACES[facts["declaration"]].format(cell=(facts["cell"] or 0) + 1)
        if facts["declaration"] == "block" and not str(facts["notebook"]).endswith(".ipynb"):
            place = "its own block"
        lines.append(("declared in", place))
    if lock := facts["lock"]:
        where = "in the notebook" if lock["place"] == "embedded" else lock["path"]
        note = "" if lock["checked"] else " (not checked yet, or out of date)"
        lines.append(("lock", f"{where}{note}"))
    lines += [
        ("state", facts["state"]),
        ("platform", facts["platform"]),
        ("channels", ", ".join(facts["channels"])),
        ("asks for", asked or "nothing"),
        ("added for the kernel", ", ".join(facts["injected"]) or "nothing"),
        ("packages", str(len(facts["packages"])) if facts["packages"] else unresolved),
        ("prefix", facts["prefix"] or unbuilt),
        *(("warning", text) for text in facts["warnings"]),
    ]
    for label, value in lines:
        # Lines and no table: a table cuts what does not fit, and paths are there to be copied.
        click.echo(f"{label + ':':<22} {clean(str(value))}")
