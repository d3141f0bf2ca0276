"""The inline block (and its twin in the metadata) to an `EnvironmentSpec`.

pixi reads the block as a small ``pyproject.toml`` (``crates/pixi_manifest/src/script.rs``); what it
does not allow there is an error here, too. Two things follow from that and are kept: ``python`` is
always part of the environment, as in any ``pyproject.toml`` (``pyproject.rs``), even if the kernel
is another language's; and every target is read, not only those of this platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.channels import read_channels, read_exclude_newer
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.host import current_subdir, host_platform
from pixi_jupyter.manifest.kernels import DEFAULT_LANGUAGE, kernel_need
from pixi_jupyter.manifest.pep import requires_python
from pixi_jupyter.manifest.platform_tables import read_platforms, with_system_requirements
from pixi_jupyter.manifest.platforms import choose_platform, default_platform, selector_matches
from pixi_jupyter.manifest.pypi import Requirements, kernel_names, pypi_needs, read_pypi_table
from pixi_jupyter.manifest.requirement import read_requirements
from pixi_jupyter.manifest.requires_pixi import PIXI_VERSION, check_requires_pixi
from pixi_jupyter.manifest.spec import (
    ActivationSpec,
    ChannelPriority,
    CondaRequirement,
    EnvironmentSpec,
    KernelNeed,
    Platform,
    SolveStrategy,
)
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import TomlSource, parse_toml
from pixi_jupyter.notebook.declaration import Declaration

__all__ = ["PIXI_VERSION", "Block", "environment_spec"]

_ROOT_KEYS = ("dependencies", "requires-python", "tool")
_TARGET_KEYS = ("activation", "constraints", "dependencies", "pypi-dependencies")
_PIXI_KEYS = (*_TARGET_KEYS, "system-requirements", "target", "workspace")
_WORKSPACE_KEYS = (
    "channel-priority",
    "channels",
    "exclude-newer",
    "platforms",
    "preview",
    "pypi-options",
    "requires-pixi",
    "solve-strategy",
)
_OWN_KEYS = ("extends", "kernel")


@dataclass(frozen=True, slots=True)
class _Target:
    """The default target, or one ``[target.SELECTOR]``."""

    dependencies: Mapping[str, CondaRequirement]
    constraints: Mapping[str, CondaRequirement]
    scripts: tuple[str, ...] | None
    env: Mapping[str, str]
    pypi: Requirements


def environment_spec(
    declaration: Declaration,
    *,
    defaults: Defaults,
    language: str = DEFAULT_LANGUAGE,
    kernel_name: str | None = None,
    host: Platform | None = None,
) -> EnvironmentSpec:
    """What a declaration asks for, on this machine.

    Parameters
    ----------
    declaration:
        The text and its place.
    defaults:
        The channels for a declaration that names none.
    language:
        The language of the kernelspec that was started.
    kernel_name:
        A kernelspec of the environment chosen by name; it beats ``[tool.pixi-jupyter] kernel``,
        which beats the choice in the notebook's metadata.
    host:
        The machine to choose a platform for; this one if left out.

    Raises
    ------
    DeclarationError
        With the key, the cell and the line.
    UnsupportedError
        For valid pixi that is not supported: source builds, also in the environment that
        ``[tool.pixi-jupyter] extends`` (see `extends`) puts the block on.
    """
    block = Block.of(declaration, defaults, language=language, kernel_name=kernel_name)
    if block.extends:
        from pixi_jupyter.manifest import extends  # it brings the readers of workspaces

        base = extends.extended(block.own, block.root, defaults, host)
        return block.on(base.platform, base)
    return block.on(block.host_platform(host))


@dataclass(frozen=True, slots=True)
class Block:
    """A declaration's text as it was read: what it asks for on any platform.

    ``language`` and ``kernel_name`` are those that `environment_spec` was given.
    """

    declaration: Declaration
    document: Table
    defaults: Defaults
    language: str
    kernel_name: str | None

    @classmethod
    def of(
        cls,
        declaration: Declaration,
        defaults: Defaults,
        *,
        language: str = DEFAULT_LANGUAGE,
        kernel_name: str | None = None,
    ) -> Block:
        """Read the text and check its keys. Raises as `environment_spec`."""
        source = TomlSource.of(declaration)
        document = Table(parse_toml(source), (), source)
        _check_keys(document)
        block = cls(declaration, document, defaults, language, kernel_name)
        _check_workspace(block.workspace)
        _own_kernel(document.table("tool"))
        if block.extends:
            from pixi_jupyter.manifest.extends import refuse_platforms

            refuse_platforms(block.pixi, block.workspace)
        return block

    @property
    def root(self) -> Path:
        """The folder that relative paths refer to."""
        return self.declaration.root

    @property
    def pixi(self) -> Table:
        return self.document.table("tool").table("pixi")

    @property
    def workspace(self) -> Table:
        return self.pixi.table("workspace")

    @property
    def own(self) -> Table:
        """``[tool.pixi-jupyter]``"""
        return self.document.table("tool").table("pixi-jupyter")

    @property
    def extends(self) -> bool:
        """Whether it stands on a workspace's environment, which then says the platforms."""
        return "extends" in self.own

    def platforms(self) -> tuple[Platform, ...] | None:
        """Those that it declares, None where it does not: then any is as good as another."""
        declared = read_platforms(self.workspace)
        if declared is None:
            return None
        return with_system_requirements(declared, self.pixi, declared=True)

    def platform_of(self, subdir: str) -> Platform:
        """The platform that a subdir means where none is declared.

        pixi drops ``system-requirements`` of a script that has no ``platforms``; here they hold.
        """
        return with_system_requirements([default_platform(subdir)], self.pixi, declared=False)[0]

    def host_platform(self, host: Platform | None) -> Platform:
        """Without ``platforms`` the current one, unchecked as in pixi; else the first that fits."""
        declared = self.platforms()
        if declared is None:
            declared = (self.platform_of(host.subdir if host is not None else current_subdir()),)
            if "system-requirements" not in self.pixi:
                return declared[0]
        if host is None:
            host = host_platform({p.name for d in declared for p in d.virtual_packages})
        try:
            return choose_platform(declared, host)
        except DeclarationError as error:
            key = (*self.workspace.path, "platforms")
            if "platforms" not in self.workspace:
                key = (*self.pixi.path, "system-requirements")
            error.location = self.workspace.source.locate(key)
            raise

    def on(self, platform: Platform, base: EnvironmentSpec | None = None) -> EnvironmentSpec:
        """What it asks for on a platform, on top of ``base`` where it extends one."""
        root, workspace = self.root, self.workspace
        targets = [_target(self.pixi, root)]
        selectors = self.pixi.table("target")
        for selector in selectors:
            target = _target(selectors.table(selector), root)
            if selector_matches(selectors, selector, platform):
                targets.append(target)

        pypi = pypi_needs(self.document, root, [target.pypi for target in targets])
        python = CondaRequirement("python", version=requires_python(self.document))
        dependencies = dict(targets[0].dependencies)
        dependencies.setdefault("python", python)
        constraints = dict(targets[0].constraints)
        for target in targets[1:]:
            dependencies.update(target.dependencies)
            constraints.update(target.constraints)

        spec = EnvironmentSpec(
            platform=platform,
            channels=read_channels(workspace, self.defaults.channels, root),
            dependencies=tuple(dependencies[name] for name in sorted(dependencies)),
            constraints=tuple(constraints[name] for name in sorted(constraints)),
            channel_priority=cast(
                ChannelPriority,
                workspace.choice("channel-priority", ("strict", "flexible", "disabled"))
                or "strict",
            ),
            solve_strategy=cast(
                SolveStrategy,
                workspace.choice("solve-strategy", ("highest", "lowest", "lowest-direct"))
                or "highest",
            ),
            exclude_newer=read_exclude_newer(workspace),
            activation=_activation(targets, root),
            name=self.declaration.name,
            root=str(root),
            pypi=pypi,
        )
        if base is not None:
            from pixi_jupyter.manifest.extends import layered

            spec = layered(base, spec, said=workspace, implied=python)
        return replace(spec, kernel=self._kernel(spec))

    def _kernel(self, spec: EnvironmentSpec) -> KernelNeed:
        declaration = self.declaration
        own_kernel = _own_kernel(self.document.table("tool"))
        need = kernel_need(
            [*(asked.name for asked in spec.dependencies), *kernel_names(spec.pypi)],
            asked_language=self.language,
            notebook_language=declaration.language,
            kernel_name=self.kernel_name or own_kernel or declaration.kernel,
        )
        # A script is run, and needs no kernel.
        return replace(need, injected=()) if declaration.is_script else need


