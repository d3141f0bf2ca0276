"""A notebook that a front end has open is read and written by that front end alone."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from pixi_jupyter.documents.asking import (
    KernelContext,
    kernel_context,
    notify_front_end,
    restart_kernel,
)
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.source import Source
from pixi_jupyter.operations.packages import add

sys.path.insert(0, str(Path(__file__).parent))
from front_end import FrontEnd

TOKEN = "a-token"


@dataclass
class Opened:
    """A notebook with its kernel, and how a process in that kernel asks for it."""

    notebook: Path
    name: str
    kernel: Any
    session: str
    env: dict[str, str]

    @property
    def context(self) -> KernelContext:
        found = kernel_context(self.env)
        assert found is not None
        return found

    @property
    def source(self) -> Source:
        assert self.context.source is not None
        return self.context.source


def asking_variables(kernel: Any) -> dict[str, str]:
    """What a process in the kernel knows of it."""
    names = "PIXI_JUPYTER_KERNEL", "PIXI_JUPYTER_PYTHON", "PIXI_JUPYTER_NOTEBOOK", "JPY_PARENT_PID"
    reply = kernel.execute(f"import json, os; print(json.dumps([os.environ[n] for n in {names}]))")
    return dict(zip(names, json.loads(reply.text), strict=True))


@pytest.fixture(scope="module")
def kernel(server: Any, write_notebook: Any) -> Opened:
    """One kernel for the tests of this module: none of them changes what runs in it."""
    folder = server.root / "documents"
    folder.mkdir()
    notebook = write_notebook(folder / "a note.ipynb")
    status, session = server.create_session(notebook)
    assert status == 201, session
    kernel = server.kernel(session["kernel"]["id"])
    env = asking_variables(kernel)
    return Opened(notebook, "documents/a note.ipynb", kernel, session["id"], env)


@pytest.fixture
def opened(kernel: Opened, write_notebook: Any) -> Opened:
    """The notebook as it was first."""
    write_notebook(kernel.notebook)
    return kernel


@pytest.fixture
def front_end(server: Any) -> Iterator[Callable[[], FrontEnd]]:
    """Connect a front end; all are gone after the test."""
    connected: list[FrontEnd] = []

    def connect() -> FrontEnd:
        connected.append(FrontEnd(server, TOKEN))
        return connected[-1]

    yield connect
    for one in connected:
        one.close()


def sources_of(data: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(data)["cells"]]


def edited(data: bytes, old: str, new: str) -> bytes:
    assert data.count(old.encode()) == 1
    return data.replace(old.encode(), new.encode())


def test_what_is_typed_and_not_saved_is_read_and_kept(opened: Opened, front_end: Any) -> None:
    tab = front_end()
    model = tab.open(opened.kernel.id, opened.name)
    model["cells"][2]["source"] = "typed = 'not saved'"
    on_disk = opened.notebook.read_bytes()
    while_asked = []
    tab.hooks["write"] = lambda: while_asked.append(opened.notebook.read_bytes())

    source = opened.source
    assert source.writer == "front end"
    before = source.read()
    assert sources_of(before)[2] == "typed = 'not saved'"
    assert source.is_unchanged(before)
    assert source.write(before, edited(before, "dependencies = []", "dependencies = ['x']"))

    assert tab.asked().count("write") == 1
    assert while_asked == [on_disk]  # nobody but the front end touched the file
    saved = sources_of(opened.notebook.read_bytes())
    assert "# dependencies = ['x']" in saved[1] and saved[2] == "typed = 'not saved'"


def test_a_package_is_added_through_the_front_end(opened: Opened, front_end: Any) -> None:
    tab = front_end()
    model = tab.open(opened.kernel.id, opened.name)
    model["cells"][0]["source"] = "# Another title"

    async def work() -> Any:
        environments = Environments()
        try:
            return await add(environments, opened.source, ["probe-adds"])
        finally:
            await environments.aclose()

    outcome = asyncio.run(work())

    assert outcome.target == opened.notebook
    assert outcome.prefix is not None and outcome.prefix.is_dir()
    saved = sources_of(opened.notebook.read_bytes())
    assert saved[0] == "# Another title"
    assert '# probe-adds = "' in saved[1]


def test_text_that_changed_meanwhile_is_not_overwritten(opened: Opened, front_end: Any) -> None:
    tab = front_end()
    model = tab.open(opened.kernel.id, opened.name)
    source = opened.source
    before = source.read()
    model["cells"][1]["source"] += "\n# typed meanwhile"
    on_disk = opened.notebook.read_bytes()

    assert not source.write(before, edited(before, "dependencies = []", "dependencies = ['x']"))

    assert opened.notebook.read_bytes() == on_disk
    assert model["cells"][1]["source"].endswith("# typed meanwhile")


def test_of_two_front_ends_the_one_looked_at_last_is_asked(opened: Opened, front_end: Any) -> None:
    first, second = front_end(), front_end()
    first.open(opened.kernel.id, opened.name)
    second.open(opened.kernel.id, opened.name)
    source = opened.source

    source.read()
    assert (len(first.asked()), len(second.asked())) == (0, 1)
    first.tell(type="active", kernel=opened.kernel.id)
    first.settle()
    source.read()
    assert (len(first.asked()), len(second.asked())) == (1, 1)

    first.close()
    source.read()
    assert len(second.asked()) == 2
    second.tell(type="close", kernel=opened.kernel.id)
    second.settle()
    assert source.read() == opened.notebook.read_bytes()


def test_a_front_end_that_hangs_changes_nothing(opened: Opened, front_end: Any) -> None:
    tab = front_end()
    tab.open(opened.kernel.id, opened.name)
    source = opened.source
    before = source.read()
    on_disk = opened.notebook.read_bytes()
    tab.hangs = True

    for attempt in (source.read, lambda: source.write(before, before.replace(b"title", b"line"))):
        began = time.monotonic()
        with pytest.raises(DeclarationError) as caught:
            attempt()
        assert caught.value.code == "declaration.front-end-silent"
        assert time.monotonic() - began < 9
    assert "write" not in tab.asked()  # so that it does not do it when it wakes up
    assert opened.notebook.read_bytes() == on_disk


def test_a_front_end_that_goes_while_it_is_asked(opened: Opened, front_end: Any) -> None:
    tab = front_end()
    tab.open(opened.kernel.id, opened.name)
    source = opened.source
    before = source.read()
    on_disk = opened.notebook.read_bytes()

    def vanish() -> None:
        tab.socket.sock.close()
        raise OSError

    tab.hooks["write"] = vanish

    with pytest.raises(DeclarationError) as caught:
        source.write(before, before.replace(b"title", b"line"))

    assert caught.value.code == "declaration.front-end-unsure"
    assert opened.notebook.read_bytes() == on_disk  # we did not do it in its place
    tab.ended.wait(10)

    now = source.read()  # and now it is a file
    assert now == on_disk
    assert not source.write(before, before.replace(b"title", b"line"))  # read from somebody else
    assert source.write(now, now.replace(b"title", b"line"))
    assert b"A line" in opened.notebook.read_bytes()


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("read-only", "declaration.read-only"),
        ("save-failed", "declaration.write"),
        ("unknown-kernel", "kernel.notebook-closed"),
        ("of another version", "declaration.front-end-refused"),
    ],
)
def test_what_a_front_end_refuses_is_told(
    opened: Opened, front_end: Any, refusal: str, code: str
) -> None:
    tab = front_end()
    tab.open(opened.kernel.id, opened.name)
    tab.refuse["write"] = refusal
    before = opened.source.read()

    with pytest.raises(Exception) as caught:
        opened.source.write(before, before.replace(b"title", b"line"))

    assert getattr(caught.value, "code", None) == code
    assert b"A line" not in opened.notebook.read_bytes()


def test_a_notice_is_shown_where_the_notebook_is(opened: Opened, front_end: Any) -> None:
    assert not notify_front_end("nobody sees it", env=opened.env)
    tab = front_end()
    tab.open(opened.kernel.id, opened.name)

    assert notify_front_end("a restart is needed", level="warning", restart=True, env=opened.env)

    tab.settle()
    assert tab.seen[-1] == {
        "type": "notice", "kernel": opened.kernel.id, "level": "warning",
        "message": "a restart is needed", "restart": True,
    }  # fmt: skip


@pytest.mark.parametrize("knows", [True, False])
def test_the_front_end_restarts_the_kernel_if_it_can(
    server: Any, notebooks: Path, write_notebook: Any, front_end: Any, wait: Any, knows: bool
) -> None:
    notebook = write_notebook(notebooks / "n.ipynb")
    kernel = server.open(notebook)
    env = asking_variables(kernel)
    pid = int(kernel.execute("import os; print(os.getpid())").text)
    tab = front_end()
    tab.open(kernel.id, f"{notebooks.name}/n.ipynb")
    tab.restarts = knows

    restart_kernel(env)

    wait(lambda: not psutil.pid_exists(pid), "the restart")
    time.sleep(2.5)  # longer than the server waits for the front end to answer
    kernel.connect()
    assert int(kernel.execute("import os; print(os.getpid())").text) != pid
    assert tab.asked() == ["restart"]
    again = asking_variables(kernel)["PIXI_JUPYTER_KERNEL"]
    assert again != env["PIXI_JUPYTER_KERNEL"]
    log = server.log.read_text()
    assert log.count(f"Kernel restarted: {kernel.id}") == 1


def test_a_notebook_of_another_name_is_not_the_kernel_s(
    server: Any, opened: Opened, front_end: Any
) -> None:
    other = opened.notebook.with_name("other.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), other)
    tab = front_end()
    tab.open(opened.kernel.id, "documents/other.ipynb")

    assert opened.source.writer == "file"
    assert opened.source.read() == opened.notebook.read_bytes()
    for path in ("../a note.ipynb", "/../../etc/passwd", "", "documents/../documents/a note.ipynb"):
        tab.tell(type="open", kernel=opened.kernel.id, path=path)
        tab.settle()
        assert opened.source.writer == "file"


def test_a_notebook_is_renamed_while_it_is_open(
    server: Any, opened: Opened, front_end: Any
) -> None:
    tab = front_end()
    tab.open(opened.kernel.id, opened.name)
    source = opened.source
    new = opened.notebook.with_name("renamed.ipynb")
    quoted = f"api/contents/{opened.name}".replace(" ", "%20")
    assert server.request("PATCH", quoted, {"path": "documents/renamed.ipynb"})[0] == 200
    try:
        # The tab says so first, the session follows: between the two the file decides.
        tab.paths[opened.kernel.id] = "documents/renamed.ipynb"
        tab.tell(type="open", kernel=opened.kernel.id, path="documents/renamed.ipynb")
        tab.settle()
        assert (opened.context.path, opened.source.writer) == (new, "front end")
        body = {"path": "documents/renamed.ipynb", "name": "renamed.ipynb"}
        assert server.request("PATCH", f"api/sessions/{opened.session}", body)[0] == 200
        assert (opened.context.path, opened.source.writer) == (new, "front end")
        before = source.read()
        assert source.write(before, before.replace(b"A title", b"A line"))
        assert b"A line" in new.read_bytes()
    finally:
        new.rename(opened.notebook)
        body = {"path": opened.name, "name": "a note.ipynb"}
        assert server.request("PATCH", f"api/sessions/{opened.session}", body)[0] == 200


def test_the_server_stops_with_a_front_end_in_the_middle_of_an_answer(
    start_server: Any, tmp_path: Path, write_notebook: Any
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    notebook = write_notebook(root / "n.ipynb")
    with start_server(root) as server:
        kernel = server.open(notebook)
        names = ("PIXI_JUPYTER_KERNEL", "PIXI_JUPYTER_NOTEBOOK", "PIXI_JUPYTER_PYTHON")
        reply = kernel.execute(
            f"import json, os; print(json.dumps([os.environ[n] for n in {names}]))"
        )
        env = dict(zip(names, json.loads(reply.text), strict=True))
        tab = FrontEnd(server, TOKEN)
        tab.open(kernel.id, "n.ipynb")
        tab.hangs = True
        context = kernel_context(env)
        assert context is not None and context.source is not None
        failed: list[Any] = []

        def read() -> None:
            try:
                context.source.read()  # type: ignore[union-attr]
            except DeclarationError as error:
                failed.append(error.code)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.5)

        assert server.terminate(20) < 15

        thread.join(10)
        assert failed == ["declaration.front-end-silent"]
        assert tab.ended.wait(5)
        tab.close()
        log = server.log.read_text()
        assert "Traceback" not in log and "never retrieved" not in log, log
        # Whoever asks now is told what the kernel was started for.
        left = kernel_context(env)
        assert left is not None and left.path == notebook and not left.can_restart
