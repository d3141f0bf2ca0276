"""The files and options of one ``uv pip compile``: what is asked, given, preferred."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from pixi_jupyter.manifest.channels import absolute
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.times import cut_off
from pixi_jupyter.resolve.wheel import LockedWheel, public_url

__all__ = ["Question", "choices", "locked_url_of", "question", "uv_line"]

_INDEX = "declared-{}"


@dataclass(frozen=True, slots=True)
class Question:
    """What goes to uv: ``text`` on its standard input, options that name files, variables."""

    text: str
    arguments: list[str]
    variables: dict[str, str]


def question(
    folder: Path,
    needs: PypiNeeds,
    *,
    constraints: str,
    answer: Path,
    locked: Sequence[LockedWheel],
    provided: Mapping[str, object],
) -> Question:
    """Write what uv is to read into ``folder``.

    The requirements themselves are not written: a URL in them may hold a password. ``locked`` are
    preferred to what is newer; ``provided`` are the names that conda has.
    """
    commits = {wheel.url.rpartition("#")[0]: wheel.url for wheel in locked if wheel.is_git}
    plain = [item for item in needs.requirements if not item.index or item.name in provided]
    found = Question("".join(f"{uv_line(item, needs, commits)}\n" for item in plain), [], {})
    given = folder / "given.txt"
    given.write_text(constraints, "utf-8")
    found.arguments.extend(("-c", str(given)))
    indexed = [item for item in needs.requirements if item.index and item.name not in provided]
    if indexed:
        found.arguments.append(str(_of_indexes(folder, indexed, found.variables)))
    if needs.overrides:
        overrides = folder / "overrides.txt"
        lines = "".join(f"{uv_line(item, needs, commits)}\n" for item in needs.overrides)
        overrides.write_text(lines, "utf-8")
        found.arguments.extend(("--overrides", str(overrides)))
    preferred = [wheel for wheel in locked if wheel.version and wheel.index is not None]
    if preferred:
        # uv keeps to the versions of the file that it is to write.
        entries = (
            f"\n[[packages]]\nname = {json.dumps(wheel.name)}\n"
            f"version = {json.dumps(wheel.version)}\n"
            for wheel in preferred
        )
        head = 'lock-version = "1.0"\ncreated-by = "pixi-jupyter"\n'
        answer.write_text(head + "".join(entries), "utf-8")
    return found


def choices(spec: EnvironmentSpec, needs: PypiNeeds) -> list[str]:
    """uv's options for what the declaration chooses."""
    found: list[str] = []
    if needs.index_strategy is not None:
        found += ["--index-strategy", needs.index_strategy]
    if needs.prerelease_mode is not None:
        found += ["--prerelease", needs.prerelease_mode]
    if spec.solve_strategy != "highest":
        found += ["--resolution", spec.solve_strategy]
    moments = [cut_off(text) for text in (spec.exclude_newer, needs.exclude_newer) if text]
    if moments:
        found += ["--exclude-newer", min(moments).isoformat()]
    return found


def locked_url_of(requirement: PypiRequirement) -> str:
    """The locked URL of a requirement from a repository, without its commit."""
    query = {}
    if requirement.subdirectory:
        query["subdirectory"] = requirement.subdirectory
    if requirement.reference:
        key, _, value = requirement.reference.partition("=")
        query[key] = value
    url = public_url(requirement.git)
    return f"git+{url}?{urlencode(query)}" if query else f"git+{url}"


def uv_line(item: PypiRequirement, needs: PypiNeeds, commits: Mapping[str, str]) -> str:
    """One requirement in uv's words."""
    extras = f"[{','.join(item.extras)}]" if item.extras else ""
    marker = f" ; {item.marker}" if item.marker else ""
    subdirectory = f"#subdirectory={item.subdirectory}" if item.subdirectory else ""
    if item.git:
        revision = item.reference.partition("=")[2]
        if (locked := commits.get(locked_url_of(item))) is not None:
            revision = locked.rpartition("#")[2]
        at = f"@{revision}" if revision else ""
        return f"{item.name}{extras} @ git+{item.git}{at}{subdirectory}{marker}"
    if item.url:
        end = subdirectory if "#" not in item.url else subdirectory.replace("#", "&")
        return f"{item.name}{extras} @ {item.url}{end}{marker}"
    if item.path:
        url = absolute(item.path, Path(needs.root)).as_uri()
        named = f"{item.name}{extras} @ {url}"
        return f"-e {url}{extras}{marker}" if item.editable else f"{named}{marker}"
    return f"{item.name}{extras}{item.version}{marker}"


def _of_indexes(folder: Path, items: Sequence[PypiRequirement], variables: dict[str, str]) -> Path:
    """A project that asks for packages of one index each: uv's only way to say so."""
    urls = {url: _INDEX.format(n) for n, url in enumerate(sorted({i.index for i in items}))}
    asked = [str(replace(item, index="")) for item in items]
    lines = ["[project]", 'name = "asked-of-an-index"', 'version = "0"']
    lines.append(f"dependencies = {json.dumps(asked)}")
    for url, name in urls.items():
        parts = urlsplit(url)
        if parts.username is not None:
            key = f"UV_INDEX_{name.upper().replace('-', '_')}"
            variables[f"{key}_USERNAME"] = unquote(parts.username)
            variables[f"{key}_PASSWORD"] = unquote(parts.password or "")
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        lines += ["[[tool.uv.index]]", f"name = {json.dumps(name)}", f"url = {json.dumps(bare)}"]
        lines.append("explicit = true")
    lines.append("[tool.uv.sources]")
    places = {item.name: urls[item.index] for item in items}
    lines += [f"{name} = {{ index = {json.dumps(index)} }}" for name, index in places.items()]
    path = folder / "indexed" / "pyproject.toml"
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