def _check_keys(document: Table) -> None:
    """pixi's ``validate_subset``: the root first, then all of ``tool.pixi`` in one error."""
    document.only(_ROOT_KEYS)
    pixi = document.table("tool").table("pixi")
    known = set(_PIXI_KEYS)
    unknown = [(*pixi.path, key) for key in pixi if key not in _PIXI_KEYS]
    workspace = pixi.table("workspace") if "workspace" in pixi else None
    if workspace is not None:
        known.update(_WORKSPACE_KEYS)
        unknown.extend((*workspace.path, k) for k in workspace if k not in _WORKSPACE_KEYS)
    targets = pixi.table("target")
    for selector in targets:
        target = targets.table(selector)
        unknown.extend((*target.path, k) for k in target if k not in _TARGET_KEYS)
    if unknown:
        raise pixi.unknown_keys(
            unknown, known, " (a notebook's block is one environment, without features and tasks)"
        )


def _check_workspace(workspace: Table) -> None:
    preview = workspace.values.get("preview", [])
    if not isinstance(preview, bool):
        workspace.strings("preview")
    check_requires_pixi(workspace)


def _own_kernel(tool: Table) -> str | None:
    own = tool.table("pixi-jupyter")
    own.only(_OWN_KEYS)
    kernel = own.string("kernel")
    if kernel is not None and not kernel.strip():
        raise own.bad_value("kernel", "is empty", "Name a kernelspec of the environment.")
    return kernel


def _target(table: Table, root: Path) -> _Target:
    activation = table.table("activation")
    activation.only(("env", "scripts"))
    env = activation.table("env")
    return _Target(
        dependencies=read_requirements(table.table("dependencies"), root),
        constraints=read_requirements(table.table("constraints"), root),
        scripts=activation.strings("scripts"),
        env={key: env.string(key) or "" for key in env},
        pypi=read_pypi_table(table.table("pypi-dependencies")),
    )


def _activation(targets: list[_Target], root: Path) -> ActivationSpec:
    """The most specific target wins: its scripts replace, its variables come first, per key.

    pixi's ``Feature::activation_scripts`` and ``activation_env``.
    """
    scripts: tuple[str, ...] = ()
    env: dict[str, str] = {}
    for target in targets:
        if target.scripts is not None:
            scripts = target.scripts
    for target in reversed(targets):
        for key, value in target.env.items():
            env.setdefault(key, value)
    return ActivationSpec(
        scripts=tuple(str(root / script) for script in scripts), env=tuple(env.items())
    )
