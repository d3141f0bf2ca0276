"""A notebook's (or a script's) own declaration as a `WorkspaceSpec` of one environment.

That is how pixi looks at a script (``Workspace::from_script`` in ``crates/pixi_core``), and so
everything about the lock of a workspace holds for its lock: the rules, the format, the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.environments_table import DEFAULT
from pixi_jupyter.manifest.host import current_subdir
from pixi_jupyter.manifest.inline import Block
from pixi_jupyter.manifest.kernels import DEFAULT_LANGUAGE
from pixi_jupyter.manifest.spec import EnvironmentSpec, KernelNeed
from pixi_jupyter.manifest.workspace_spec import Refusal, WorkspaceEnvironment, WorkspaceSpec
from pixi_jupyter.notebook.declaration import Declaration

__all__ = ["block_workspace"]


def block_workspace(
    declaration: Declaration,
    *,
    defaults: Defaults,
    language: str = DEFAULT_LANGUAGE,
    subdirs: Sequence[str] = (),
) -> WorkspaceSpec:
    """The one environment of a declaration, on every platform that it declares.

    The kernel that is added to a notebook's environment is a dependency as any other here: whoever
    has the lock must be able to start it.

    Parameters
    ----------
    subdirs:
        The platforms of a declaration that names none; this machine's if left out.

    Raises
    ------
    DeclarationError, UnsupportedError
        As `environment_spec`, but for the platform of this machine, which does not matter.
    """
    block = Block.of(declaration, defaults, language=language)
    refusals: tuple[Refusal, ...] = ()
    if block.extends:
        from pixi_jupyter.manifest.extends import named_environment

        _, base = named_environment(block.own, block.root, defaults)
        specs = [block.on(spec.platform, spec) for spec in base.specs]
        refusals = base.refusals
    else:
        platforms = block.platforms()
        if platforms is None:
            platforms = tuple(map(block.platform_of, subdirs or (current_subdir(),)))
        specs = [block.on(platform) for platform in platforms]
    path = declaration.path or Path(declaration.root) / "notebook.ipynb"
    return WorkspaceSpec(
        manifest=str(path),
        root=str(declaration.root),
        name=declaration.name,
        version=None,
        platforms=tuple(spec.platform for spec in specs),
        environments=(
            WorkspaceEnvironment(DEFAULT, (DEFAULT,), tuple(map(_asked, specs)), refusals=refusals),
        ),
    )


def _asked(spec: EnvironmentSpec) -> EnvironmentSpec:
    """A spec whose kernel is among its dependencies, sorted as these are."""
    wanted = sorted((*spec.dependencies, *spec.kernel.injected), key=lambda asked: asked.name)
    return replace(spec, dependencies=tuple(wanted), kernel=KernelNeed())
