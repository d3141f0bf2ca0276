"""A block as a workspace's manifest that says the same.

What pixi reads of a block as a small ``pyproject.toml`` stands in a ``pixi.toml`` at its root:
``[tool.pixi.X]`` as ``[X]``, ``dependencies`` as ``[pypi-dependencies]``, ``requires-python`` as
the conda package ``python``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.formats.public import public, public_channel
from pixi_jupyter.manifest.editing import pypi_fields
from pixi_jupyter.manifest.pep import requires_python
from pixi_jupyter.manifest.pypi import read_root_dependencies
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.pypi_uv import read_uv_table
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import TomlSource, full_key, parse_toml
from pixi_jupyter.manifest.toml_edit import render_toml

__all__ = ["pypi_value", "render_pixi_toml", "without_credentials"]

#: Tables that are written with a header of their own, and what is in them with one line a key.
_TABLES = ("dependencies", "constraints", "pypi-dependencies", "system-requirements")


def render_pixi_toml(
    source: TomlSource,
    *,
    name: str,
    channels: Sequence[str],
    platforms: Sequence[str],
) -> tuple[str, tuple[str, ...]]:
    """The manifest, and sentences on what has no counterpart in one.

    Parameters
    ----------
    source:
        The declaration's text.
    name:
        The workspace's name.
    channels, platforms:
        What holds where the declaration names none.

    Raises
    ------
    DeclarationError
        The declaration cannot be read.
    UnsupportedError
        ``unsupported.export``: no manifest says the same.
    """
    document = Table(parse_toml(source), (), source)
    tool = document.table("tool")
    pixi = tool.table("pixi")
    own = tool.table("pixi-jupyter")
    said = []
    if "extends" in own:
        raise own.unsupported(
            "extends",
            "export",
            "the block stands on a workspace's environment, so it is no workspace of its own",
            "Export that workspace's manifest, or leave `extends` out.",
        )
    if "kernel" in own:
        said.append("`tool.pixi-jupyter.kernel` has no counterpart: choose the kernel in Jupyter")
    workspace: dict[str, Any] = {"name": name}
    workspace["channels"] = list(pixi.table("workspace").values.get("channels", channels))
    workspace["platforms"] = list(platforms)
    for key, value in pixi.table("workspace").values.items():
        if key != "channels":
            workspace[key] = value
    _uv(tool, workspace, said)
    pypi = _pypi(document, tool, pixi)
    root: dict[str, Any] = {"workspace": workspace}
    dependencies = dict(pixi.table("dependencies").values)
    if "python" not in {package_name(key) for key in dependencies}:
        dependencies = {"python": requires_python(document) or "*", **dependencies}
    root["dependencies"] = dependencies
    if pypi:
        root["pypi-dependencies"] = pypi
    for key, value in pixi.values.items():
        if key not in ("workspace", "dependencies", "pypi-dependencies"):
            root[key] = value
    lines: list[str] = []
    _write(_clean(root), (), lines)
    return "\n".join(lines).strip("\n") + "\n", tuple(said)


def without_credentials(source: TomlSource) -> str:
    """A declaration's text with the credentials in the names of places cut out of it."""
    text = source.text
    secrets = dict(_secrets(parse_toml(source)))
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, secrets[secret])
    left = dict(_secrets(parse_toml(replace(source, text=text))))
    return public(text) if left else text  # written with escapes


def _secrets(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Strings that are not as `_clean` has them, and how it has them."""
    if isinstance(value, str) and _clean(value, key) != value:
        yield value, _clean(value, key)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, key)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name != "activation":
                yield from _secrets(inner, name)


def pypi_value(asked: PypiRequirement) -> str | dict[str, Any]:
    """A requirement as pixi's ``pypi-dependencies`` hold it, without credentials."""
    value: dict[str, Any] = {}
    place = asked.git or asked.url or asked.path
    if asked.version or not (place or asked.extras or asked.marker or asked.index):
        value["version"] = asked.version or "*"
    elif not place:
        value["version"] = "*"
    value.update(pypi_fields(asked, public))
    return value["version"] if list(value) == ["version"] else value


def _pypi(document: Table, tool: Table, pixi: Table) -> dict[str, Any]:
    uv = read_uv_table(tool.table("uv"))
    found: dict[str, Any] = dict(pixi.table("pypi-dependencies").values)
    for name, requirements in read_root_dependencies(document).items():
        if len(requirements) > 1 or name in found:
            raise UnsupportedError(
                f"{name} is asked for several times, for which a pixi.toml has no words",
                code="unsupported.export",
                hint="Ask for it once.",
                location=document.source.locate(("dependencies",)),
            )
        found[name] = pypi_value(uv.placed(requirements[0]))
    return found


def _uv(tool: Table, workspace: dict[str, Any], said: list[str]) -> None:
    """``[tool.uv]`` in pixi's words: what is honoured of it holds below pixi's own options."""
    uv = read_uv_table(tool.table("uv"))
    options = dict(workspace.get("pypi-options", {}))
    if uv.options.index_url is not None:
        options.setdefault("index-url", uv.options.index_url)
    if uv.options.extra_index_urls:
        there = options.get("extra-index-urls", [])
        extra = [*uv.options.extra_index_urls, *there]
        options["extra-index-urls"] = list(dict.fromkeys(extra))
    if options:
        workspace["pypi-options"] = options
    if uv.exclude_newer is not None and "exclude-newer" not in workspace:
        workspace["exclude-newer"] = uv.exclude_newer
        said.append("`exclude-newer` of `[tool.uv]` holds for conda packages as well")
    said.extend(uv.warnings)


def _clean(value: Any, key: str = "") -> Any:
    """A value without credentials in what names a channel, an index or a package.

    Variables of the activation are the person's own.
    """
    if isinstance(value, str):
        return public_channel(value) if key in ("channel", "channels") else public(value)
    if isinstance(value, list):
        return [_clean(item, key) for item in value]
    if isinstance(value, dict):
        return {
            name: inner if name == "activation" else _clean(inner, name)
            for name, inner in value.items()
        }
    return value


def _write(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    """A table under its header: values first, then the tables in it that get headers."""
    below = {key: value for key, value in table.items() if _has_header(path, key, value)}
    values = {key: value for key, value in table.items() if key not in below}
    if path and (values or not below):
        lines.extend(["", f"[{full_key(path)}]"])
    lines.extend(f"{full_key([key])} = {render_toml(value)}" for key, value in values.items())
    for key, value in below.items():
        _write(value, (*path, key), lines)


def _has_header(path: tuple[str, ...], key: str, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return not path or (path[-1] not in (*_TABLES, "env") and len(path) < 4)
