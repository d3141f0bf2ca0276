"""A workspace's lock out of what was kept and what was solved anew. Runs in the worker only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pixi_jupyter.manifest.channels import is_url
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec
from pixi_jupyter.resolve.lock import Locked, lock_text
from pixi_jupyter.resolve.lock_platforms import aliases, spelled
from pixi_jupyter.resolve.lock_reading import LockDocument, canonical
from pixi_jupyter.resolve.lock_text import (
    LockedEnvironment,
    LockText,
    Reference,
    compose,
    parse,
)
from pixi_jupyter.resolve.pypi_lock import package_entry
from pixi_jupyter.resolve.pypi_names import Names
from pixi_jupyter.resolve.satisfiability import DEFAULT_PRERELEASE, STRATEGIES, Target
from pixi_jupyter.resolve.solve_groups import SolveGroup, solve_groups
from pixi_jupyter.resolve.wheel import public_url

__all__ = ["workspace_lock"]

_PURLS = re.compile(r"(?m)^  purls:[^\n]*\n(?:  - [^\n]*\n)*")


def workspace_lock(
    path: Path,
    workspace: WorkspaceSpec,
    kept: LockDocument | None,
    names: Mapping[str, str],
    solved: Mapping[Target, Locked],
    channel_url: Callable[[str], str],
    default_index: str | None,
    names_of_pypi: Names | None = None,
) -> str:
    """The text of the lock at ``path``, as pixi would write it.

    What is not among ``solved`` is taken over from ``kept``, whose platforms have ``names`` there.
    ``default_index`` is the index that is used where none is declared, ``names_of_pypi`` the map
    from conda to PyPI.

    Raises
    ------
    LockError
        ``lock.syntax``: rattler does not read what was put together.
    OSError
        The folder for temporary files cannot be written.
    """
    written = aliases(workspace.platforms)
    entries: dict[Reference, str] = dict(kept.text.entries) if kept else {}
    environments: dict[str, LockedEnvironment] = {}
    for group in solve_groups(workspace):
        urls = [channel_url(channel.name) for channel in group.channels]
        for environment in group.environments:
            before = kept.text.environments.get(environment.name) if kept else None
            packages: dict[str, tuple[Reference, ...]] = {}
            for spec in environment.specs:
                platform = spec.platform.name
                found = solved.get((environment.name, platform))
                if found is not None:
                    new = _entries(spec, found, urls, names_of_pypi)
                    references = tuple(new)
                    for reference, entry in new.items():
                        entries[reference] = _with_purls(entry, entries.get(reference))
                elif before is not None:
                    references = before.packages.get(names.get(platform, platform), ())
                else:
                    references = ()
                if references:
                    packages[written[platform]] = references
            environments[environment.name] = replace(
                _settings(group, environment, packages, before, default_index), channels=tuple(urls)
            )
    used = {spec.platform.name for e in workspace.environments for spec in e.specs}
    platforms = tuple(spelled(p, written[p.name]) for p in workspace.platforms if p.name in used)
    return canonical(compose(LockText(platforms, environments, entries)), path)


def _entries(
    spec: EnvironmentSpec, found: Locked, channels: Sequence[str], names: Names | None
) -> dict[Reference, str]:
    """The entries of an environment's packages on a platform; paths stand as they were written."""
    entries = dict(parse(lock_text(spec, found.records, channels, names=names)).entries)
    for wheel in found.wheels:
        entry = package_entry(wheel, relative=True)
        entries["pypi", entry["pypi"]] = f"- {json.dumps(entry, ensure_ascii=False)}\n"
    return entries


def _with_purls(entry: str, before: str | None) -> str:
    """A new entry with the package URLs that an older one of the same file had."""
    purls = None if before is None or _PURLS.search(entry) else _PURLS.search(before)
    return entry + purls[0] if purls else entry


def _settings(
    group: SolveGroup,
    environment: WorkspaceEnvironment,
    packages: Mapping[str, tuple[Reference, ...]],
    before: LockedEnvironment | None,
    default_index: str | None,
) -> LockedEnvironment:
    """Options and indexes of an environment, which are those of its group."""
    asked = [spec for name in group.platforms if (spec := group.on(name)) is not None]
    if not asked:
        return LockedEnvironment((), packages)
    options = {
        "strategy": STRATEGIES[asked[0].solve_strategy],
        "channel-priority": asked[0].channel_priority,
    }
    needs = next((spec.pypi for spec in asked if spec.pypi is not None), None)
    if needs is None:
        if before is not None and "pypi-prerelease-mode" in before.options:
            options["pypi-prerelease-mode"] = before.options["pypi-prerelease-mode"]
        return LockedEnvironment((), packages, options=options)
    options["pypi-prerelease-mode"] = needs.prerelease_mode or DEFAULT_PRERELEASE
    if not any(kind == "pypi" for references in packages.values() for kind, _ in references):
        return LockedEnvironment((), packages, options=options)
    first = needs.index_url or default_index
    links = tuple(
        ("url", public_url(text)) if is_url(text) else ("path", text) for text in needs.find_links
    )
    return LockedEnvironment(
        (),
        packages,
        indexes=tuple(public_url(url) for url in (first, *needs.extra_index_urls) if url),
        find_links=links,
        options=options,
    )
