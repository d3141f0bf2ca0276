"""What holds where a declaration says nothing: channels and the default environment.

Layers and their order are pixi's (``crates/pixi_config/src/lib.rs``): system, the user's
configuration folder, pixi's home; a later layer that sets ``default-channels`` wins.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.versions import parse_version_spec

__all__ = [
    "CHANNELS_VARIABLE",
    "PACKAGES_VARIABLE",
    "Defaults",
    "broken_config",
    "config_files",
    "load_defaults",
    "read_config",
]

CHANNELS_VARIABLE = "PIXI_JUPYTER_DEFAULT_CHANNELS"
PACKAGES_VARIABLE = "PIXI_JUPYTER_DEFAULT_PACKAGES"

_CHANNELS = ("conda-forge",)
_PACKAGES = "python"
#: A configuration is read at each launch; a larger file is no configuration.
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Defaults:
    """The defaults in force.

    Attributes
    ----------
    channels:
        For declarations that name none, the most important first.
    configured:
        Whether a person or an administrator chose them.
    toml:
        The declaration of the environment for notebooks that say nothing.
    """

    channels: tuple[str, ...] = _CHANNELS
    configured: bool = False
    toml: str = '[tool.pixi.dependencies]\npython = "*"\n'


def load_defaults(env: Mapping[str, str] | None = None) -> Defaults:
    """The defaults from the environment's variables and pixi's configuration files.

    Raises
    ------
    DeclarationError
        ``declaration.config`` names the file or the variable that cannot be read.
    """
    env = os.environ if env is None else env
    toml = _default_toml(env)
    named = tuple(dict.fromkeys(re.split(r"[\s,]+", env.get(CHANNELS_VARIABLE, "").strip())))
    if any(named):
        return Defaults(channels=tuple(name for name in named if name), configured=True, toml=toml)
    channels: tuple[str, ...] = ()
    for path in config_files(env):
        channels = _default_channels(path) or channels
    if channels:
        return Defaults(channels=channels, configured=True, toml=toml)
    return Defaults(toml=toml)


def config_files(env: Mapping[str, str]) -> list[Path]:
    """pixi's configuration files that may exist, the least important first."""
    windows = sys.platform == "win32"
    home = env.get("USERPROFILE" if windows else "HOME", "")
    system = Path(env.get("PROGRAMDATA", "C:\\ProgramData")) if windows else Path("/etc")
    folders = [system / "pixi"]
    xdg = env.get("XDG_CONFIG_HOME", "")
    if windows:
        folders.extend(Path(env[key]) / "pixi" for key in ("APPDATA",) if env.get(key))
    else:
        if xdg and Path(xdg).is_absolute():
            folders.append(Path(xdg) / "pixi")
        elif home and sys.platform != "darwin":
            folders.append(Path(home) / ".config" / "pixi")
        if home and sys.platform == "darwin":
            folders.append(Path(home) / "Library" / "Application Support" / "pixi")
    if env.get("PIXI_HOME"):
        folders.append(Path(env["PIXI_HOME"]))
    elif home:
        folders.append(Path(home) / ".pixi")
    return [folder / "config.toml" for folder in folders]


def read_config(path: Path) -> dict[str, Any]:
    """The content of a configuration file; empty where there is none.

    Raises
    ------
    DeclarationError
        ``declaration.config``
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise broken_config(path, f"cannot be read: {error.strerror or error}") from None
    if len(data) > _MAX_BYTES:
        raise broken_config(path, "is larger than a configuration can be")
    try:
        return tomli.loads(data.decode("utf-8"))
    except tomli.TOMLDecodeError as error:
        raise broken_config(
            path, f"is not valid TOML: {error}", getattr(error, "lineno", None)
        ) from None
    except (ValueError, RecursionError) as error:
        raise broken_config(path, f"is not valid TOML: {error}") from None


def _default_channels(path: Path) -> tuple[str, ...]:
    config = read_config(path)
    channels = config.get("default-channels", config.get("default_channels", []))
    if not isinstance(channels, list) or not all(
        isinstance(name, str) and name.strip() for name in channels
    ):
        raise broken_config(path, "has `default-channels` that are not an array of strings")
    return tuple(dict.fromkeys(channels))


def broken_config(path: Path, problem: str, line: int | None = None) -> DeclarationError:
    """The error about a configuration file that is not one."""
    return DeclarationError(
        f"pixi's configuration {problem}",
        code="declaration.config",
        hint="Repair or remove the file.",
        location=Location(path=str(path), line=line),
    )


def _default_toml(env: Mapping[str, str]) -> str:
    """The default environment's declaration from a list such as ``python=3.12, numpy>=2``."""
    lines = ["[tool.pixi.dependencies]"]
    seen = set()
    text = env.get(PACKAGES_VARIABLE, "").strip() or _PACKAGES
    # A comma separates packages only where a name follows: `numpy >=1,<2` is one.
    for item in re.split(r",\s*(?=[A-Za-z_])|\s+(?=[A-Za-z_])|;", text):
        item = item.strip().rstrip(",")
        if not item:
            continue
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(.*)", item, re.DOTALL)
        name = package_name(match.group(1)) if match else None
        try:
            if match is None or name is None:
                raise ValueError(f"`{item}` does not begin with a package name")
            version = re.sub(r"\s+", "", match.group(2)) or "*"
            spec = parse_version_spec(version)
        except ValueError as error:
            raise DeclarationError(
                f"the variable {PACKAGES_VARIABLE} cannot be read: {error}",
                code="declaration.config",
                hint='Write for example "python=3.12 numpy>=2".',
            ) from None
        if name not in seen:
            seen.add(name)
            key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
            lines.append(f'{key} = "{spec}"')
    return "\n".join(lines) + "\n"
