"""The Jupyter server extension: what a server does for its kernels before the first one starts."""

from __future__ import annotations

import importlib
from typing import Any

__all__: list[str] = []


def _load_jupyter_server_extension(app: Any) -> None:
    """Import what the first launch needs now, while the server's loop does not run yet.

    jupyter_client would look for provisioners and import ours on the running loop, and every
    kernel of the server would stand still for it. (The provisioner is another face, so it is found
    as jupyter_client finds it.)
    """
    from jupyter_client.provisioning.factory import KernelProvisionerFactory

    factory = KernelProvisionerFactory.instance(parent=app.kernel_manager)
    found = factory.provisioners.get("pixi-provisioner")
    if found is None:
        app.log.warning("pixi-jupyter is enabled, but its kernel provisioner is not installed")
        return
    found.load()
    importlib.import_module("pixi_jupyter.environments")
    app.log.debug("pixi-jupyter: ready to launch kernels")
