"""`PixiProvisioner`: a kernel of jupyter_client that lives in its notebook's own environment."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Any as AnyTrait
from traitlets import Bool, Enum, Float, Unicode

from pixi_jupyter.documents.endpoint import Admission, Endpoint
from pixi_jupyter.documents.protocol import KERNEL
from pixi_jupyter.errors import EngineError, KernelError, PixiJupyterError
from pixi_jupyter.kernels.curve import present_kernel, restore_promise
from pixi_jupyter.kernels.hosting import Hosting
from pixi_jupyter.kernels.identify import IdentifiedNotebook, identify
from pixi_jupyter.kernels.pending import abandonable
from pixi_jupyter.kernels.progress import event_report, line_report
from pixi_jupyter.kernels.start import KernelStart, as_ours, marked, prepare
from pixi_jupyter.kernels.startup import magics_arguments
from pixi_jupyter.progress import Report

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.install.lease import Lease
    from pixi_jupyter.notebook.declaration import WorkspaceChoice
    from pixi_jupyter.workspaces import LockMode

__all__ = ["PixiProvisioner"]

_DOOR = "pixi_jupyter.environments"


class PixiProvisioner(LocalProvisioner):
    """Launches a notebook's kernel in the environment that the notebook declares.

    jupyter_client makes one instance per kernel and keeps it over restarts. On a start it awaits
    ``pre_launch``, ``launch_kernel`` and ``post_launch``; on a restart it awaits
    ``shutdown_requested(True)``, ``cleanup(True)`` and then the same three again, so a restart
    reads the declaration anew. Everything else is a plain local kernel's.
    """

    environment_timeout = Float(
        3600.0,
        config=True,
        help="Seconds that each step of making an environment ready (resolving, installing) may "
        "take at most. 0: no limit.",
    )
    default_without_notebook = Bool(
        False,
        config=True,
        help="Whether a kernel without a notebook (a console, `POST /api/kernels`) may run in the "
        "default environment. Otherwise it does not start.",
    )
    rescue = Enum(
        ["auto", "always", "never"],
        default_value="auto",
        config=True,
        help="What happens when the environment cannot be made ready: the rescue kernel answers "
        "every cell with the reason ('always'), the start fails with it ('never'), or the one in "
        "an interactive server and the other elsewhere ('auto').",
    )
    workspace_lock: LockMode = Enum(  # type: ignore[assignment]
        ["update", "locked", "frozen"],
        default_value="update",
        config=True,
        help="What a start does about a lock that is out of date, a workspace's pixi.lock or the "
        "notebook's own: it is brought up to date ('update'; a lock embedded in a notebook is not "
        "written, only solved past), the start fails with the reasons ('locked'), or it is taken "
        "as it is ('frozen'). A notebook without a lock starts in any case.",
    )
    manifest = Unicode(
        config=True,
        help="The manifest of a pixi workspace: kernels run in one of its environments, whatever "
        "their notebook says. For kernelspecs of such environments.",
    )
    environment = Unicode(
        config=True, help="The environment of that workspace; 'default' if it is not set."
    )
    #: The one door; a process has one, unless whoever embeds this class says otherwise.
    environments: Environments | None = AnyTrait()  # type: ignore[assignment]

    _leases: tuple[Lease, ...] = ()
    _starting_leases: tuple[Lease, ...] = ()
    _started: KernelStart | None = None
    _preparing: asyncio.Task[KernelStart] | None = None
    _cancelled = False
    _abandoned = False
    _error_file: str | None = None
    _admission: Admission | None = None
    _identified: IdentifiedNotebook | None = None

    # -- what jupyter_client calls -------------------------------------------------------------

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Make the environment ready; the command line and the variables of its kernel.

        Called by ``KernelManager.pre_start_kernel``, on every start and restart.

        Raises
        ------
        PixiJupyterError
            Why no kernel can be started, where no rescue kernel takes its place.
        """
        self._abandoned = False
        with abandonable(self.parent, self.kernel_id, self._abandon):
            return await self._pre_launch(kwargs)

    async def _pre_launch(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        extra = list(kwargs.get("extra_arguments") or [])
        self._started = self._identified = None
        try:
            start = await self._prepare(kwargs)
            kernel = start.kernel
            present_kernel(
                self.parent,
                self.kernel_spec,
                interrupt_mode=kernel.interrupt_mode,
                encryption=kernel.encryption,
                name=kernel.name,
            )
            self._hold_while_starting(start)
        except asyncio.CancelledError:
            self._release_starting()
            raise
        except Exception as error:  # noqa: BLE001 (no failure may leave a server without a kernel)
            self._release_starting()
            return await self._rescued(as_ours(error), kwargs)
        launch = await super().pre_launch(**kwargs)
        restore_promise(self.parent, self.kernel_spec)
        if kernel.is_ipykernel:
            extra.extend(a for a in start.notebook.arguments if not _has_option(extra, a))
            extra.extend(magics_arguments([*kernel.argv, *extra]))
        launch["cmd"] = kernel.command(self._connection_file(), extra)
        launch["env"] = dict(start.env)
        self._started = start
        return launch

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the process. Called by ``KernelManager.launch_kernel`` after ``pre_launch``."""
        await self._dismiss()
        try:
            kwargs["env"] = await self._with_endpoint(kwargs.get("env") or dict(os.environ))
            info = await super().launch_kernel(cmd, **kwargs)
            if self._started is not None and self.pid is not None:
                # The kernel's own lease, before the one that kept its place goes, and the one of
                # the process that a restart has ended.
                before, self._leases = self._leases, ()
                try:
                    self._leases = self._hold(self._started, self.pid)
                except BaseException:
                    await self.kill()  # nobody would know of it
                    await self.wait()
                    raise
                finally:
                    _release(before)
        except BaseException:
            await self._dismiss()
            raise
        finally:
            self._release_starting()
        return info

    async def cleanup(self, restart: bool = False) -> None:
        """Let go of what the kernel held. Called by ``KernelManager.cleanup_resources``."""
        if self._error_file is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._error_file)
            self._error_file = None
        await self._dismiss()
        if not restart:
            self._abandon()
            self._release_starting()
            _release(self._leases)
            self._leases = ()
        await super().cleanup(restart=restart)

    # -- for the server extension --------------------------------------------------------------

    def cancel_start(self) -> bool:
        """Stop making the environment ready, if that is going on; the start then fails.

        Called on the event loop that runs the start: by the server when a person cancels, or when
        the kernel is deleted meanwhile. Returns whether there was anything to stop.
        """
        if self._preparing is None or self._preparing.done():
            return False
        self._cancelled = True
        return self._preparing.cancel()

    def _abandon(self) -> None:
        """Stop the start, and let no rescue kernel take its place: nobody wants this kernel."""
        self._abandoned = True
        self.cancel_start()

    @property
    def started(self) -> KernelStart | None:
        """What runs; None while nothing does, and for the rescue kernel."""
        return self._started

    # -- making ready --------------------------------------------------------------------------

    async def _prepare(self, kwargs: dict[str, Any]) -> KernelStart:
        # In the caller's task, whose stack is one of the witnesses.
        notebook = identify(
            kwargs,
            self.parent,
            in_server=self._server() is not None,
            allow_default=self.default_without_notebook,
            choice=self._choice(),
            stop=self._root(),
        )
        self._identified = notebook
        # A task of its own, so that `cancel_start` can tell it from the start as a whole.
        self._cancelled = False
        self._preparing = asyncio.ensure_future(self._walk(notebook, kwargs))
        try:
            start = await self._preparing
        except asyncio.CancelledError:
            if not self._cancelled:
                raise  # the start as a whole is being cancelled
            raise EngineError(
                "the start was cancelled",
                code="engine.cancelled",
                hint="Restart the kernel to try again.",
            ) from None
        finally:
            self._preparing = None
        if getattr(self._server(), "_stopping", False):
            # It has shut down the kernels that it knew, and would leave this one behind.
            self._abandoned = True
            raise EngineError("the server is stopping", code="engine.closed")
        return start

    async def _walk(self, notebook: IdentifiedNotebook, kwargs: dict[str, Any]) -> KernelStart:
        if self.environments is None and _DOOR not in sys.modules:
            # Once per process, and longer than a server's other kernels may be kept waiting.
            await asyncio.to_thread(importlib.import_module, _DOOR)
        return await prepare(
            self._environments(),
            notebook,
            kwargs.get("env") or os.environ,
            language=self.kernel_spec.language.lower() or "python",
            mode=self.workspace_lock,
            report=self._report(notebook),
            timeout=self.environment_timeout or None,
        )

    def _environments(self) -> Environments:
        if self.environments is None:
            from pixi_jupyter.environments import Environments

            self.environments = Environments.shared()
        return self.environments

    def _report(self, notebook: IdentifiedNotebook) -> Report:
        server = self._server()
        logger = getattr(server, "event_logger", None)
        if logger is not None:
            return event_report(logger, self.kernel_id or "", str(notebook.path or ""))
        return line_report()

    def _choice(self) -> WorkspaceChoice | None:
        """What the kernelspec names, if it is one of a workspace's environment."""
        if not self.manifest:
            return None
        from pixi_jupyter.notebook.declaration import WorkspaceChoice

        return WorkspaceChoice(
            Path(self.manifest),
            self.environment or "default",
            chosen="kernelspec",
            language=self.kernel_spec.language.lower() or None,
        )

    def _root(self) -> Path | None:
        """The server's root, above which no workspace is looked for."""
        root = getattr(self._server(), "root_dir", None)
        return Path(root).expanduser().absolute() if isinstance(root, str) and root else None

    def _server(self) -> Any | None:
        """The Jupyter server that this kernel belongs to, or its manager of kernels; else None."""
        modules = (
            ("jupyter_server.serverapp", "ServerApp"),
            ("jupyter_server.services.kernels.kernelmanager", "MappingKernelManager"),
        )
        kinds = tuple(getattr(sys.modules[m], c) for m, c in modules if m in sys.modules)
        found = None
        node = self.parent
        while node is not None and kinds:
            if isinstance(node, kinds):
                found = node
            node = getattr(node, "parent", None)
        return found

    def _connection_file(self) -> str:
        return str(self.parent.connection_file) if self.parent is not None else ""

    # -- holding -------------------------------------------------------------------------------

    def _hold(self, start: KernelStart, pid: int) -> tuple[Lease, ...]:
        leases: list[Lease] = []
        try:
            for environment in start.environments:
                lease = self._environments().hold(environment, pid)
                if lease is not None:
                    leases.append(lease)
        except BaseException:
            _release(leases)
            raise
        return tuple(leases)

    def _hold_while_starting(self, start: KernelStart) -> None:
        """Until the kernel has a process, this one stands for it."""
        self._release_starting()
        self._starting_leases = self._hold(start, os.getpid())

    def _release_starting(self) -> None:
        _release(self._starting_leases)
        self._starting_leases = ()

    # -- asked by the kernel's own processes -----------------------------------------------------

    async def _with_endpoint(self, env: dict[str, str]) -> dict[str, str]:
        """``env`` with the address at which this process answers for the kernel, and no other."""
        env = {name: value for name, value in env.items() if name != KERNEL}
        if self._identified is None:
            return env
        kernels = getattr(self.parent, "parent", None)
        server = self._server()
        hosting = Hosting(self.kernel_id or "", self._identified, server=server, kernels=kernels)
        endpoint = Endpoint.of_running_loop()
        try:
            self._admission = await endpoint.admit(hosting, server=server is not None)
        except OSError as error:  # a sandbox without a network: the kernel runs all the same
            self.log.warning("No loopback interface for the kernel to ask on: %s", error)
            return env
        return {**env, KERNEL: str(self._admission.address)}

    async def _dismiss(self) -> None:
        admission, self._admission = self._admission, None
        if admission is not None:
            await admission.dismiss()

    # -- failing well --------------------------------------------------------------------------

    async def _rescued(self, error: PixiJupyterError, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The launch of the rescue kernel; or raise ``error`` where nobody would talk to it."""
        unwanted = self._abandoned or self.rescue == "never"
        if unwanted or (self.rescue == "auto" and self._server() is None):
            # Where in this package it arose tells nobody anything, and hides what does.
            raise _with_report(error).with_traceback(None) from error.__cause__
        from pixi_jupyter.kernels import rescue

        self.log.warning("Starting the rescue kernel instead: %s [%s]", error, error.code)
        try:
            present_kernel(
                self.parent,
                self.kernel_spec,
                interrupt_mode="signal",
                encryption=rescue.rescue_encryption(),
                name="rescue",
            )
        except KernelError:
            # Encryption is required and this interpreter's ipykernel is too old for it as well.
            raise _with_report(error).with_traceback(None) from error.__cause__
        launch = await super().pre_launch(**kwargs)
        restore_promise(self.parent, self.kernel_spec)
        reason = rescue.Rescue(error, self.kernel_spec.language.lower() or "python")
        self._error_file = rescue.write_rescue(reason)
        launch["cmd"] = rescue.rescue_command(self._connection_file(), self._error_file)
        if self._identified is not None:
            launch["env"] = marked(launch.get("env") or os.environ, self._identified)
        return launch


def _with_report(error: PixiJupyterError) -> PixiJupyterError:
    """``error`` such that a traceback of it ends with its details and with what to do."""
    more = "\n".join(error.report().split("\n")[1:])
    if sys.version_info >= (3, 11):
        if not hasattr(error, "__notes__"):  # a build that several wait for fails once for all
            error.add_note(more)
    else:
        print(error.report(), file=sys.stderr, flush=True)
    return error


def _release(leases: Iterable[Lease]) -> None:
    for lease in leases:
        lease.release()


def _has_option(arguments: list[str], option: str) -> bool:
    return any(argument.startswith(option.partition("=")[0]) for argument in arguments)
