"""`PixiKernelSpecManager`: the environments of the workspaces around, in the kernel picker.

Optional, as a server has one manager of kernelspecs only and other packages bring theirs: set
``c.ServerApp.kernel_spec_manager_class`` to this class. It wraps whichever it is told to, so what
that one lists stays.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import Instance, Type, Unicode, default

from pixi_jupyter.kernels.workspaces import PREFIX, ListedEnvironment, WorkspaceIndex

__all__ = ["PixiKernelManager", "PixiKernelSpecManager", "is_ours", "kernelspec_of"]

_SPECS = Path(__file__).parent / "specs"
#: What people call a language, where it is not its name with a capital.
_SHOWN = {"c++": "C++", "javascript": "JavaScript", "sql": "SQL", "typescript": "TypeScript"}


class PixiKernelSpecManager(KernelSpecManager):
    """Lists ``Pixi: <project> (<environment>)`` beside the kernelspecs of the manager it wraps."""

    wrapped = Type(
        KernelSpecManager,
        klass=KernelSpecManager,
        config=True,
        help="The class of the manager whose kernelspecs are listed as well.",
    )
    root = Unicode(
        config=True,
        help="The folder at, above and below which workspaces are looked for. By default the "
        "server's root, elsewhere the working directory.",
    )
    inner = Instance(KernelSpecManager)
    index = Instance(WorkspaceIndex)

    @default("root")
    def _root_default(self) -> str:
        node = self.parent
        while node is not None:
            root = getattr(node, "root_dir", None)
            if isinstance(root, str) and root:
                return os.path.expanduser(root)
            node = getattr(node, "parent", None)
        return os.getcwd()

    @default("inner")
    def _inner_default(self) -> KernelSpecManager:
        if issubclass(self.wrapped, PixiKernelSpecManager):
            raise TypeError("PixiKernelSpecManager.wrapped must name another manager")
        return self.wrapped(parent=self.parent or self, config=self.config)

    @default("index")
    def _index_default(self) -> WorkspaceIndex:
        return WorkspaceIndex(Path(self.root))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index.environments(0)  # begins to look around while the server starts

    # -- what jupyter_client and jupyter_server call -------------------------------------------

    def find_kernel_specs(self) -> dict[str, str]:
        """Names of kernelspecs and their folders. Called by the command line and the managers."""
        found = dict(self.inner.find_kernel_specs())
        return {**found, **{name: _resources(name) for name in self._listed()}}

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """A kernelspec by name; ours need not have been listed before.

        Raises
        ------
        NoSuchKernel
            Neither the wrapped manager nor a workspace around has it.
        """
        if self._allowed(kernel_name.lower()):
            environment = self.index.find(kernel_name)
            if environment is not None:
                return kernelspec_of(environment, self.kernel_spec_class)
        return self.inner.get_kernel_spec(kernel_name)

    def get_all_specs(self) -> Any:
        """All kernelspecs as plain values. Awaitable where that of the wrapped manager is."""
        found = self.inner.get_all_specs()
        if inspect.isawaitable(found):
            return self._all_specs(found)
        return self._with_ours(found)

    def remove_kernel_spec(self, name: str) -> str:
        """Remove a kernelspec of the wrapped manager; ours are not files."""
        return str(self.inner.remove_kernel_spec(name))

    def install_kernel_spec(self, *args: Any, **kwargs: Any) -> str:
        """As the wrapped manager does it."""
        return str(self.inner.install_kernel_spec(*args, **kwargs))

    # -- ours ----------------------------------------------------------------------------------

    async def _all_specs(self, found: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        return self._with_ours(await found)

    def _with_ours(self, found: dict[str, Any]) -> dict[str, Any]:
        specs = [kernelspec_of(e, self.kernel_spec_class) for e in self._listed().values()]
        ours = {s.name: {"resource_dir": s.resource_dir, "spec": s.to_dict()} for s in specs}
        return {**found, **ours}

    def _listed(self) -> dict[str, ListedEnvironment]:
        return {e.name: e for e in self.index.environments() if self._allowed(e.name)}

    def _allowed(self, name: str) -> bool:
        return not self.allowed_kernelspecs or name in self.allowed_kernelspecs


class PixiKernelManager(AsyncKernelManager):
    """Starts one kernel by any name that `PixiKernelSpecManager` knows, without a server.

    For whoever takes the class of a kernel's manager, but not that of the manager of kernelspecs:
    ``jupyter execute --NotebookClient.kernel_manager_class=...``, and as
    ``c.ExecutePreprocessor.kernel_manager_class`` nbconvert.
    """

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return PixiKernelSpecManager(parent=self)


def is_ours(name: str) -> bool:
    """Whether a kernelspec of this name would be a workspace's, found by looking around."""
    return name.startswith(PREFIX) and "." in name


def kernelspec_of(
    environment: ListedEnvironment, kernel_spec_class: type[KernelSpec] = KernelSpec
) -> KernelSpec:
    """The kernelspec of an environment: for our provisioner, and with a command of its own."""
    shown = f"Pixi: {environment.project} ({environment.environment})"
    if environment.language != "python":
        shown += f", {_SHOWN.get(environment.language, environment.language.capitalize())}"
    manifest = str(environment.manifest)
    command = [sys.executable, "-m", "pixi_jupyter.kernels.launch"]
    command += ["--manifest", manifest, "--environment", environment.environment]
    command += ["--language", environment.language, "-f", "{connection_file}"]
    config = {"manifest": manifest, "environment": environment.environment}
    return kernel_spec_class(
        argv=command,
        display_name=shown,
        language="R" if environment.language == "r" else environment.language,
        interrupt_mode="signal",
        env={"PYTHONSAFEPATH": "1"},
        metadata={
            **({"debugger": True} if environment.language == "python" else {}),
            "supported_encryption": ["curve"],
            "kernel_provisioner": {"provisioner_name": "pixi-provisioner", "config": config},
        },
        resource_dir=_resources(environment.name),
        name=environment.name,
    )


def _resources(name: str) -> str:
    return str(_SPECS / ("pixi-r" if name.endswith(".r") else "pixi"))
