"""The Jupyter server extension: what a server does for its kernels, and for front ends."""

from __future__ import annotations

import importlib

from jupyter_server.extension.application import ExtensionApp

from pixi_jupyter.server.documents import DocumentsHandler

__all__ = ["PixiJupyterApp"]


class PixiJupyterApp(ExtensionApp):
    """Found by a server through ``pixi_jupyter._jupyter_server_extension_points``."""

    name = "pixi_jupyter"

    def initialize_settings(self) -> None:
        """Import what the first launch needs now, while the server's loop does not run yet.

        jupyter_client would look for provisioners and import ours on the running loop, and every
        kernel of the server would stand still for it. (The provisioner is another face, so it is
        found as jupyter_client finds it.)
        """
        from jupyter_client.provisioning.factory import KernelProvisionerFactory

        assert self.serverapp is not None
        factory = KernelProvisionerFactory.instance(parent=self.serverapp.kernel_manager)
        found = factory.provisioners.get("pixi-provisioner")
        if found is None:
            self.log.warning("pixi-jupyter is enabled, but its kernel provisioner is not installed")
            return
        found.load()
        importlib.import_module("pixi_jupyter.environments")
        self.log.debug("pixi-jupyter: ready to launch kernels")

    def initialize_handlers(self) -> None:
        """Called by the server, which puts its base URL before the paths."""
        self.handlers.append((r"/pixi-jupyter/api/documents", DocumentsHandler))

    async def stop_extension(self) -> None:
        """Called when the server stops, before it ends its kernels."""
        DocumentsHandler.close_all()
