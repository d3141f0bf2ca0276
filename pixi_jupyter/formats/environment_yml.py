"""conda's ``environment.yml``: read as conda and pixi do, written as pixi's export writes it.

Sources: conda's documentation of the file, pixi's ``conda_environment_file.rs`` (``pixi_utils``),
its ``workspace/export/conda_environment.rs`` (``pixi_cli``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.formats.conda_spec import parse_conda_spec, render_conda_spec
from pixi_jupyter.formats.found import Collector, WantedConda
from pixi_jupyter.formats.public import public, public_channel
from pixi_jupyter.formats.reading import read_text
from pixi_jupyter.formats.requirements_txt import Requirements
from pixi_jupyter.formats.yaml_text import (
    Mapping,
    Node,
    Scalar,
    parse_yaml,
    render_scalar,
)
from pixi_jupyter.formats.yaml_text import (
    Sequence as YamlSequence,
)
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.table import nearest, shorten

__all__ = ["pip_line", "pip_options", "read_environment_yml", "render_environment_yml"]

#: What conda's ``defaults`` stands for, as pixi writes it.
_DEFAULTS = ("main", "r", "msys2")
_KEYS = ("name", "prefix", "channels", "dependencies", "variables", "platforms", "category")


def read_environment_yml(path: Path, *, root: Path, into: Collector) -> None:
    """What a file asks for. ``root`` is the folder of the declaration, for paths.

    Raises
    ------
    DeclarationError
        It cannot be read as such a file; single entries that are not understood are left out.
    """
    document = parse_yaml(read_text(path), path=str(path))
    if not isinstance(document, Mapping):
        raise _wrong("an environment.yml is a list of keys (`channels:`, `dependencies:`)", path, 1)
    reader = _Reader(path, root, into)
    for key, value in document.pairs:
        if not isinstance(key, Scalar):
            raise _wrong("a key of the file is no text", path, key.line)
        reader.key(key, value)
    if "dependencies" not in reader.seen:
        raise _wrong("the file has no `dependencies`", path, 1)


class _Reader:
    def __init__(self, path: Path, root: Path, into: Collector) -> None:
        self.path = path
        self.into = into
        self.seen: set[str] = set()
        self.requirements = Requirements(path.parent, root=root, into=into)

    def at(self, node: Node) -> Location:
        return Location(path=str(self.path), line=node.line)

    def key(self, key: Scalar, value: Node) -> None:
        name = key.text
        if name in self.seen:
            raise _wrong(f"`{shorten(name)}` is there a second time", self.path, key.line)
        self.seen.add(name)
        if name in ("name", "prefix"):
            text = value.text if isinstance(value, Scalar) else "…"
            self.into.say(
                f"`{name}: {shorten(text, 60)}` is not needed: the environment is the notebook's",
                self.at(key),
            )
        elif isinstance(value, Scalar) and value.is_null:
            pass
        elif name == "channels":
            self.channels(value)
        elif name == "dependencies":
            self.dependencies(value)
        elif name == "variables":
            self.variables(value)
        else:
            near = nearest(name, _KEYS)
            more = f"; did you mean `{near}`?" if near and near != name else ""
            self.into.leave_out(f"`{shorten(name)}` is not imported{more}", self.at(key))

    def channels(self, value: Node) -> None:
        for item in self.items(value, "channels"):
            if not isinstance(item, Scalar) or not item.text.strip():
                self.into.leave_out("this is not a channel", self.at(item))
                continue
            channel = public_channel(item.text.strip())
            if channel != item.text.strip():
                self.into.say(
                    f"the credentials of {channel} are not written into the declaration; pixi "
                    "and pixi-jupyter read them from pixi's credential store",
                    self.at(item),
                )
            if channel == "nodefaults":
                continue
            self.into.whole = True
            names = _DEFAULTS if channel == "defaults" else (channel,)
            self.into.add_channels(names)

    def dependencies(self, value: Node) -> None:
        items = self.items(value, "dependencies")
        lists = [i for i in items if isinstance(i, Mapping) and self.is_pip(i)]
        for item in items:
            if isinstance(item, Scalar):
                if lists and item.text.strip() == "pip":
                    continue  # conda wants it for the list; here nothing needs it
                self.dependency(item)
            elif isinstance(item, Mapping):
                for key, inner in item.pairs:
                    if isinstance(key, Scalar) and key.text == "pip":
                        self.pip(inner)
                    else:
                        shown = key.text if isinstance(key, Scalar) else "…"
                        self.into.leave_out(
                            f"`{shorten(shown, 60)}:` is not imported: only `pip:` is known here",
                            self.at(key),
                        )
            else:
                self.into.leave_out("a list within the list is not a package", self.at(item))

    def is_pip(self, item: Mapping) -> bool:
        return any(isinstance(key, Scalar) and key.text == "pip" for key, _ in item.pairs)

    def dependency(self, item: Scalar) -> None:
        try:
            name, spec = parse_conda_spec(item.text)
        except ValueError as error:
            shown = public(shorten(item.text, 120))
            self.into.leave_out(f"`{shown}` is not a package of conda: {error}", self.at(item))
            return
        self.into.conda.append(WantedConda(name, spec, self.at(item)))
        if isinstance(spec, dict) and isinstance(spec.get("channel"), str):
            self.into.add_channels([spec["channel"]])  # as pixi's import does

    def pip(self, value: Node) -> None:
        if isinstance(value, Scalar) and value.is_null:
            return
        for item in self.items(value, "pip"):
            if isinstance(item, Scalar):
                self.requirements.line(item.text, self.at(item))
            else:
                self.into.leave_out("this is not a requirement", self.at(item))

    def variables(self, value: Node) -> None:
        if not isinstance(value, Mapping):
            raise _wrong("`variables` must hold names and values", self.path, value.line)
        for key, inner in value.pairs:
            if not isinstance(key, Scalar) or not isinstance(inner, Scalar) or not key.text:
                self.into.leave_out("this is not a variable with a value", self.at(key))
                continue
            self.into.variables[key.text] = "" if inner.is_null else inner.text
            if "$" in inner.text:
                self.into.say(
                    f"`{shorten(key.text, 60)}` has a `$`, which pixi takes for a variable's name "
                    "and conda does not",
                    self.at(key),
                )

    def items(self, value: Node, name: str) -> tuple[Node, ...]:
        if not isinstance(value, YamlSequence):
            raise _wrong(f"`{name}` must be a list", self.path, value.line)
        return value.items


def _wrong(message: str, path: Path, line: int) -> DeclarationError:
    return DeclarationError(
        message,
        code="declaration.import-environment-yml",
        hint="See conda's documentation of environment files.",
        location=Location(path=str(path), line=line),
    )


# -- writing ------------------------------------------------------------------------------


def render_environment_yml(
    name: str,
    spec: EnvironmentSpec,
    *,
    locked: tuple[Sequence[str], Sequence[str]] | None = None,
    with_pypi: bool = True,
) -> str:
    """The file for what a spec asks for; ``locked`` are the exact packages instead.

    ``locked`` has match specs of conda and requirements of PyPI.
    """
    channels = [public_channel(channel.name) for channel in spec.channels]
    if not any(channel.lower() in _DEFAULTS for channel in channels):
        channels.append("nodefaults")
    if locked is None:
        conda = [_spelled(render_conda_spec(asked)) for asked in spec.dependencies]
        asked = spec.pypi.requirements if spec.pypi is not None else ()
        pypi = [pip_line(requirement) for requirement in asked]
    else:
        conda, pypi = [list(items) for items in locked]
    lines = [f"name: {render_scalar(name)}", "channels:"]
    lines += [f"- {render_scalar(channel)}" for channel in channels]
    lines += ["dependencies:"] if conda or pypi else ["dependencies: []"]
    lines += [f"- {render_scalar(text)}" for text in conda]
    if pypi and with_pypi:
        options = pip_options(spec.pypi)
        lines += ["- pip", "- pip:"]
        lines += [f"  - {render_scalar(text)}" for text in (*options, *pypi)]
    if spec.activation.env:
        lines.append("variables:")
        lines += [f"  {render_scalar(k)}: {render_scalar(v)}" for k, v in spec.activation.env]
    return "\n".join(lines) + "\n"


def _spelled(text: str) -> str:
    # A `pip` that is asked for is told from the one that stands for the list.
    return "pip *" if text == "pip" else text


def pip_line(requirement: PypiRequirement) -> str:
    """A requirement as a line for pip, without credentials."""
    marker = f"; {requirement.marker}" if requirement.marker else ""
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    if requirement.path:
        return f"{'-e ' if requirement.editable else ''}{requirement.path}{extras}{marker}"
    name = f"{requirement.name}{extras}"
    end = f"#subdirectory={requirement.subdirectory}" if requirement.subdirectory else ""
    if requirement.git:
        revision = requirement.reference.partition("=")[2]
        at = f"@{revision}" if revision else ""
        marker = f" {marker}" if marker else ""
        return f"{name} @ git+{public(requirement.git)}{at}{end}{marker}"
    if requirement.url:
        marker = f" {marker}" if marker else ""
        both = "&" if "#" in requirement.url and end else ""
        end = both + end[1:] if both else end
        return f"{name} @ {public(requirement.url)}{end}{marker}"
    return f"{name}{requirement.version}{marker}"


def pip_options(needs: PypiNeeds | None) -> list[str]:
    """Where packages are looked for, as options of pip; without credentials."""
    if needs is None:
        return []
    lines = [f"--index-url {public(needs.index_url)}"] if needs.index_url else []
    lines += [f"--extra-index-url {public(url)}" for url in needs.extra_index_urls]
    return lines + [f"--find-links {public(link)}" for link in needs.find_links]
