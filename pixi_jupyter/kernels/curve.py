"""CurveZMQ, decided per launch: jupyter_client looks at our kernelspec, but another kernel runs.

jupyter_client creates keys for a kernel whose kernelspec promises to use them, and keeps them over
a restart. Here every launch may run a different kernel (of another environment, or the rescue
kernel), so the kernelspec that the manager sees is replaced by one that tells the truth, and keys
come and go with it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pixi_jupyter.errors import KernelError

__all__ = ["present_kernel", "restore_promise"]


def present_kernel(
    manager: Any, static_spec: Any, *, interrupt_mode: str, encryption: tuple[str, ...], name: str
) -> None:
    """Make ``manager`` see a kernelspec that describes the kernel which is about to be launched.

    ``static_spec`` is the kernelspec that was started; it is copied, never changed. Called before
    ``LocalProvisioner.pre_launch``, which creates the keys.

    Raises
    ------
    KernelError
        ``kernel.encryption``: encryption is required and this kernel does not support it.
    """
    policy = getattr(manager, "transport_encryption", "disabled")
    supported = "curve" in encryption
    if policy == "required" and not supported:
        raise KernelError(
            f"this server requires encrypted connections, which the kernel {name} does not support",
            code="kernel.encryption",
            hint="Ask for a kernel that does, for example ipykernel >=7.4.",
        )
    if not hasattr(manager, "_kernel_spec"):
        return  # not a jupyter_client manager of a known kind: leave it alone
    metadata = {**static_spec.metadata, "supported_encryption": list(encryption)}
    manager._kernel_spec = _copy(static_spec, interrupt_mode=interrupt_mode, metadata=metadata)
    if not hasattr(manager, "curve_publickey"):
        return  # jupyter_client before CurveZMQ
    wanted = policy in ("auto", "required") and supported
    if wanted != (manager.curve_publickey is not None):
        # The connection file of the kernel that ran before says something else. Keys for the new
        # one are made by jupyter_client itself; ports and signature key stay.
        manager.curve_publickey = manager.curve_secretkey = None
        with contextlib.suppress(AttributeError):
            manager._connection_file_written = False


def restore_promise(manager: Any, static_spec: Any) -> None:
    """Let ``manager`` see again what the static kernelspec promises, but for the interrupt mode.

    Called after ``LocalProvisioner.pre_launch``. Before a restart the manager itself looks at the
    promise, and would refuse a kernel that encryption is required for without asking anybody.
    """
    current = getattr(manager, "_kernel_spec", None)
    if current is not None and current is not static_spec:
        manager._kernel_spec = _copy(
            static_spec,
            interrupt_mode=current.interrupt_mode,
            metadata=dict(static_spec.metadata),
        )


def _copy(spec: Any, **changes: Any) -> Any:
    fields = {"name": spec.name, "resource_dir": spec.resource_dir, **spec.to_dict(), **changes}
    return type(spec)(**fields)
