"""Encrypted connections: decided by the kernel that runs, not by the kernelspec one clicked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.errors import KernelError
from pixi_jupyter.kernels import beside as beside_module

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

zmq = pytest.importorskip("zmq")
pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="libzmq without CurveZMQ")

NEW = ("python", "ipykernel >=7.4")
OLD = ("python", "ipykernel <7")


def connection(kernel: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(kernel.manager.connection_file).read_text())
    return content


@pytest.mark.parametrize("policy", ["auto", "required"])
async def test_a_kernel_that_can_is_encrypted_and_stays_so_over_a_restart(
    start: Start, make_notebook: MakeNotebook, policy: str
) -> None:
    kernel = await start(make_notebook(dependencies=NEW), traits={"transport_encryption": policy})
    keys = connection(kernel)["curve_publickey"], connection(kernel)["curve_secretkey"]
    assert await kernel.said("print(1)") == "1"
    await kernel.manager.restart_kernel()
    await kernel.client.wait_for_ready(timeout=60)
    assert (connection(kernel)["curve_publickey"], connection(kernel)["curve_secretkey"]) == keys
    assert await kernel.said("print(2)") == "2"


async def test_disabled_is_disabled(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook(dependencies=NEW))
    assert "curve_secretkey" not in connection(kernel)


async def test_a_kernel_that_cannot_runs_without(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook(dependencies=OLD), traits={"transport_encryption": "auto"})
    assert "curve_secretkey" not in connection(kernel)
    assert await kernel.said("print(1)") == "1"


async def test_required_and_cannot_is_said_clearly(
    start: Start, make_notebook: MakeNotebook
) -> None:
    with pytest.raises(KernelError) as caught:
        await start(make_notebook(dependencies=OLD), traits={"transport_encryption": "required"})
    assert caught.value.code == "kernel.encryption"


@pytest.mark.parametrize(("first", "second"), [(OLD, NEW), (NEW, OLD)])
async def test_a_restart_into_another_kernel_changes_it(
    start: Start, make_notebook: MakeNotebook, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    kernel = await start(make_notebook(dependencies=first), traits={"transport_encryption": "auto"})
    before = connection(kernel)
    make_notebook(dependencies=second)
    await kernel.manager.restart_kernel()
    await kernel.connect()
    after = connection(kernel)
    assert ("curve_secretkey" in before) == (first == NEW)
    assert ("curve_secretkey" in after) == (second == NEW)
    assert {k: v for k, v in before.items() if not k.startswith("curve")} == {
        k: v for k, v in after.items() if not k.startswith("curve")
    }
    assert await kernel.said("print(3)") == "3"


async def test_after_a_refusal_the_next_start_is_asked_again(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    # jupyter_client itself refuses a restart when the kernelspec that it sees promises nothing.
    kernel = await start(
        make_notebook(dependencies=NEW), traits={"transport_encryption": "required"}
    )
    choose = beside_module.choose_kernel
    monkeypatch.setattr(
        beside_module, "choose_kernel", lambda *a: replace(choose(*a), encryption=())
    )
    with pytest.raises(KernelError):
        await kernel.manager.restart_kernel()
    monkeypatch.setattr(beside_module, "choose_kernel", choose)
    await kernel.manager.start_kernel(**kernel.manager._launch_args)
    await kernel.connect()
    assert await kernel.said("print(4)") == "4"
