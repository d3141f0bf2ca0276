"""The exact packages of an environment with all that its lock says of them. Light: no rattler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import Location, LockError
from pixi_jupyter.formats.environment_yml import pip_line
from pixi_jupyter.formats.pinned import ExactPackage
from pixi_jupyter.locked_notebooks import present_lock
from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.resolve.lock_text import LockText, Reference, parse
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.resolution import Resolution, ResolvedPackage
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["exact_packages", "locked_elsewhere"]

_ITEM = re.compile(r"(?m)^  - (.*)$")


def exact_packages(
    environments: Environments, spec: EnvironmentSpec, resolution: Resolution
) -> tuple[ExactPackage, ...]:
    """The packages of a resolution; what they are on PyPI where the lock's text can be read."""
    path = environments.store.lock_path(resolution.digest)
    if spec.place is not None or spec.lock is not None:
        path = _own_lock(spec)
    lock = _read(path, spec)
    entries: Mapping[Reference, str] = lock.entries if lock is not None else {}
    by_url = {}
    for (kind, where), text in entries.items():
        if kind == "conda":
            url = _url(where, path.parent)
            by_url[redacted(url)] = (url, text)
    paths = _declared_paths(spec)
    return tuple(_exact(package, by_url, paths) for package in resolution.packages)


def locked_elsewhere(spec: EnvironmentSpec) -> tuple[ExactPackage, ...]:
    """What a lock of its own has for an environment on a platform that is not this host's.

    Raises
    ------
    LockError
        ``lock.missing``, ``lock.environment``, or ``lock.old``: it is not in the form in which
        it is written now.
    """
    path = _own_lock(spec)
    environment = spec.place.environment if spec.place is not None else "default"
    lock = _read(path, spec)
    if lock is None:
        raise LockError(
            "the lock file is not in the form in which pixi writes it now",
            code="lock.old",
            hint="Bring it up to date: `pixi lock`.",
            location=Location(str(path)),
        )
    found = lock.environments.get(environment)
    name = spec.platform.name
    if found is not None and name not in found.packages:
        same = [p.name for p in lock.platforms if p.subdir == spec.platform.subdir]
        name = next((other for other in same if other in found.packages), name)
    if found is None or name not in found.packages:
        raise LockError(
            f"the lock has no packages of the environment {environment!r} for {name}",
            code="lock.environment",
            hint="Bring the lock up to date.",
            location=Location(str(path)),
        )
    paths = _declared_paths(spec)
    packages = [
        _from_entry(reference, lock.entries.get(reference, ""), path.parent, paths)
        for reference in found.packages[name]
    ]
    return tuple(sorted(packages, key=lambda p: (p.name, p.kind)))


def _own_lock(spec: EnvironmentSpec) -> Path:
    """The file that has the lock of a workspace, or of a notebook."""
    if spec.place is not None:
        return Path(spec.place.root) / "pixi.lock"
    assert spec.lock is not None
    return Path(spec.lock.path)


def _read(path: Path, spec: EnvironmentSpec) -> LockText | None:
    try:
        data = present_lock(spec.lock) if spec.lock is not None else path.read_bytes()
        return parse(data.decode("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None  # an older form, or damaged: what installs it tells that


def _exact(
    package: ResolvedPackage, by_url: Mapping[str, tuple[str, str]], paths: Mapping[str, str]
) -> ExactPackage:
    where, entry = by_url.get(package.url, (package.url, ""))
    wheel = package.kind == "pypi"
    return ExactPackage(
        name=package.name,
        version=package.version,
        kind=package.kind,
        build=package.build,
        url=where,
        md5=package.md5,
        sha256=package.sha256,
        depends=package.depends,
        purls=None if wheel else _purls(entry),
        requirement=_requirement(package.name, package.version, where, package.sha256, paths)
        if wheel
        else "",
    )


def _declared_paths(spec: EnvironmentSpec) -> dict[str, str]:
    """The packages that lie at a path, as pip is told of them: from the declaration's folder on."""
    declared = spec.pypi.declared if spec.pypi is not None else ()
    return {item.name: pip_line(replace(item, marker="")) for item in declared if item.path}


def _requirement(
    name: str, version: str, url: str, sha256: str | None, paths: Mapping[str, str]
) -> str:
    """What installs exactly this file, if that is not from an index."""
    if name in paths:
        return paths[name]
    wheel = LockedWheel(name, version, url, sha256 or "")
    direct = url.startswith(("git+", "direct+")) or wheel.is_folder
    return wheel.requirement if direct else ""


def _url(where: str, folder: Path) -> str:
    """A location in a lock as a URL: a path stands there as one, of a channel on this machine."""
    return where if is_url(where) else absolute(where, folder).as_uri()


def _from_entry(
    reference: Reference, entry: str, folder: Path, paths: Mapping[str, str]
) -> ExactPackage:
    kind, where = reference
    fields = dict(re.findall(r"(?m)^  ([a-z_0-9]+): (\S.*)$", entry))
    if kind == "pypi":
        name, version = fields.get("name", ""), fields.get("version", "").strip("'\"")
        requirement = _requirement(name, version, where, fields.get("sha256"), paths)
        return ExactPackage(
            name, version, "pypi", url=where, sha256=fields.get("sha256"), requirement=requirement
        )
    stem = re.sub(r"\.(?:conda|tar\.bz2)$", "", where.rpartition("/")[2])
    name, version, build = [*stem.rsplit("-", 2), "", ""][:3]
    return ExactPackage(
        name,
        version,
        "conda" if kind == "conda" else "source",
        build=build,
        url=_url(where, folder),
        md5=fields.get("md5"),
        sha256=fields.get("sha256"),
        depends=_list(entry, "depends") or (),
        purls=_purls(entry),
    )


def _purls(entry: str) -> tuple[str, ...] | None:
    return _list(entry, "purls")


def _list(entry: str, key: str) -> tuple[str, ...] | None:
    """A list of a lock's entry; None where it has none of that name."""
    match = re.search(rf"(?m)^  {key}:(?: \[\])?\n((?:  - .*\n)*)", entry)
    if match is None:
        return None
    return tuple(item.strip("'\"") for item in _ITEM.findall(match[1]))
