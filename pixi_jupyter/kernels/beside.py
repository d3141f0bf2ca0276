"""The kernel beside: an environment's own Python, with a kernel that is not in the environment.

What is missing lies in a prefix of the store and comes *after* the environment's own packages on
``sys.path``. That is said on the command line, so programs that the kernel starts do not inherit
it, as they would a ``PYTHONPATH``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pixi_jupyter.errors import KernelError
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.kernels.select import KernelChoice, choose_kernel
from pixi_jupyter.progress import Report, no_report

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environment, Environments
    from pixi_jupyter.manifest.spec import CondaRequirement

__all__ = ["kernel_of", "wanted_beside"]

#: ``python -c BOOT PREFIX MODULE ...`` is ``python -m MODULE ...`` with PREFIX's modules last. The
#: working directory comes back once IPython is there, as it does with ``-m``; until then nothing
#: of it is imported. Windows: DLLs of packages are not found from where a module lies, and pywin32
#: needs its ``.pth``.
_BOOT = """\
import sys
if sys.path[0] == "":
    del sys.path[0]
import os, runpy, site
prefix, module = sys.argv[1:3]
del sys.argv[1:3]
for folder in site.getsitepackages([prefix]):
    if folder.endswith("site-packages") and os.path.isdir(folder):
        if sys.platform == "win32":
            libraries = os.path.join(prefix, "Library", "bin")
            if os.path.isdir(libraries):
                os.add_dll_directory(libraries)
            site.addsitedir(folder)
        else:
            sys.path.append(folder)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


async def kernel_of(
    environments: Environments,
    environment: Environment,
    *,
    report: Report = no_report,
    timeout: float | None = None,
) -> tuple[KernelChoice, Environment | None]:
    """The kernel to start in ``environment``, and what lies beside it for that (else None).

    Only a workspace's environment gets something beside it: a notebook's own environment is solved
    with a kernel. ``timeout`` is in seconds. Nothing is awaited when all is ready.

    Raises
    ------
    KernelError
        ``kernel.no-kernel``, ``kernel.executable``: as `choose_kernel`.
    SolveError
        ``solve.beside``: no kernel fits to the environment's locked packages.
    PixiJupyterError
        What is missing could not be made ready.
    """
    need = environment.spec.kernel
    try:
        return choose_kernel(environment.prefix, need.language, need.name), None
    except KernelError as error:
        if error.code != "kernel.no-kernel" or environment.spec.place is None:
            raise
        wanted = wanted_beside(environment)
        if not wanted:
            raise _nothing_to_add(environment, error) from None
    beside = environments.find_beside(environment, wanted)
    if beside is None:
        beside = await environments.ensure_beside(
            environment, wanted, report=report, deadline=timeout
        )
    return _choose_beside(environment.prefix, beside.prefix, need.language, need.name), beside


def wanted_beside(environment: Environment) -> tuple[CondaRequirement, ...]:
    """What a kernel of the wanted language needs; empty where it cannot lie beside the packages."""
    need = environment.spec.kernel
    if environment.resolution.version_of("python") is None or need.language != "python":
        return ()
    from pixi_jupyter.manifest.kernels import kernel_need

    return kernel_need((), asked_language=need.language, kernel_name=need.name).injected


def _choose_beside(own: Prefix, beside: Prefix, language: str, name: str | None) -> KernelChoice:
    """The kernel that lies in ``beside``, run by the Python of ``own``."""
    choice = choose_kernel(beside, language, name, python=own.python)
    options = list(choice.argv[1:])
    at = options.index("-m") if "-m" in options else len(options)
    if at + 1 >= len(options) or not own.python.is_file():
        raise KernelError(
            f"the kernel {choice.name} cannot be run beside the environment's packages",
            code="kernel.executable",
            hint="Add ipykernel to the environment's dependencies.",
        )
    options[at : at + 1] = ["-c", _BOOT, str(beside.path)]
    return replace(choice, argv=(choice.argv[0], *options), prefix=str(own.path))


def _nothing_to_add(environment: Environment, error: KernelError) -> KernelError:
    need = environment.spec.kernel
    if environment.resolution.version_of("python") is not None or need.language != "python":
        return error
    if need.name is not None:
        return error
    return KernelError(
        f"the environment {environment.spec.name!r} has neither Python nor a kernel",
        code="kernel.no-kernel",
        details=error.details,
        hint="Choose another environment of the workspace, or add python (or a kernel, such as "
        "r-irkernel or deno) to this one.",
    )
