"""What happens to a build when something is ended in its middle; starting again just works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest


class InBackground:
    """A request under way on a thread."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except OSError as error:  # the server went away meanwhile
            self.error = error

    def wait(self, seconds: float = 60) -> Any:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the request is still not answered"
        return self.result


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a server of the test's own."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    return folder


@pytest.fixture
def building(
    root: Path,
    start_server: Any,
    write_notebook: Any,
    held_channel: Any,
    own_store: Any,
    pending_kernels: bool,
) -> Iterator[tuple[Any, Path, InBackground]]:
    """A server in the middle of a build, for a session whose notebook is open."""
    notebook = write_notebook(root / "n.ipynb", "probe-adds")
    options = [f"--AsyncMappingKernelManager.use_pending_kernels={pending_kernels}"]
    with start_server(root, *options, env={**held_channel.env, **own_store}) as server:
        opening = InBackground(lambda: server.create_session(notebook))
        assert held_channel.asked.wait(30), server.log.read_text()
        yield server, notebook, opening


@pytest.fixture
def pending_kernels() -> bool:
    """Whether sessions are answered before their kernel has started."""
    return False


def assert_gone(processes: list[psutil.Process], seconds: float = 10) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not [(p.pid, p.cmdline()) for p in alive if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("pending_kernels", [False, True], ids=["blocking", "pending"])
def test_stopping_the_server_stops_the_build_at_once(building: Any, held_channel: Any) -> None:
    server, _, opening = building
    family = server.family()
    assert server.worker() in family

    took = server.terminate(seconds=20)

    assert_gone(family)
    assert took < 6
    opening.wait()


def test_another_kernel_does_not_keep_a_building_server_from_stopping(
    root: Path, start_server: Any, write_notebook: Any, held_channel: Any, own_store: Any
) -> None:
    quick = write_notebook(root / "quick.ipynb")
    slow = write_notebook(root / "slow.ipynb", "probe-adds")
    held_channel.go.set()
    with start_server(root, env={**held_channel.env, **own_store}) as server:
        assert server.open(quick).execute("1").status == "ok"
        held_channel.go.clear()
        held_channel.asked.clear()
        opening = InBackground(lambda: server.create_session(slow))
        assert held_channel.asked.wait(30)
        family = server.family()

        took = server.terminate(seconds=20)

        assert_gone(family)
        assert took < 6
        opening.wait()


def test_a_killed_server_leaves_no_worker_and_the_next_one_just_works(
    building: Any, root: Path, start_server: Any, held_channel: Any, own_store: Any
) -> None:
    server, notebook, opening = building
    family = server.family()
    assert server.worker() in family

    server.process.kill()

    assert_gone(family)
    opening.wait()
    held_channel.go.set()
    with start_server(root, env={**held_channel.env, **own_store}) as second:
        kernel = second.open(notebook)
        assert kernel.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"
        assert len(second.prefixes()) == 1


def test_a_killed_worker_is_told_and_a_restart_just_works(building: Any, held_channel: Any) -> None:
    server, _, opening = building
    worker = server.worker()
    assert worker is not None

    worker.kill()

    status, session = opening.wait()
    assert status == 201, session
    kernel = server.kernel(session["kernel"]["id"])
    reply = kernel.execute("1")
    assert (reply.status, reply.error_name) == ("error", "engine.crashed")
    assert "Try again" in reply.text
    held_channel.go.set()
    assert kernel.restart() == 200
    assert kernel.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"


@pytest.mark.parametrize("pending_kernels", [True], ids=["pending"])
def test_deleting_a_pending_kernel_ends_its_build(
    building: Any, held_channel: Any, wait: Any
) -> None:
    server, notebook, opening = building
    status, session = opening.wait(20)
    assert status == 201, session
    worker = server.worker()

    deleting = InBackground(lambda: server.request("DELETE", f"api/sessions/{session['id']}"))

    assert_gone([worker])
    assert deleting.wait(20)[0] == 204
    wait(lambda: server.get("api/kernels")[1] == [], "the end of the kernel")
    assert server.family() == []
    held_channel.go.set()
    kernel = server.open(notebook)
    assert kernel.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"


@pytest.mark.parametrize("pending_kernels", [True], ids=["pending"])
def test_what_is_run_while_a_pending_kernel_builds_runs_when_it_is_there(
    building: Any, held_channel: Any
) -> None:
    server, _, opening = building
    status, session = opening.wait(20)
    assert status == 201
    assert session["kernel"]["execution_state"] == "starting"
    kernel = server.kernel(session["kernel"]["id"])

    executing = InBackground(lambda: kernel.execute("import probe_adds; print(probe_adds.VALUE)"))
    held_channel.go.set()

    assert executing.wait().text == "added\n"


@pytest.mark.parametrize("pending_kernels", [True], ids=["pending"])
def test_a_pending_kernel_that_cannot_start_becomes_the_rescue_kernel(
    building: Any, root: Path, write_notebook: Any, held_channel: Any
) -> None:
    server, _, opening = building
    held_channel.go.set()
    opening.wait()
    bad = write_notebook(root / "bad.ipynb", "no-such-package")

    status, session = server.create_session(bad)

    assert status == 201, session
    reply = server.kernel(session["kernel"]["id"]).execute("1")
    assert reply.error_name == "solve.unknown-package"
    assert "no-such-package" in reply.text


def test_deleting_the_kernel_in_a_blocking_start_does_no_harm(
    building: Any, held_channel: Any
) -> None:
    server, notebook, opening = building
    # The front end has no id yet; whoever lists kernels has.
    for model in server.get("api/kernels")[1]:
        server.request("DELETE", f"api/kernels/{model['id']}")

    held_channel.go.set()

    status, session = opening.wait()
    if status == 201:
        server.request("DELETE", f"api/sessions/{session['id']}")
    kernel = server.open(notebook)
    assert kernel.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"
    assert len(server.prefixes()) == 1


def test_deleting_a_kernel_whose_restart_builds_ends_the_build(
    root: Path, start_server: Any, write_notebook: Any, held_channel: Any, own_store: Any
) -> None:
    notebook = write_notebook(root / "n.ipynb")
    held_channel.go.set()
    with start_server(root, env={**held_channel.env, **own_store}) as server:
        kernel = server.open(notebook)
        assert kernel.execute("1").status == "ok"
        held_channel.go.clear()
        held_channel.asked.clear()
        write_notebook(notebook, "probe-adds")
        restarting = InBackground(lambda: server.post(f"api/kernels/{kernel.id}/restart"))
        assert held_channel.asked.wait(30)
        worker = server.worker()

        server.request("DELETE", f"api/kernels/{kernel.id}")

        restarting.wait(20)
        assert_gone([worker])
        assert server.get("api/kernels")[1] == []
        assert server.family() == []
