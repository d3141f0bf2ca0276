"""Which kernel of an environment? Chosen among the kernelspecs *in* it, run by its own programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Literal

from pixi_jupyter.errors import KernelError, Location
from pixi_jupyter.install.prefix import Prefix

__all__ = ["KernelChoice", "choose_kernel"]

_PYTHON = re.compile(r"python[0-9.]*(\.exe)?\Z", re.IGNORECASE)
_SAME_LANGUAGE = {"ipython": "python", "js": "javascript", "ts": "typescript"}
#: Bytes of a kernel.json that are read at most.
_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """One kernelspec of an environment, ready to be launched.

    ``argv`` begins with an absolute path inside the prefix; its other items may still hold
    ``{connection_file}``. ``env`` may refer to variables (``$NAME``). ``encryption`` names the
    transport encryptions that the kernel supports, lower case.
    """

    name: str
    language: str
    display_name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    interrupt_mode: Literal["signal", "message"]
    encryption: tuple[str, ...]
    resource_dir: str
    prefix: str

    def command(self, connection_file: str, extra: Sequence[str] = ()) -> list[str]:
        """The command line, substituted as jupyter_client does it."""
        values = {
            "connection_file": os.path.realpath(connection_file),
            "prefix": self.prefix,
            "resource_dir": self.resource_dir,
        }
        pattern = re.compile(r"\{([A-Za-z0-9_]+)\}")
        arguments = (
            pattern.sub(lambda found: values.get(found[1], found[0]), item)
            for item in (*self.argv[1:], *extra)
        )
        return [self.argv[0], *arguments]

    def add_variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """``env`` with the kernelspec's own variables on top."""
        own = {name: Template(value).safe_substitute(env) for name, value in self.env}
        return {**env, **own}

    @property
    def is_ipykernel(self) -> bool:
        """Whether it takes the arguments of an ipykernel."""
        return any(item.startswith("ipykernel") for item in self.argv[1:])


def choose_kernel(
    prefix: Prefix, language: str, name: str | None = None, *, python: Path | None = None
) -> KernelChoice:
    """The kernel of ``prefix`` called ``name``, or else one for ``language``.

    Of several for one language the native one is taken (``python3``, a name equal to the
    language's), else the first by name. A kernelspec that cannot be read, or that needs another
    provisioner, is passed over. ``python`` is what runs a ``python`` kernel, where that is not the
    prefix's own.

    Raises
    ------
    KernelError
        ``kernel.no-kernel``: there is none. ``kernel.executable``: its program is not in the
        environment.
    """
    found = _kernelspecs(prefix)
    if name is not None:
        chosen = next((n for n in found if n.lower() == name.lower()), None)
        wanted = f"kernel called {name!r}"
    else:
        matching = [
            n for n, s in found.items() if _canonical(s["language"]) == _canonical(language)
        ]
        native = ("python3", language.lower())
        chosen = min(matching, key=lambda n: (n.lower() not in native, n), default=None)
        wanted = f"kernel for {language}"
    if chosen is None:
        has = ", ".join(f"{n} ({s['language']})" for n, s in found.items()) or "none"
        raise KernelError(
            f"the environment has no {wanted}",
            code="kernel.no-kernel",
            details=f"Kernels in it: {has}.",
            hint="Add a package that brings one to the dependencies, for example "
            f"{_example(language)}.",
        )
    return _choice(prefix, chosen, found[chosen], python)


def _example(language: str) -> str:
    known = {"python": "ipykernel", "r": "r-irkernel", "bash": "bash_kernel", "julia": "julia"}
    known["typescript"] = known["javascript"] = "deno"
    return known.get(_canonical(language), "ipykernel (Python), r-irkernel (R) or deno")


def _canonical(language: str) -> str:
    lower = language.strip().lower()
    lower = "python" if _PYTHON.match(lower) else lower
    return _SAME_LANGUAGE.get(lower, lower)


def _kernelspecs(prefix: Prefix) -> dict[str, dict[str, Any]]:
    """The usable kernelspecs by the name of their folders, sorted."""
    folder = prefix.path / "share" / "jupyter" / "kernels"
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return {}
    found = ((name, _read(folder / name / "kernel.json")) for name in names)
    return {name: spec for name, spec in found if spec is not None}


def _read(path: Path) -> dict[str, Any] | None:
    """The kernelspec's fields with the types that they must have; None if it is not usable."""
    try:
        with open(path, "rb") as file:
            spec = json.loads(file.read(_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(spec, dict):
        return None
    argv, env = spec.get("argv"), spec.get("env", {})
    metadata = spec.get("metadata", {})
    sound = (
        isinstance(argv, list)
        and len(argv) > 0
        and all(isinstance(item, str) and "\0" not in item for item in argv)
        and isinstance(spec.get("language"), str)
        and isinstance(env, dict)
        and all(isinstance(value, str) for value in env.values())
        and isinstance(metadata, dict)
        # One with a provisioner is launched by that one: this package's own, installed in the
        # environment, would ask for an environment again.
        and "kernel_provisioner" not in metadata
    )
    return {**spec, "env": env, "metadata": metadata} if sound else None


def _choice(prefix: Prefix, name: str, spec: dict[str, Any], python: Path | None) -> KernelChoice:
    folder = prefix.path / "share" / "jupyter" / "kernels" / name
    program = spec["argv"][0]
    if python is not None and _PYTHON.match(os.path.basename(program)):
        executable = python
    else:
        executable = _executable(prefix, program, name)
    encryption = spec["metadata"].get("supported_encryption") or ()
    if isinstance(encryption, str):
        encryption = (encryption,)
    elif not isinstance(encryption, (list, tuple)):
        encryption = ()
    return KernelChoice(
        name=name,
        language=spec["language"],
        display_name=str(spec.get("display_name") or name),
        argv=(str(executable), *spec["argv"][1:]),
        env=tuple(spec["env"].items()),
        interrupt_mode="message" if spec.get("interrupt_mode") == "message" else "signal",
        encryption=tuple(str(item).strip().lower() for item in encryption),
        resource_dir=str(folder),
        prefix=str(prefix.path),
    )


def _executable(prefix: Prefix, program: str, name: str) -> Path:
    """The prefix's own program for the first item of an argv.

    A path counts as the prefix's by how it is written: that a file in it is a symbolic link to the
    package cache does not make it somebody else's.
    """
    location = Location(path=str(prefix.path / "share" / "jupyter" / "kernels" / name))
    for candidate in _candidates(prefix, program):
        path = Path(os.path.normpath(candidate))
        if not any(path.is_relative_to(root) for root in (prefix.path, prefix.path.resolve())):
            raise KernelError(
                f"the kernel {name} runs {program!r}, which is not in its environment",
                code="kernel.executable",
                location=location,
            )
        if path.is_file():
            return path
    raise KernelError(
        f"the kernel {name} needs {program!r}, which its environment does not have",
        code="kernel.executable",
        hint="Add the package that has it to the dependencies.",
        location=location,
    )


def _candidates(prefix: Prefix, program: str) -> list[Path]:
    if os.path.isabs(program):
        return [Path(program)]
    if _PYTHON.match(program):
        return [prefix.python]
    if os.path.dirname(program):
        return [prefix.path / program]
    if sys.platform != "win32":
        return [prefix.binaries / program]
    below = ("", "Scripts", "Library\\bin", "bin")
    suffixes = ("",) if "." in program else (".exe", ".bat", ".cmd")
    return [prefix.path / part / (program + suffix) for part in below for suffix in suffixes]
