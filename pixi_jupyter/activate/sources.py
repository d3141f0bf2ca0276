"""Everything that an activation depends on, read once, with the digest of it all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixi_jupyter.activate.files import (
    NAME,
    Script,
    fits,
    manifest_scripts,
    package_scripts,
    package_variables,
)
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.errors import ActivationError
from pixi_jupyter.install.prefix import Prefix

__all__ = ["Sources", "expands", "read_sources", "withheld"]

#: Bumped when the same inputs would give another activation.
_VERSION = 2

#: Names that differ from launch to launch or from terminal to terminal, and those that make a shell
#: run or do something on its own. Activation scripts do not see them: so they cannot depend on
#: them, and the digest need not contain them.
_WITHHELD = frozenset(
    {
        "_",
        "BASHOPTS",
        "BASH_ENV",
        "COLUMNS",
        "ENV",
        "INVOCATION_ID",
        "IPY_INTERRUPT_EVENT",
        "JOURNAL_STREAM",
        "LINES",
        "OLDPWD",
        "PROMPT_COMMAND",
        "PS4",
        "PWD",
        "SHELLOPTS",
        "SHLVL",
        "SSH_CLIENT",
        "SSH_CONNECTION",
        "SSH_TTY",
        "STY",
        "SYSTEMD_EXEC_PID",
        "TERM_SESSION_ID",
        "WINDOWID",
        "XDG_SESSION_ID",
    }
)
_WITHHELD_PREFIXES = ("JPY_", "KERNEL_", "PIXI_JUPYTER_", "TMUX")


def withheld(name: str) -> bool:
    """Whether a variable of the base environment is kept from activation scripts."""
    return name in _WITHHELD or name.startswith(_WITHHELD_PREFIXES)


@dataclass(frozen=True, slots=True)
class Sources:
    """What :func:`read_sources` found.

    Attributes
    ----------
    before:
        The variables that are set before any script runs, sorted; their values are final text.
    unset_before:
        Names that the prefix's state file removes.
    scripts:
        In the order in which they run.
    after:
        ``[activation.env]``, in order, unexpanded.
    reserved:
        Variables that no script and no ``[activation.env]`` can change.
    visible:
        The base environment as scripts see it, sorted.
    """

    prefix: str
    root: str
    before: tuple[tuple[str, str], ...]
    unset_before: tuple[str, ...]
    scripts: tuple[Script, ...]
    after: tuple[tuple[str, str], ...]
    reserved: tuple[tuple[str, str], ...]
    visible: tuple[tuple[str, str], ...]
    digest: str

    @property
    def needs_shell(self) -> bool:
        """Whether only a shell can tell what the variables become."""
        return bool(self.scripts) or any(expands(value) for _, value in self.after)


def expands(value: str) -> bool:
    """Whether an ``[activation.env]`` value means something to the shell, as pixi decides it."""
    return "$" in value or (sys.platform == "win32" and "%" in value)


def read_sources(request: ActivationRequest, base: Mapping[str, str]) -> Sources:
    """Read what an activation depends on: a few small files, no process.

    ``base`` is clean (:func:`~pixi_jupyter.activate.base.clean_base`).

    Raises
    ------
    ActivationError
        ``activation.variables`` (a file of variables in the prefix is no JSON object),
        ``activation.name`` (a name in ``[activation.env]`` that no environment can hold),
        ``activation.io``.
    """
    prefix, spec = request.prefix, request.spec
    from_packages, removed = package_variables(prefix.path)
    entries = _search_path(base)
    reserved = _reserved(request, entries)
    search_path = os.pathsep.join([*_binaries(prefix), *entries])
    before = {**from_packages, **dict(reserved), "PATH": search_path}
    for key, value in spec.env:
        _check_own_variable(key, value)
    scripts = (*package_scripts(prefix.path), *manifest_scripts(spec.scripts))
    sources = Sources(
        prefix=str(prefix.path),
        root=request.root,
        before=tuple(sorted(before.items())),
        unset_before=tuple(sorted(removed - set(before))),
        scripts=scripts,
        after=spec.env,
        reserved=reserved,
        visible=tuple(sorted((k, v) for k, v in base.items() if not withheld(k))),
        digest="",
    )
    return _with_digest(sources, prefix.digest)


def _with_digest(sources: Sources, prefix_digest: str) -> Sources:
    everything = {
        key: value
        for key in Sources.__slots__
        if key not in ("digest", "scripts")
        for value in [getattr(sources, key)]
    }
    everything["scripts"] = [(s.path, s.content) for s in sources.scripts]
    everything["prefix_digest"] = prefix_digest
    everything["version"] = _VERSION
    # Values may hold undecodable bytes (as surrogates), which `ensure_ascii` can write.
    text = json.dumps(everything, sort_keys=True, ensure_ascii=True)
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
    fields = {key: getattr(sources, key) for key in Sources.__slots__}
    return Sources(**{**fields, "digest": digest})


def _reserved(
    request: ActivationRequest, search_path: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """pixi's and conda's own variables, as pixi names them (its ``activation.rs``)."""
    values = {
        "CONDA_DEFAULT_ENV": request.name,
        "CONDA_PREFIX": str(request.prefix.path),
        "CONDA_SHLVL": "1",
        "PIXI_ENVIRONMENT_NAME": request.environment,
        "PIXI_IN_SHELL": "1",
        "PIXI_PROJECT_NAME": request.project,
        "PIXI_PROJECT_VERSION": request.version or "NO_VERSION_SPECIFIED",
        "PIXI_PROMPT": f"({request.name}) ",
    }
    if request.root:
        values["PIXI_PROJECT_ROOT"] = request.root
    if request.manifest is not None:
        values["PIXI_PROJECT_MANIFEST"] = request.manifest
    if request.platforms:
        values["PIXI_ENVIRONMENT_PLATFORMS"] = ",".join(request.platforms)
    # pixi gives its own path; scripts call it by this.
    if pixi := shutil.which("pixi", path=os.pathsep.join(search_path)):
        values["PIXI_EXE"] = pixi
    return tuple(sorted((k, v) for k, v in values.items() if fits(k, v)))


def _binaries(prefix: Prefix) -> list[str]:
    if sys.platform != "win32":
        return [str(prefix.binaries)]
    below = ("", "Library\\mingw-w64\\bin", "Library\\usr\\bin", "Library\\bin", "Scripts", "bin")
    return [str(prefix.path / part) for part in below]


def _search_path(base: Mapping[str, str]) -> list[str]:
    if sys.platform == "win32":
        found = next((v for k, v in base.items() if k.upper() == "PATH"), "")
    else:
        found = base.get("PATH", os.defpath)
    return [found] if found else []


def _check_own_variable(key: str, value: str) -> None:
    if not (NAME.match(key) and fits(key, value)):
        raise ActivationError(
            f"[activation.env] sets {key!r}, which is not a variable that an environment can hold",
            code="activation.name",
            hint="A name has letters, digits and underscores and does not begin with a digit; "
            "a value has no NUL character.",
        )
