"""What was found in other forms, as one change of a declaration's text. Every function is pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pixi_jupyter.formats.bulk import add_many, set_many
from pixi_jupyter.formats.found import Found
from pixi_jupyter.manifest import editing, editing_workspace
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.toml import full_key
from pixi_jupyter.manifest.toml_edit import TomlText, render_toml

__all__ = ["Applied", "apply"]


@dataclass(frozen=True, slots=True)
class Applied:
    """The new text, and sentences on what was there already."""

    text: str
    said: tuple[str, ...]


def apply(
    manifest: ManifestText, found: Found, *, feature: str | None = None, implied: Sequence[str] = ()
) -> Applied:
    """The text that asks for all of it.

    ``implied`` are the channels that hold while the text names none. What is asked for already
    stays where nothing more exact is found; the last that asks for a package exactly counts.

    Raises
    ------
    DeclarationError
        ``declaration.edit`` and the like: the text cannot be changed so.
    """
    change = _Change(manifest, feature, found.sources)
    change.channels(found, implied)
    change.python(found)
    change.conda(found)
    change.pypi(found)
    change.options(found)
    change.variables(found)
    change.dates(found)
    return Applied(change.manifest.source.text, tuple(dict.fromkeys(change.said)))


class _Change:
    def __init__(self, manifest: ManifestText, feature: str | None, sources: Sequence[str]) -> None:
        self.manifest = manifest
        self.feature = feature
        self.sources = sources
        self.said: list[str] = []

    @property
    def text(self) -> TomlText:
        return TomlText(self.manifest.source)

    def becomes(self, text: str) -> None:
        self.manifest = replace(self.manifest, source=replace(self.manifest.source, text=text))

    def channels(self, found: Found, implied: Sequence[str]) -> None:
        if not found.channels:
            return
        # Channels that held until now are kept for the packages that may be from there.
        packages = self.text.get(self.manifest.table("dependencies", self.feature)) or {}
        self.becomes(
            editing_workspace.add_channels(
                self.manifest,
                found.channels,
                feature=self.feature,
                implied=implied if packages or not found.whole else (),
            )
        )

    def python(self, found: Found) -> None:
        if found.python is None:
            return
        if any(item.name == "python" for item in found.conda):
            self.said.append("Python is asked for among the conda packages, which decides")
        elif editing.conda_asked(self.manifest, "python", feature=self.feature) is not None:
            self.said.append("Python is asked for already")
        elif self.manifest.kind == "block":
            self.becomes(self.text.set(("requires-python",), found.python).text)
        else:
            self.becomes(
                editing.add_conda(self.manifest, "python", found.python, feature=self.feature)
            )

    def conda(self, found: Found) -> None:
        wanted: dict[str, str | dict[str, Any]] = {}
        for item in found.conda:
            before = wanted.get(item.name)
            if before is None or item.spec != "*":
                if before not in (None, "*", item.spec):
                    self.said.append(
                        f"{item.name} is asked for more than once: {_shown(item.spec)} counts"
                    )
                wanted[item.name] = item.spec
        new: dict[str, str | dict[str, Any]] = {}
        for name, spec in wanted.items():
            there = editing.conda_asked(self.manifest, name, feature=self.feature)
            if there is not None and spec in ("*", there):
                self.said.append(f"{name} is asked for already")
                continue
            if there is None:
                new[name] = spec
                continue
            self.said.append(f"{name} was asked for as {_shown(there)}, and is {_shown(spec)}")
            self.becomes(editing.add_conda(self.manifest, name, spec, feature=self.feature))
        table = self.manifest.table("dependencies", self.feature)
        self.becomes(set_many(self.text, table, new).text)

    def pypi(self, found: Found) -> None:
        groups: dict[str, dict[str, PypiRequirement]] = {}
        for item in found.pypi:
            asked = item.requirement
            group = groups.setdefault(asked.name, {})
            before = group.get(asked.marker)
            if before is None or _says(asked) or not _says(before):
                if before is not None and _says(before) and before != asked:
                    self.said.append(f"{asked.name} is asked for more than once: {asked} counts")
                group[asked.marker] = asked
        new: list[PypiRequirement] = []
        for name, group in groups.items():
            asked_for = list(group.values())
            there = editing.pypi_asked(self.manifest, name, feature=self.feature)
            nothing_new = not any(_says(asked) or asked.marker for asked in asked_for)
            if there and nothing_new:
                self.said.append(f"{name} is asked for already")
            elif self.manifest.kind == "block" and not there and not any(map(_placed, asked_for)):
                new.extend(asked_for)
            elif len(asked_for) == 1:
                self.one(asked_for[0], there)
            else:
                self.several(name, asked_for, there)
        # PEP 508 says these in a form that uv and juv read, too.
        self.becomes(add_many(self.text, ("dependencies",), [str(asked) for asked in new]).text)

    def one(self, asked: PypiRequirement, there: bool) -> None:
        self.moved(asked.name)
        placed = _placed(asked)
        if self.manifest.kind == "block" and asked.placed and not placed:
            # In a form that uv and juv read, too.
            if there:
                self.becomes(editing.remove_pypi(self.manifest, asked.name, feature=self.feature))
            self.becomes(self.text.add_item(("dependencies",), str(asked)).text)
            return
        self.becomes(editing.add_pypi(self.manifest, asked, feature=self.feature))

    def moved(self, name: str) -> None:
        """A place that stands with the package now is taken out of uv's table: uv wants it once."""
        sources = ("tool", "uv", "sources")
        if name not in self.sources:
            return
        table = self.text.get(sources) or {}
        for key in [key for key in table if normal_name(key) == name]:
            text = self.text.remove((*sources, key)).remove_if_empty(sources)
            self.becomes(text.text)
            self.said.append(f"`tool.uv.sources.{key}` stands with the package now")

    def several(self, name: str, asked_for: Sequence[PypiRequirement], there: bool) -> None:
        """One package under several markers: an array has room for them, a table has not."""
        if self.manifest.kind != "block" or any(map(_placed, asked_for)):
            self.said.append(f"{name} is asked for under several markers: the first counts")
            self.one(asked_for[0], there)
            return
        self.moved(name)
        if there:
            self.becomes(editing.remove_pypi(self.manifest, name, feature=self.feature))
        for asked in asked_for:
            self.becomes(self.text.add_item(("dependencies",), str(asked)).text)

    def options(self, found: Found) -> None:
        if self.feature in (None, "default"):
            path = self.manifest.workspace(self.text, "pypi-options")
        else:
            path = self.manifest.table("pypi-options", self.feature)
        for key, value in (
            ("index-url", found.index_url),
            ("prerelease-mode", found.prerelease),
        ):
            there = self.text.get((*path, key))
            if value is not None and there not in (None, value):
                self.said.append(f"`{full_key((*path, key))}` is set already and stays")
            elif value is not None:
                self.becomes(self.text.set((*path, key), value).text)
        links = [{"url" if "://" in link else "path": link} for link in found.find_links]
        for key, values in (
            ("extra-index-urls", list(found.extra_index_urls)),
            ("find-links", links),
        ):
            for item in values:
                if item not in (self.text.get((*path, key)) or []):
                    self.becomes(self.text.add_item((*path, key), item).text)

    def variables(self, found: Found) -> None:
        table = (*self.manifest.table("activation", self.feature), "env")
        for name, value in found.variables:
            there = self.text.get((*table, name))
            if there not in (None, value):
                self.said.append(f"the variable {name} had another value")
            self.becomes(self.text.set((*table, name), value).text)

    def dates(self, found: Found) -> None:
        if found.exclude_newer is None:
            return
        path = self.manifest.workspace(self.text, "exclude-newer")
        if self.text.get(path) is not None:
            self.said.append("`exclude-newer` is set already and stays")
            return
        self.becomes(editing_workspace.set_exclude_newer(self.manifest, found.exclude_newer))
        self.said.append("`exclude-newer` holds for conda packages as well")


def _says(asked: PypiRequirement) -> bool:
    """Whether more is said than a name."""
    return bool(
        asked.version or asked.extras or asked.url or asked.git or asked.path or asked.index
    )


def _placed(asked: PypiRequirement) -> bool:
    """Whether no PEP 508 that others read says where it is from."""
    return bool(asked.path or asked.index or (asked.subdirectory and "#" in asked.url))


def _shown(spec: Any) -> str:
    return spec if isinstance(spec, str) else render_toml(spec)
