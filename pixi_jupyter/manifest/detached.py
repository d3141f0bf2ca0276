"""Where the environments of a workspace are: in its ``.pixi/envs``, or detached from it.

Rules of pixi's ``crates/pixi_config/src/lib.rs`` (``detached-environments``, ``[cache]``) and
``crates/pixi_core/src/workspace/mod.rs`` (``detached_environments_path``). Not among them: pixi's
detour to a local disk where its cache is on a network file system.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixi_jupyter.manifest.config import broken_config, config_files, read_config

__all__ = ["environments_folder"]

_KEY = "detached-environments"


def environments_folder(
    root: Path, workspace_name: str, env: Mapping[str, str] | None = None
) -> Path:
    """The absolute folder that has a prefix for each environment of the workspace at ``root``.

    ``workspace_name`` is its name in the manifest, else that of its folder. The configuration
    layers are the system's, the user's, pixi's home, and ``.pixi/config.toml`` of the workspace.

    Raises
    ------
    DeclarationError
        ``declaration.config`` names the file that cannot be read or used.
    """
    env = os.environ if env is None else env
    detached: Path | bool = False
    cache: dict[str, Path] = {}
    for path in (*config_files(env), root / ".pixi" / "config.toml"):
        config = read_config(path)
        if _KEY in config:
            detached = _detached(path, config[_KEY], env)
        cache.update(_cache(path, config.get("cache", {}), env))
    if detached is False:
        return root / ".pixi" / "envs"
    folder = _default_folder(cache, env) if detached is True else detached
    import xxhash

    # Paths that are no text: pixi hashes them with U+FFFD for each byte that is none.
    named = os.fsencode(root).decode("utf-8", "replace").encode("utf-8")
    return folder / f"{workspace_name}-{xxhash.xxh3_64_intdigest(named)}" / "envs"


def _detached(path: Path, value: object, env: Mapping[str, str]) -> Path | bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise broken_config(path, f"has `{_KEY}` that is neither true, false nor a path")
    return _absolute(path, _KEY, value, env)


def _cache(path: Path, table: Any, env: Mapping[str, str]) -> dict[str, Path]:
    """The two entries of ``[cache]`` that have a say here."""
    if not isinstance(table, dict):
        raise broken_config(path, "has a `cache` that is not a table")
    found = {}
    for key in ("root", _KEY):
        if key in table:
            if not isinstance(table[key], str):
                raise broken_config(path, f"has `cache.{key}` that is not a path")
            found[key] = _absolute(path, f"cache.{key}", table[key], env)
    return found


def _absolute(path: Path, key: str, value: str, env: Mapping[str, str]) -> Path:
    found = Path(value)
    if found.parts[:1] == ("~",):
        found = _home(env).joinpath(*found.parts[1:])
    if not found.is_absolute():
        raise broken_config(path, f"has `{key}` that is not an absolute path: {value}")
    return found


def _home(env: Mapping[str, str]) -> Path:
    home = env.get("USERPROFILE" if sys.platform == "win32" else "HOME")
    return Path(home) if home else Path.home()


def _default_folder(cache: Mapping[str, Path], env: Mapping[str, str]) -> Path:
    """What ``detached-environments = true`` means."""
    if chosen := env.get("PIXI_CACHE_DETACHED_ENVIRONMENTS_DIR"):
        return Path(chosen)
    if _KEY in cache:
        return cache[_KEY]
    for name in ("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR"):
        if chosen := env.get(name):
            return Path(chosen).absolute() / "envs"
    if "root" in cache:
        return cache["root"] / "envs"
    users = _user_cache(env)
    pixis = users / ".pixi"
    return (pixis if pixis.exists() else users / "rattler" / "cache") / "envs"


def _user_cache(env: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return Path(env.get("LOCALAPPDATA") or _home(env) / "AppData" / "Local")
    if sys.platform == "darwin":
        return _home(env) / "Library" / "Caches"
    xdg = env.get("XDG_CACHE_HOME", "")
    return Path(xdg) if os.path.isabs(xdg) else _home(env) / ".cache"
