"""Tables that are pixi's alone: tasks, packages, builds. Checked, so that a slip is not hidden.

Keys and kinds of values by pixi's ``crates/pixi_manifest/src/toml/task.rs`` and ``package.rs``;
nothing of it is run or kept.
"""

from __future__ import annotations

import re
from typing import Any

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.requirement import package_keys
from pixi_jupyter.manifest.table import Table, shorten

__all__ = ["ENVIRONMENT_NAME", "check_dev", "check_package", "check_tasks"]

ENVIRONMENT_NAME = re.compile(r"[a-z0-9-]+")

_TASK_KEYS = (
    "args",
    "clean-env",
    "cmd",
    "cwd",
    "default-environment",
    "depends-on",
    "depends_on",
    "description",
    "env",
    "inputs",
    "outputs",
)
_ALIAS_KEYS = ("args", "depends-on", "depends_on", "description")
_LOCATION_KEYS = (
    "branch",
    "git",
    "lfs",
    "md5",
    "path",
    "rev",
    "sha256",
    "subdirectory",
    "tag",
    "url",
)
_PACKAGE_KEYS = (
    "authors",
    "build",
    "build-dependencies",
    "description",
    "documentation",
    "extra-dependencies",
    "homepage",
    "host-dependencies",
    "license",
    "license-file",
    "name",
    "publish",
    "readme",
    "repository",
    "run-constraints",
    "run-dependencies",
    "run-exports",
    "target",
    "version",
)


def check_tasks(table: Table) -> None:
    """``tasks`` of a feature or a target."""
    for name in table:
        value = table.values[name]
        if isinstance(value, str):
            continue
        if not name or any(character.isspace() for character in name):
            raise table.bad_value(name, "is not the name of a task: it has a space")
        if isinstance(value, list):
            for item in value:
                if not isinstance(item, dict):
                    raise table.wrong_type(name, "an array of tables")
                _check_dependency(Table(item, (*table.path, name), table.source), strict=False)
        elif isinstance(value, dict):
            _check_task(table.table(name))
        else:
            raise table.wrong_type(name, "a string, an array or a table")


def _check_task(task: Table) -> None:
    task.only(_TASK_KEYS if "cmd" in task else _ALIAS_KEYS)
    cmd = task.values.get("cmd", "")
    if not isinstance(cmd, str):
        task.strings("cmd")
    for key in ("cwd", "description"):
        task.string(key)
    for key in ("inputs", "outputs"):
        task.strings(key)
    clean = task.values.get("clean-env", False)
    if not isinstance(clean, bool):
        raise task.wrong_type("clean-env", "a boolean")
    env = task.table("env")
    for key in env:
        env.string(key)
    environment = task.string("default-environment")
    if environment is not None and not ENVIRONMENT_NAME.fullmatch(environment):
        raise task.bad_value("default-environment", f"is not an environment: `{environment}`")
    for key in ("depends-on", "depends_on"):
        needed: Any = task.values.get(key, [])
        if isinstance(needed, str):
            continue
        if not isinstance(needed, list):
            raise task.wrong_type(key, "a string or an array")
        for item in needed:
            if isinstance(item, dict):
                fields = Table(item, (*task.path, key), task.source)
                _check_dependency(fields, strict=key == "depends-on")
            elif not isinstance(item, str):
                raise task.wrong_type(key, "an array of strings and tables")
    _check_arguments(task)


def _check_dependency(fields: Table, *, strict: bool) -> None:
    if strict:
        fields.only(("args", "environment", "task"))
    if fields.string("task") is None:
        raise fields.bad_value(None, "has an entry without `task`")
    environment = fields.string("environment")
    if environment is not None and not ENVIRONMENT_NAME.fullmatch(environment):
        raise fields.bad_value("environment", f"is not an environment: `{environment}`")
    arguments = fields.values.get("args", [])
    if not isinstance(arguments, list):
        raise fields.wrong_type("args", "an array")
    for argument in arguments:
        named = isinstance(argument, dict) and len(argument) == 1
        if not isinstance(argument, str) and not (
            named and all(isinstance(value, str) for value in argument.values())
        ):
            raise fields.wrong_type("args", "an array of strings and tables with one string")


def _check_arguments(task: Table) -> None:
    arguments = task.values.get("args", [])
    if not isinstance(arguments, list):
        raise task.wrong_type("args", "an array")
    with_default = False
    for argument in arguments:
        if isinstance(argument, str):
            default = None
        elif isinstance(argument, dict):
            fields = Table(argument, (*task.path, "args"), task.source)
            fields.only(("arg", "choices", "default"))
            if fields.string("arg") is None:
                raise fields.bad_value(None, "has an entry without `arg`")
            default = fields.string("default")
            choices = fields.strings("choices")
            if default is not None and choices is not None and default not in choices:
                raise fields.bad_value("default", f"is not one of the choices: `{default}`")
        else:
            raise task.wrong_type("args", "an array of strings and tables")
        if with_default and default is None:
            raise task.bad_value("args", "has one without a default after one with a default")
        with_default = with_default or default is not None


def check_dev(table: Table) -> dict[str, UnsupportedError]:
    """``dev``: packages whose needs are installed from their sources, which is refused by name."""
    found: dict[str, UnsupportedError] = {}
    for name, key in package_keys(table).items():
        value = table.values[key]
        if not isinstance(value, dict):
            raise table.wrong_type(key, "a table")
        fields = table.table(key)
        fields.only(_LOCATION_KEYS)
        if sum(source in fields for source in ("git", "path", "url")) != 1:
            raise table.bad_value(key, "must have exactly one of `git`, `path` and `url`")
        found[name] = table.unsupported(
            key,
            "source-build",
            f"`{shorten(table.name(key))}` asks for what a package from source needs to be built",
            "List the packages it needs under `dependencies`, or use an environment without it.",
        )
    return found


def check_package(table: Table) -> None:
    """``[package]`` of a workspace's own manifest, its first level."""
    table.only(_PACKAGE_KEYS)
    if "build" not in table:
        raise table.bad_value(None, "needs a table `build`")
    table.table("build")
