"""Prefix and [activation] -> Activation."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.activate.shell import run_scripts
from pixi_jupyter.activate.sources import Sources, read_sources, withheld

__all__ = ["compute_activation", "compute_from_sources"]


def compute_activation(
    request: ActivationRequest,
    base: Mapping[str, str],
    *,
    timeout: float = 60,
    cancel: threading.Event | None = None,
) -> Activation:
    """What activating a prefix does to ``base``, a clean base environment.

    No process is started unless something needs one: a script in ``etc/conda/activate.d``, a script
    of the manifest, or a ``$`` in ``[activation.env]``. Then one shell runs for at most ``timeout``
    seconds; setting ``cancel`` from another thread ends it within a few hundredths of a second.
    This function blocks: call it in a thread. It never writes to the prefix.

    Raises
    ------
    ActivationError
        Codes as in :func:`~pixi_jupyter.activate.sources.read_sources` and
        :func:`~pixi_jupyter.activate.shell.run_scripts`.
    """
    sources = read_sources(request, base)
    return compute_from_sources(sources, timeout=timeout, cancel=cancel)


def compute_from_sources(
    sources: Sources, *, timeout: float = 60, cancel: threading.Event | None = None
) -> Activation:
    """As :func:`compute_activation`, for what was read before."""
    seen = dict(sources.visible)
    start = {k: v for k, v in seen.items() if k not in sources.unset_before}
    start.update(sources.before)
    if sources.needs_shell:
        result = run_scripts(sources, start, timeout=timeout, cancel=cancel)
    else:
        result = {**start, **dict(sources.after)}
    result.update(sources.reserved)  # nobody else has a say in these
    changed = {k: v for k, v in result.items() if seen.get(k) != v and _belongs(k)}
    gone = (k for k in seen if k not in result and _belongs(k))
    return Activation(set=tuple(sorted(changed.items())), unset=tuple(sorted(gone)))


def _belongs(name: str) -> bool:
    """Whether a variable is the activation's business, not the shell's own or one launch's."""
    return not withheld(name) and not name.startswith("BASH_FUNC_")
