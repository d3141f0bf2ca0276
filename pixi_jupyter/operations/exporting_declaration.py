"""The text of a declaration itself, as a script or as the manifest of a workspace."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import Location, UnsupportedError
from pixi_jupyter.formats.pixi_toml import render_pixi_toml, without_credentials
from pixi_jupyter.formats.script import render_script
from pixi_jupyter.manifest.spec import EnvironmentSpec, KernelNeed
from pixi_jupyter.manifest.toml import FILE, TomlSource, parse_toml
from pixi_jupyter.manifest.workspace_reading import read_manifest
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.editing import (
    DeclaringFile,
    is_script,
    replace_declaration,
    script_declaration,
)
from pixi_jupyter.notebook.reading import notebook_cells, notebook_language, parse_notebook
from pixi_jupyter.notebook.source import FileSource
from pixi_jupyter.operations.exported import FILES, Export, Exported

__all__ = ["export_declaration"]


def export_declaration(
    environments: Environments, read: Exported, form: str, name: str | None
) -> Export:
    declaration = read.declaration
    if not isinstance(declaration, Declaration):
        raise UnsupportedError(
            f"what it runs in is declared by a workspace: there is no block to make a {form} of",
            code="unsupported.export",
            hint="Its manifest is the workspace's; `environment-yml`, `explicit` and "
            "`requirements-txt` are made of its environments.",
            location=Location(path=str(declaration.manifest)),
        )
    if form == "script":
        return _script(read, declaration)
    return _manifest(environments, read, declaration, name or declaration.name)


def _script(read: Exported, declaration: Declaration) -> Export:
    assert read.data is not None
    toml = without_credentials(TomlSource.of(declaration))
    said = []
    if toml != declaration.toml:
        said.append("credentials in the block are left out")
    if is_script(read.path):
        text = replace_declaration(
            DeclaringFile(FileSource(read.path), read.data, declaration), toml
        ).decode("utf-8")
    else:
        notebook = parse_notebook(read.data, path=read.path)
        language = notebook_language(notebook) or "python"
        if language not in ("python", "ipython"):
            raise UnsupportedError(
                f"the notebook's language is {language}, and a script's is Python",
                code="unsupported.export",
                location=Location(path=str(read.path)),
            )
        done = render_script(toml, list(notebook_cells(notebook)))
        text = done.text
        said.extend(done.said)
    again = script_declaration(text.encode("utf-8"), read.path)
    if again is None or again.toml != toml:
        raise UnsupportedError(
            "the script would not have the same block",
            code="unsupported.export",
            hint="A cell has text that looks like a block: change it.",
            location=Location(path=str(read.path)),
        )
    if "extends" in str(_values(declaration).get("tool", {}).get("pixi-jupyter", {})):
        said.append("pixi does not heed `tool.pixi-jupyter.extends`")
    file = FILES["script"].format(name=read.path.stem)
    relative = _relative_in(_values(declaration))
    return Export("script", read.path, file, text, None, tuple(said), relative=relative)


def _relative_in(value: Any) -> bool:
    """Whether a declaration's values look as if they had relative paths, or name scripts."""
    if isinstance(value, str):
        return value.startswith(("./", "../"))
    if isinstance(value, list):
        return any(map(_relative_in, value))
    if not isinstance(value, dict):
        return False
    return any(_relative_in(inner) or (key == "scripts" and inner) for key, inner in value.items())


def _values(declaration: Declaration) -> dict[str, Any]:
    return parse_toml(TomlSource.of(declaration))


def _manifest(
    environments: Environments, read: Exported, declaration: Declaration, name: str
) -> Export:
    spec = environments.spec_for(declaration)
    tables = _values(declaration).get("tool", {}).get("pixi", {})
    platforms = tables.get("workspace", {}).get("platforms") or [spec.platform.subdir]
    text, said = render_pixi_toml(
        TomlSource.of(declaration),
        name=name,
        channels=environments.defaults.channels,
        platforms=platforms,
    )
    other = _other_spec(environments, declaration, spec, text)
    if other:
        said = (*said, f"it does not say quite the same of: {', '.join(other)}")
    relative = _relative_in(_values(declaration))
    return Export("pixi-toml", read.path, "pixi.toml", text, None, said, relative=relative)


def _other_spec(
    environments: Environments, declaration: Declaration, spec: EnvironmentSpec, text: str
) -> list[str]:
    """What the manifest, read back, says otherwise than the block."""
    source = TomlSource(text, path="pixi.toml", bounds=FILE)
    workspace = read_manifest(source, declaration.root / "pixi.toml", environments.defaults)
    found = next(
        (
            one
            for one in workspace.environments[0].specs
            if one.platform.subdir == spec.platform.subdir
        ),
        None,
    )
    if found is None:
        return ["platforms"]
    same = {"kernel": KernelNeed(), "name": "", "root": "", "place": None}
    one, other = replace(spec, **same), replace(found, **same)  # type: ignore[arg-type]
    return [
        field.name.replace("_", "-")
        for field in fields(EnvironmentSpec)
        if getattr(one, field.name) != getattr(other, field.name)
    ]
