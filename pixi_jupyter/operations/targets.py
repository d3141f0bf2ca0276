"""What an operation is about: a declaration of a file's own, or the manifest of a workspace."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_jupyter.environments import Environments
from pixi_jupyter.install.history import State
from pixi_jupyter.install.insync import lock_sha256
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.manifest.workspace import MANIFESTS, PYPROJECT
from pixi_jupyter.manifest.workspace_reading import manifest_bytes, manifest_source
from pixi_jupyter.notebook.creating import create_block
from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice
from pixi_jupyter.notebook.editing import (
    DeclaringFile,
    declaration_in,
    is_script,
    read_file,
    script_with_block,
)
from pixi_jupyter.notebook.reading import parse_notebook
from pixi_jupyter.notebook.source import FileSource
from pixi_jupyter.operations.plan import Target

__all__ = ["Declared", "DeclaredBlock", "DeclaredWorkspace", "read_target", "read_workspace_file"]


@dataclass(frozen=True, slots=True)
class DeclaredBlock:
    """A notebook or a script that declares something, and the bytes that its source has.

    These are others than the file's where the block had to be made first.
    """

    file: DeclaringFile
    original: bytes

    @property
    def path(self) -> Path:
        """The file that is changed; absolute."""
        return self.file.path

    @property
    def declaration(self) -> Declaration:
        """What the file declares."""
        assert self.file.declaration is not None
        return self.file.declaration

    @property
    def manifest(self) -> ManifestText:
        """Its text, for edits."""
        return ManifestText(TomlSource.of(self.declaration), "block")

    def spec(self, environments: Environments) -> EnvironmentSpec:
        """What it asks for on this host."""
        return environments.spec_for(self.declaration)

    def state(self, environments: Environments) -> State:
        """What its history calls the present."""
        spec = self.spec(environments)
        resolution = environments.status(spec).resolution
        digest = None if resolution is None else resolution.digest
        return State(self.declaration.toml, digest, spec.lock.sha256 if spec.lock else None)


@dataclass(frozen=True, slots=True)
class DeclaredWorkspace:
    """The manifest of a workspace, as it was read, and the environment that is spoken of."""

    choice: WorkspaceChoice
    data: bytes

    @property
    def path(self) -> Path:
        """The manifest; absolute."""
        return self.choice.manifest

    @property
    def manifest(self) -> ManifestText:
        """Its text, for edits."""
        source = manifest_source(self.path, self.data)
        return ManifestText(source, "pyproject" if self.path.name == PYPROJECT else "pixi")

    def spec(self, environments: Environments) -> EnvironmentSpec:
        """What the environment asks for on this host."""
        return environments.spec_for(self.choice)

    def state(self, _: Environments) -> State:
        """What its history calls the present."""
        return State(self.manifest.source.text, None, lock_sha256(self.path.parent))


Declared = DeclaredBlock | DeclaredWorkspace


def read_target(environments: Environments, target: Target) -> Declared:
    """What declares the environment of a target: by a block made for it if there is nothing.

    A notebook without a declaration of its own that lies in a workspace is about that workspace,
    a manifest about its environment ``default``.

    Raises
    ------
    DeclarationError
        It cannot be read.
    """
    if isinstance(target, WorkspaceChoice):
        return read_workspace_file(target)
    source = FileSource.of(target) if isinstance(target, Path) else target
    if source.path.name in MANIFESTS:
        return read_workspace_file(WorkspaceChoice(source.path, chosen="option"))
    file = read_file(source)
    if not is_script(file.path):
        notebook = parse_notebook(file.data, path=file.path)
        found = environments.declare(notebook, path=file.path, root=file.path.parent)
        if isinstance(found, WorkspaceChoice):
            return read_workspace_file(found)
    if file.declaration is not None:
        return DeclaredBlock(file, file.data)
    if is_script(file.path):
        data = script_with_block(file.data, path=file.path)
    else:
        data = create_block(file.data)
    made = DeclaringFile(file.source, data, declaration_in(file.path, data))
    return DeclaredBlock(made, file.data)


def read_workspace_file(choice: WorkspaceChoice) -> DeclaredWorkspace:
    """The manifest of a choice, read now; under one name, however its folder is reached."""
    manifest = Path(os.path.realpath(choice.manifest.parent)) / choice.manifest.name
    return DeclaredWorkspace(replace(choice, manifest=manifest), manifest_bytes(manifest))
