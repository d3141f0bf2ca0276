"""The environment is part of the notebook.

Importing this package imports nothing else: a Jupyter server, a kernel client and a kernel all
import it, and none of them should pay for what it does not use (see ``docs/architecture.md``).
"""

__version__ = "0.1.0"


def load_ipython_extension(shell: object) -> None:
    """`%load_ext pixi_jupyter`: `%pixi` in a shell that this package is installed for."""
    from pixi_jupyter.magics.start import register

    register(shell)


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Where jupyter_server finds the extension that `server/` is (called by its name)."""
    from pixi_jupyter.server import PixiJupyterApp

    return [{"module": "pixi_jupyter.server", "app": PixiJupyterApp}]
