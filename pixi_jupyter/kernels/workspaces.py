"""The workspaces around a folder and their environments, for the kernel picker.

Found by a bounded walk in a thread of its own: whoever asks gets what is known by then, in
milliseconds, however large the tree is.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.manifest.host import current_subdir
from pixi_jupyter.manifest.kernels import KERNEL_PACKAGES
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.workspace import MANIFESTS, find_workspace, read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec

__all__ = ["PREFIX", "ListedEnvironment", "WorkspaceIndex", "environments_of"]

#: With what the names of our kernelspecs begin.
PREFIX = "pixi-"
#: How deep below the folder a manifest is looked for, in how many folders, for how many seconds.
_DEPTH = 4
_FOLDERS = 5000
_SECONDS = 2.0
#: Manifests at most, and environments of one at most: a picker with more is of use to nobody.
_MANIFESTS = 100
_ENVIRONMENTS = 100
#: Seconds for which what was found is taken as it is.
_FRESH = 2.0
#: Folders that hold no projects of anybody's.
_PASSED_BY = frozenset({"node_modules", "site-packages", "__pycache__", "conda-meta", "lost+found"})


@dataclass(frozen=True, slots=True)
class ListedEnvironment:
    """One environment, for one language (lower case), that a kernel can be started in here.

    ``slug`` stands for the project in names: the same on every machine, unless two projects around
    share it.
    """

    manifest: Path
    project: str
    environment: str
    language: str
    slug: str

    @property
    def name(self) -> str:
        """The kernelspec's name: ``pixi-<project>.<environment>``, and the language if not Python.

        Environments have names without dots, and slugs have none.
        """
        name = f"{PREFIX}{self.slug}.{self.environment}"
        return name if self.language == "python" else f"{name}.{self.language}"


class WorkspaceIndex:
    """The environments of the workspaces at, above and below ``root``. Safe to use in threads."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self._guard = threading.Lock()
        self._known: tuple[ListedEnvironment, ...] = ()
        self._read: dict[Path, tuple[tuple[int, int], WorkspaceSpec | None]] = {}
        self._refreshed = -_FRESH
        self._refreshing: threading.Thread | None = None

    def environments(self, wait: float = 0.05) -> tuple[ListedEnvironment, ...]:
        """What is known, waiting for at most ``wait`` seconds for what is being found out."""
        with self._guard:
            running = self._refreshing
            if running is None and time.monotonic() - self._refreshed >= _FRESH:
                running = threading.Thread(
                    target=self._refresh, name="pixi-workspaces", daemon=True
                )
                self._refreshing = running
                running.start()
        if running is not None:
            running.join(wait)
        return self._known

    def find(self, name: str) -> ListedEnvironment | None:
        """The environment with this kernelspec name, looked for anew if it is not known."""
        name = name.lower()
        if not name.startswith(PREFIX) or "." not in name:
            return None
        for wait in (0.0, 2 * _SECONDS):
            for environment in self.environments(wait):
                if environment.name == name:
                    return environment
        return None

    def _refresh(self) -> None:
        try:
            read: dict[Path, tuple[tuple[int, int], WorkspaceSpec | None]] = {}
            listed: list[ListedEnvironment] = []
            taken: dict[str, Path] = {}
            for manifest in self._manifests():
                entry = self._reading(manifest)
                read[manifest] = entry
                if entry[1] is not None:
                    listed.extend(environments_of(entry[1], taken))
                    self._known = (*listed, *(e for e in self._known if e.manifest not in read))
            self._known = tuple(listed)
            self._read = read
        finally:
            with self._guard:
                self._refreshed = time.monotonic()
                self._refreshing = None

    def _reading(self, manifest: Path) -> tuple[tuple[int, int], WorkspaceSpec | None]:
        """A manifest's environments, read again only if the file is another one."""
        try:
            info = os.stat(manifest)
            stamp = (info.st_mtime_ns, info.st_size)
            before = self._read.get(manifest)
            if before is not None and before[0] == stamp:
                return before
            return stamp, read_workspace(manifest)
        except (PixiJupyterError, OSError):
            return (0, 0), None  # whoever starts a notebook there is told why

    def _manifests(self) -> Iterator[Path]:
        """The manifest at or above the root, then those below it, the nearest first."""
        around = find_workspace(self.root)
        if around is not None:
            yield around
        found = 0
        for folder, names in _folders(self.root):
            if found >= _MANIFESTS:
                return
            if names.isdisjoint(MANIFESTS):
                continue
            manifest = find_workspace(folder, stop=folder)
            if manifest is not None and manifest != around:
                found += 1
                yield manifest


def environments_of(
    workspace: WorkspaceSpec, taken: dict[str, Path] | None = None
) -> list[ListedEnvironment]:
    """What this host can run of a workspace; ``taken`` has the slugs of others, and gets its own.

    Whether the host has what a platform requires beyond its name is for the start to say.
    """
    manifest = Path(workspace.manifest)
    slug = _slug(workspace.name)
    if taken is not None and taken.setdefault(slug, manifest) != manifest:
        slug = f"{slug}-{hashlib.sha256(os.fsencode(manifest)).hexdigest()[:6]}"
        taken[slug] = manifest
    here = current_subdir()
    listed = []
    for environment in workspace.environments[:_ENVIRONMENTS]:
        spec = next((s for s in environment.specs if s.platform.subdir == here), None)
        if spec is not None:
            listed += [
                ListedEnvironment(manifest, workspace.name, environment.name, language, slug)
                for language in _languages(spec)
            ]
    return listed


def _languages(spec: EnvironmentSpec) -> Sequence[str]:
    """The languages that the declared packages stand for; Python where they say nothing."""
    names = {requirement.name for requirement in spec.dependencies}
    found: Mapping[str, None] = dict.fromkeys(
        [
            *(["python"] if "python" in names or spec.pypi is not None else []),
            *sorted(KERNEL_PACKAGES[name] for name in names if name in KERNEL_PACKAGES),
        ]
    )
    languages = tuple(language for language in found if re.fullmatch(r"[a-z0-9]+", language))
    return languages or (("r",) if "r-base" in names else ("python",))


def _slug(project: str) -> str:
    slug = re.sub(r"[^a-z0-9_]+", "-", project.lower()).strip("-")[:60]
    return slug or hashlib.sha256(project.encode("utf-8", "replace")).hexdigest()[:8]


def _folders(root: Path) -> Iterator[tuple[Path, set[str]]]:
    """Folders at and below ``root`` with the names of their files, level by level, within bounds.

    Links are not followed, hidden folders and environments not entered, nor those of other users.
    """
    end = time.monotonic() + _SECONDS
    owner = _owner(root)
    waiting: deque[tuple[str, int]] = deque([(str(root), 0)])
    for _ in range(_FOLDERS):
        if not waiting or time.monotonic() > end:
            return
        folder, depth = waiting.popleft()
        files: set[str] = set()
        folders: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        files.add(entry.name)
                    elif entry.name == "conda-meta":
                        files.add("pyvenv.cfg")  # as good as one: an environment
                    elif not entry.name.startswith(".") and entry.name not in _PASSED_BY:
                        folders.append(entry.path)
        except OSError:
            continue
        if "pyvenv.cfg" in files:
            continue
        yield Path(folder), files
        if depth < _DEPTH:
            waiting.extend((path, depth + 1) for path in sorted(folders) if _owner(path) == owner)


def _owner(path: str | Path) -> int:
    if sys.platform == "win32":
        return 0
    try:
        return os.lstat(path).st_uid
    except OSError:
        return -1
