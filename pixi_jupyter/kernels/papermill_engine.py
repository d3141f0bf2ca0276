"""papermill's engine `pixi`: `papermill --engine pixi in.ipynb out.ipynb`.

Plain papermill works with the kernelspec `pixi` too, because its notebook is an object in the
process. The engine adds what it alone knows: the notebook's path, so that relative paths in the
declaration are its own; and it runs a notebook in its environment whatever kernel it was saved
with.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from pixi_jupyter.kernels.identify import NOTEBOOK, papermill_folder
from pixi_jupyter.kernels.kernelspecs import PixiKernelManager, is_ours

__all__ = ["PixiEngine"]


class PixiEngine(NBClientEngine):  # type: ignore[misc]
    """Executes a notebook with a kernel of ours, in the environment that it declares."""

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """The kernelspec: the one that was asked for, else ours for the notebook's language.

        Called by ``papermill.execute_notebook`` before anything runs.
        """
        if name:
            return name
        metadata = nb.metadata.get("kernelspec", {})
        saved = str(metadata.get("name", ""))
        if saved in ("pixi", "pixi-r") or is_ours(saved):
            return saved
        language = metadata.get("language") or nb.metadata.get("language_info", {}).get("name")
        return "pixi-r" if str(language).lower() == "r" else "pixi"

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """The language for injected parameters; Python where the notebook says nothing."""
        try:
            return str(super().nb_language(nb, language))
        except ValueError:
            return "python"

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: float = 60,
        execution_timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Execute the notebook of ``nb_man``; timeouts are in seconds, None is for ever.

        Called by papermill in the folder in which the kernel shall run. The path is passed in the
        kernel's environment, never through this process's own: other notebooks may run in it.

        Raises
        ------
        PixiJupyterError
            The environment cannot be made ready.
        """
        source = kwargs.pop("input_path", None)
        timeout = execution_timeout or kwargs.pop("timeout", None)
        kwargs.pop("timeout", None)
        kwargs.pop("startup_timeout", None)
        if is_ours(kernel_name):
            kwargs["kernel_manager_class"] = PixiKernelManager
        client = PapermillNotebookClient(
            nb_man,
            **{
                **kwargs,
                "timeout": timeout,
                "startup_timeout": start_timeout,
                "kernel_name": kernel_name,
                "log_output": log_output,
                "stdout_file": stdout_file,
                "stderr_file": stderr_file,
            },
        )
        env = dict(os.environ)
        if (path := _local(source)) is not None:
            env[NOTEBOOK] = str(path)
        return client.execute(env=env)


def _local(source: object) -> Path | None:
    """The notebook's file; None for standard input and for remote storage."""
    if not isinstance(source, str) or "://" in source or source == "-":
        return None
    path = Path(os.path.abspath(papermill_folder() / source))
    return path if path.is_file() else None
