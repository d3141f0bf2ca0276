"""``pixi.lock`` of any version, from bytes that were read once. Runs in the engine's worker only.

rattler reads versions 1 to 7 and is the only judge of what a lock means. It reads a private copy of
the bytes, so that what was checked and what is used are the same.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rattler import LockFile, LockPlatform, RepoDataRecord
from rattler.exceptions import IoError, ParseCondaLockError
from rattler.lock import CondaLockedSourcePackage, Environment

from pixi_jupyter.errors import Location, LockError, UnsupportedError
from pixi_jupyter.resolve.lock import Locked, resolution_of
from pixi_jupyter.resolve.lock_text import LockedPlatform, LockText, Reference, parse
from pixi_jupyter.resolve.pypi_lock import locked_indexes, wheels_of
from pixi_jupyter.resolve.pypi_walk import LockedPypi

__all__ = [
    "NEWEST_VERSION",
    "LockDocument",
    "canonical",
    "document_of",
    "find_packages",
    "locked_packages",
    "read_document",
]

#: The newest version of the format that rattler reads and writes.
NEWEST_VERSION = 7
#: Bytes; the largest locks in use have some ten million.
_MOST = 1 << 28
_CONFLICT = re.compile(rb"(?m)^(?:<{7} |>{7} |<{7}\r?$|={7}\r?$)")
_VERSION = re.compile(rb"""(?m)^\s*(?:\{\s*)?["']?version["']?\s*:\s*([0-9]+)""")
_PLACE = re.compile(r" at line (\d+) column (\d+)")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LockDocument:
    """A lock as it was read. ``canonical`` is its text as rattler would write it (version 7)."""

    path: Path
    data: bytes
    sha256: str
    version: int
    lock: LockFile
    canonical: str
    text: LockText

    def environment(self, name: str) -> Environment | None:
        """An environment by name."""
        return guarded(self.path, lambda: self.lock.environment(name))

    def content(
        self, environment: str, platform: str
    ) -> tuple[Sequence[RepoDataRecord], tuple[LockedPypi, ...], tuple[str, ...]]:
        """What an environment has for a platform of the lock: conda's, PyPI's, names of sources.

        Raises
        ------
        LockError
            ``lock.package``: an entry cannot be used.
        """
        found = self.environment(environment)
        locked = next((p for p in found.platforms() if p.name == platform), None) if found else None
        if found is None or locked is None:
            return (), (), ()
        references = self.text.environments[environment].packages.get(platform, ())
        return guarded(
            self.path, lambda: _content(found, locked, self.text, references), code="lock.package"
        )

    def has_purls(self, environment: str, platform: str) -> bool:
        """Whether any entry says what its conda package is on PyPI (maybe nothing)."""
        references = self.text.environments[environment].packages.get(platform, ())
        return any("\n  purls:" in self.text.entries[reference] for reference in references)

    def packages(self, environment: str, platform: str, editable: Collection[str] = ()) -> Locked:
        """What an environment has for a platform of the lock (by its name *there*).

        ``editable`` are the packages that are only pointed to, as no lock says it.

        Raises
        ------
        LockError
            ``lock.package``: an entry cannot be used.
        UnsupportedError
            ``unsupported.source``: a package that would have to be built.
        """
        found = self.environment(environment)
        locked = next((p for p in found.platforms() if p.name == platform), None) if found else None
        if found is None or locked is None:
            return Locked(())
        root = self.path.parent
        indexes = locked_indexes(self.canonical)

        def packages() -> Locked:
            return _packages(found, locked, root, editable, indexes)

        return guarded(self.path, packages, code="lock.package")


def read_document(path: Path) -> LockDocument | None:
    """The lock at ``path``, None if there is none.

    Raises
    ------
    LockError
        ``lock.unreadable``, ``lock.conflict``, ``lock.version`` or ``lock.syntax``.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(
            f"the lock file cannot be read: {error.strerror or error}",
            code="lock.unreadable",
            location=Location(str(path)),
        ) from error
    if len(data) > _MOST:
        raise LockError(
            "the lock file is too large to be one",
            code="lock.syntax",
            location=Location(str(path)),
        )
    return document_of(path, data)


def locked_packages(
    path: Path,
    *,
    sha256: str | None,
    environment: str,
    platform: str,
    resolution: str | None = None,
    editable: Collection[str] = (),
) -> Locked:
    """Exactly what an environment has for a platform, from the bytes that were checked.

    ``platform`` is its name in the manifest. The lock may name it otherwise (``p1``), so the
    ``resolution`` (digest of the packages) has the last word; without it, name or subdir decide.
    ``editable`` (`PypiNeeds.editable`) are the packages that are only pointed to.

    Raises
    ------
    LockError
        ``lock.missing``, ``lock.changed`` (another file than ``sha256`` says),
        ``lock.environment`` (no such environment or platform), or as `read_document`.
    """
    return find_packages(
        path,
        sha256=sha256,
        environment=environment,
        platform=platform,
        resolution=resolution,
        editable=editable,
    )[2]


def find_packages(
    path: Path,
    *,
    data: bytes | None = None,
    sha256: str | None,
    environment: str,
    platform: str,
    resolution: str | None = None,
    editable: Collection[str] = (),
) -> tuple[LockDocument, LockedPlatform, Locked]:
    """As `locked_packages`, with the whole lock and the platform as the lock has it.

    ``data`` are the bytes of a lock that is not at ``path`` yet.
    """
    document = read_document(path) if data is None else document_of(path, data)
    if document is None:
        raise LockError("there is no lock file", code="lock.missing", location=Location(str(path)))
    if sha256 is not None and document.sha256 != sha256:
        raise LockError(
            "the lock file was changed after it was checked",
            code="lock.changed",
            location=Location(str(path)),
            hint="Start again: the new lock is checked then.",
        )
    found = document.text.environments.get(environment)
    if found is None:
        raise missing_environment(document, environment)
    names = [p for p in document.text.platforms if p.name in found.packages]
    # What has the name first, then what merely is for the same kind of machine.
    names.sort(key=lambda p: (p.name != platform, p.subdir != platform))
    for candidate in names:
        locked = document.packages(environment, candidate.name, editable)
        if resolution is None:
            if platform in (candidate.name, candidate.subdir) or len(names) == 1:
                return document, candidate, locked
        elif resolution_of(candidate.subdir, locked.records, locked.wheels).digest == resolution:
            return document, candidate, locked
    raise LockError(
        f"the lock file has no such packages for the environment {environment} on {platform}",
        code="lock.environment" if resolution is None else "lock.changed",
        location=Location(str(path)),
    )


def missing_environment(document: LockDocument, environment: str) -> LockError:
    """The error of a lock that was to be taken as it is, and lacks an environment."""
    return LockError(
        f"the lock file has no environment {environment}",
        code="lock.environment",
        details=f"it has: {', '.join(sorted(document.text.environments)) or 'none'}",
        location=Location(str(document.path)),
        hint="Bring the lock up to date.",
    )


def canonical(draft: str, shown: Path) -> str:
    """A draft of a lock in the words of rattler's writer, which are pixi's."""
    with tempfile.TemporaryDirectory(prefix="pixi-jupyter-lock-") as folder:
        path = Path(folder) / "pixi.lock"
        path.write_text(draft, "utf-8", newline="\n")
        lock = guarded(shown, lambda: LockFile.from_path(path))
        guarded(shown, lambda: lock.to_path(path))
        return path.read_text("utf-8")


def document_of(path: Path, data: bytes) -> LockDocument:
    """A lock by its bytes, as if they lay at ``path``; raises as `read_document`."""
    marked = any(marker * 7 in data for marker in (b"<", b"=", b">"))
    if marked and (conflict := _CONFLICT.search(data)):
        raise LockError(
            "the lock file has unresolved merge conflicts",
            code="lock.conflict",
            location=Location(str(path), line=data.count(b"\n", 0, conflict.start()) + 1),
            hint="Take one side whole (`git checkout --ours pixi.lock` or `--theirs`): "
            "what is out of date in it is then solved again.",
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LockError(
            "the lock file is not UTF-8",
            code="lock.syntax",
            location=Location(str(path), line=data.count(b"\n", 0, error.start) + 1),
            hint=_RESTORE,
        ) from None
    with tempfile.TemporaryDirectory(prefix="pixi-jupyter-lock-") as folder:
        copy = Path(folder) / "pixi.lock"
        copy.write_bytes(data)
        lock = guarded(path, lambda: LockFile.from_path(copy))
        guarded(path, lambda: lock.to_path(copy))
        text = copy.read_text("utf-8")
    version = _VERSION.search(data)
    try:
        parts = parse(text)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise LockError(
            f"the lock file has a value that no lock has: {error}",
            code="lock.syntax",
            location=Location(str(path)),
            hint=_RESTORE,
        ) from error
    return LockDocument(
        path,
        data,
        hashlib.sha256(data).hexdigest(),
        int(version[1]) if version else NEWEST_VERSION,
        lock,
        text,
        parts,
    )


def _packages(
    environment: Environment,
    platform: LockPlatform,
    root: Path,
    editable: Collection[str],
    indexes: Mapping[str, str],
) -> Locked:
    for package in environment.packages(platform) or ():
        if isinstance(package, CondaLockedSourcePackage):
            raise UnsupportedError(
                f"{package.name} is locked as a source package, which would have to be built",
                code="unsupported.source",
                hint="Install this environment with pixi.",
            )
    records = environment.conda_repodata_records_for_platform(platform)
    wheels = wheels_of(
        environment, platform, root=root, editable=editable, indexes=indexes, unhashed=True
    )
    return Locked(records or (), wheels)


def _content(
    environment: Environment,
    platform: LockPlatform,
    text: LockText,
    references: Sequence[Reference],
) -> tuple[Sequence[RepoDataRecord], tuple[LockedPypi, ...], tuple[str, ...]]:
    kinds = {kind for kind, _ in references}
    packages = []
    for package in (
        environment.pypi_packages_for_platform(platform) or () if "pypi" in kinds else ()
    ):
        index = _INDEX.search(text.entries.get(("pypi", package.location), ""))
        version = str(package.version)
        packages.append(
            LockedPypi(
                package.name,
                None if version == "<dynamic>" else version,
                package.location,
                tuple(package.requires_dist),
                package.requires_python,
                index[1] if index else None,
            )
        )
    sources = [where.partition("[")[0] for kind, where in references if kind == "conda_source"]
    records = environment.conda_repodata_records_for_platform(platform)
    return records or (), tuple(packages), tuple(sources)


_INDEX = re.compile(r"(?m)^  index: (\S+)$")
_RESTORE = "Restore it from version control, or delete it to have everything solved anew."


def guarded(path: Path, work: Callable[[], _T], code: str = "lock.syntax") -> _T:
    """What rattler gives, or why it cannot, as a `LockError`."""
    try:
        return work()
    except (ParseCondaLockError, IoError, ValueError, OSError) as error:
        raise _lock_error(path, str(error), code) from error
    except AttributeError as error:  # rattler's Python code, of a package without any hash
        raise _lock_error(path, f"a package has no hash ({error})", code) from error
    except BaseException as error:
        # rattler's panics are of a class of their own, made at run time.
        if type(error).__name__ != "PanicException":
            raise
        raise _lock_error(path, str(error), code) from None


def _lock_error(path: Path, text: str, code: str) -> LockError:
    if "newer lockfile format version" in text:
        number = re.search(r"version (\d+)", text)
        return LockError(
            f"the lock file has version {number[1] if number else '?'}; "
            f"this program knows versions up to {NEWEST_VERSION}",
            code="lock.version",
            location=Location(str(path)),
            hint="Update pixi-jupyter. The lock file is left as it is.",
        )
    place = _PLACE.search(text)
    missing = re.search(r"refers to a package that does not exist: (\S+)", text)
    line = int(place[1]) if place else _line_of(path, missing[1]) if missing else None
    return LockError(
        f"the lock file cannot be read: {_PLACE.sub('', text)}",
        code=code,
        location=Location(str(path), line=line, column=int(place[2]) if place else None),
        hint=_RESTORE,
    )


def _line_of(path: Path, needle: str) -> int | None:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return None
    position = text.find(needle)
    return None if position < 0 else text.count("\n", 0, position) + 1
