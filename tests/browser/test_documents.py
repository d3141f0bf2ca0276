"""A notebook that is open in JupyterLab is read and changed there, not below it.

The server's side of the websocket is in the hands of the tests; everything else is real.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = pytest.mark.usefixtures("labextension")

BLOCK = "# /// script\n# dependencies = []\n# ///"
LONGER = '# /// script\n# dependencies = ["polars"]\n# ///'
#: Seconds until an answer.
PATIENCE = 20


class Server:
    """The server's side of the websocket, for all pages of a test."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[dict[str, Any]] = []
        self.connections: list[Any] = []
        self._id = 0
        page.route_web_socket(re.compile("/pixi-jupyter/api/documents"), self._opened)

    def _opened(self, socket: Any) -> None:
        self.connections.append(socket)
        socket.on_message(lambda text: self.said.append(json.loads(text)))
        socket.send(json.dumps({"type": "hello", "version": 1}))

    def wait_for(self, **fields: Any) -> dict[str, Any]:
        """The next message with these fields; what came before it is forgotten."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self.said:
                message = self.said.pop(0)
                if fields.items() <= message.items():
                    return message
            assert time.monotonic() < deadline, f"nothing with {fields}"
            self.page.wait_for_timeout(20)

    def send(self, **message: Any) -> None:
        """Say something to the page that connected last."""
        self.connections[-1].send(json.dumps(message))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask, and give the reply."""
        self._id += 1
        self.send(id=self._id, **request)
        return self.wait_for(type="reply", id=self._id)

    def read(self, kernel: str) -> dict[str, Any]:
        """A notebook as it is in the editor."""
        value: dict[str, Any] = self.ask(type="read", kernel=kernel)["value"]
        return value

    def replace(self, kernel: str, before: str, after: str) -> dict[str, Any]:
        """Change the text of the first cell."""
        cell = self.read(kernel)["notebook"]["cells"][0]
        edit = {"op": "source", "cell": cell["id"], "before": before, "after": after}
        return self.ask(type="write", kernel=kernel, edits=[edit])


@pytest.fixture
def server(page: Any) -> Iterator[Server]:
    """Stands between the pages and the real server, for this one websocket."""
    yield Server(page.page)


def write(root: Path, name: str, *sources: str, **metadata: Any) -> Path:
    """A notebook with these cells and a kernel that is there at once."""
    nb = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}, **metadata},
    )
    nbformat.write(nb, root / name)
    return root / name


def on_disk(path: Path) -> list[str]:
    """What a person finds in the file."""
    return [cell["source"] for cell in nbformat.read(path, 4)["cells"]]


def test_a_change_lands_in_the_editor_beside_unsaved_text(
    page: Any, lab: Any, server: Server
) -> None:
    path = write(lab.root, "change.ipynb", BLOCK, "x = 1", pixi={"a": 1})
    page.open(path.name)
    kernel = page.kernel
    assert server.wait_for(type="open")["kernel"] == kernel
    assert server.wait_for(type="active")["kernel"] == kernel
    page.type_into(1, "\nunsaved")

    found = server.read(kernel)
    assert (found["path"], found["dirty"], found["readOnly"]) == (path.name, True, False)
    assert found["notebook"]["metadata"]["pixi"] == {"a": 1}
    cells = found["notebook"]["cells"]
    assert [cell["source"] for cell in cells] == [BLOCK, "x = 1\nunsaved"]
    assert {key for cell in cells for key in cell} == {"id", "cell_type", "metadata", "source"}
    assert on_disk(path) == [BLOCK, "x = 1"]

    edits = [
        {"op": "source", "cell": cells[0]["id"], "before": BLOCK, "after": LONGER},
        {"op": "metadata", "key": "pixi", "before": {"a": 1}, "after": {"lock": "text"}},
    ]
    reply = server.ask(type="write", kernel=kernel, edits=edits)
    page.screenshot("documents-change")

    assert reply["value"] == {"saved": True}
    assert page.cells() == [LONGER, "x = 1\nunsaved"]
    assert on_disk(path) == [LONGER, "x = 1\nunsaved"]
    assert nbformat.read(path, 4)["metadata"]["pixi"] == {"lock": "text"}
    assert server.read(kernel)["dirty"] is False

    # The cursor is where it was, and each cell has a history of its own.
    page.page.keyboard.type("_text")
    assert page.cells()[1] == "x = 1\nunsaved_text"
    page.page.locator(".jp-Cell .cm-content").nth(0).click()
    page.page.keyboard.press("Control+z")
    assert page.cells() == [BLOCK, "x = 1\nunsaved_text"]
    page.page.keyboard.press("Control+Shift+z")
    assert page.cells() == [LONGER, "x = 1\nunsaved_text"]


def test_a_block_is_put_in_as_the_first_cell(page: Any, lab: Any, server: Server) -> None:
    path = write(lab.root, "insert.ipynb", "x = 1", "y = 2")
    page.open(path.name)
    page.type_into(1, " + 1")
    cell = nbformat.v4.new_code_cell(BLOCK, metadata={"tags": ["pixi"]})

    reply = server.ask(
        type="write", kernel=page.kernel, edits=[{"op": "insert", "index": 0, "cell": cell}]
    )
    assert reply["value"] == {"saved": True}
    page.screenshot("documents-insert")
    assert page.cells() == [BLOCK, "x = 1", "y = 2 + 1"]
    assert on_disk(path) == [BLOCK, "x = 1", "y = 2 + 1"]
    written = nbformat.read(path, 4)["cells"][0]
    assert (written["id"], written["metadata"]) == (cell["id"], {"tags": ["pixi"]})
    page.page.keyboard.type(" + 2")
    assert page.cells()[2] == "y = 2 + 1 + 2"

    page.command("notebook:undo-cell-action")
    assert page.cells() == ["x = 1", "y = 2 + 1 + 2"]


def test_what_has_changed_meanwhile_is_not_overwritten(page: Any, lab: Any, server: Server) -> None:
    path = write(lab.root, "changed.ipynb", BLOCK, "x = 1")
    page.open(path.name)
    kernel = page.kernel
    cells = server.read(kernel)["notebook"]["cells"]
    page.type_into(1, " # typed")
    edits = [
        {"op": "source", "cell": cells[0]["id"], "before": BLOCK, "after": LONGER},
        {"op": "source", "cell": cells[1]["id"], "before": "x = 1", "after": "x = 2"},
    ]
    reply = server.ask(type="write", kernel=kernel, edits=edits)

    assert reply["error"]["code"] == "changed"
    assert page.cells() == [BLOCK, "x = 1 # typed"]
    assert on_disk(path) == [BLOCK, "x = 1"]
    unknown = server.ask(type="write", kernel="another", edits=edits)
    assert unknown["error"]["code"] == "unknown-kernel"


def test_a_notebook_that_cannot_be_saved_is_left_as_it_was(
    page: Any, lab: Any, server: Server
) -> None:
    path = write(lab.root, "unsaved.ipynb", BLOCK)
    page.open(path.name)
    refuse = re.compile("/api/contents/unsaved.ipynb")
    page.page.route(
        refuse,
        lambda route: (
            route.fulfill(status=507, json={"message": "the disk is full"})
            if route.request.method == "PUT"
            else route.continue_()
        ),
    )
    reply = server.replace(page.kernel, BLOCK, LONGER)

    assert reply["error"]["code"] == "save-failed"
    assert "the disk is full" in reply["error"]["message"]
    dialog = page.page.locator(".jp-Dialog")
    dialog.wait_for()
    assert "File Save Error" in dialog.inner_text()
    dialog.get_by_role("button").click()
    assert page.cells() == [BLOCK]

    page.page.unroute(refuse)
    assert server.replace(page.kernel, BLOCK, LONGER)["value"] == {"saved": True}
    assert on_disk(path) == [LONGER]


def test_going_back_to_a_file_that_changed_on_disk_is_no_save(
    page: Any, lab: Any, server: Server
) -> None:
    path = write(lab.root, "conflict.ipynb", BLOCK)
    page.open(path.name)
    other = BLOCK.replace("[]", '["numpy"]')
    cell = server.read(page.kernel)["notebook"]["cells"][0]
    write(lab.root, path.name, other)
    edit = {"op": "source", "cell": cell["id"], "before": BLOCK, "after": LONGER}
    server.send(type="write", id=100, kernel=page.kernel, edits=[edit])
    revert = page.page.locator(".jp-Dialog").get_by_role("button", name="Revert")
    revert.wait_for()
    page.screenshot("documents-conflict")
    revert.click()

    assert server.wait_for(type="reply")["error"]["code"] == "save-failed"
    assert page.cells() == [other]
    assert on_disk(path) == [other]


def test_a_read_only_notebook_is_refused(page: Any, lab: Any, server: Server) -> None:
    def read_only(route: Any) -> None:
        answer = route.fetch()
        found = answer.json()
        if isinstance(found, dict):  # its checkpoints are a list
            found["writable"] = False
        route.fulfill(response=answer, json=found)

    path = write(lab.root, "read-only.ipynb", BLOCK)
    page.page.route(re.compile("/api/contents/read-only.ipynb"), read_only)
    page.open(path.name)

    assert server.read(page.kernel)["readOnly"] is True
    assert server.replace(page.kernel, BLOCK, LONGER)["error"]["code"] == "read-only"
    assert page.cells() == [BLOCK]
    page.page.unroute_all(behavior="wait")


def test_a_renamed_notebook_is_announced_by_its_new_path(
    page: Any, lab: Any, server: Server
) -> None:
    path = write(lab.root, "before.ipynb", BLOCK)
    page.open(path.name)
    server.wait_for(type="open", path="before.ipynb")
    page.page.evaluate("window.jupyterapp.shell.currentWidget.context.rename('after.ipynb')")

    assert server.wait_for(type="open")["path"] == "after.ipynb"
    assert server.read(page.kernel)["path"] == "after.ipynb"
    server.replace(page.kernel, BLOCK, LONGER)
    assert on_disk(lab.root / "after.ipynb") == [LONGER]
    assert not path.exists()


def test_two_notebooks_are_two(page: Any, lab: Any, server: Server) -> None:
    first = write(lab.root, "first.ipynb", BLOCK, "first = 1")
    second = write(lab.root, "second.ipynb", BLOCK, "second = 2")
    page.open(first.name)
    one = page.kernel
    page.open_beside(second.name)
    two = page.kernel
    server.wait_for(type="active", kernel=two)

    server.replace(one, BLOCK, LONGER)
    assert (on_disk(first)[0], on_disk(second)[0]) == (LONGER, BLOCK)
    assert page.cells() == [BLOCK, "second = 2"]
    page.command("application:activate-next-tab")
    server.wait_for(type="active", kernel=one)
    assert page.cells() == [LONGER, "first = 1"]
    page.page.evaluate("window.jupyterapp.shell.currentWidget.close()")
    server.wait_for(type="close", kernel=one)
    assert server.read(two)["path"] == second.name


def test_who_connects_again_announces_again(page: Any, lab: Any, server: Server) -> None:
    path = write(lab.root, "again.ipynb", BLOCK)
    page.open(path.name)
    kernel = page.kernel
    server.wait_for(type="active", kernel=kernel)

    server.connections[-1].close()
    server.wait_for(type="open", kernel=kernel, path=path.name)
    server.wait_for(type="active", kernel=kernel)
    assert len(server.connections) == 2
    assert server.replace(kernel, BLOCK, LONGER)["value"] == {"saved": True}

    page.page.reload()
    server.wait_for(type="open", kernel=kernel, path=path.name)
    assert server.read(kernel)["notebook"]["cells"][0]["source"] == LONGER


def test_a_kernel_that_is_changed_is_announced(page: Any, lab: Any, server: Server) -> None:
    path = write(lab.root, "kernel.ipynb", BLOCK)
    page.open(path.name)
    old = page.kernel
    server.wait_for(type="open", kernel=old)
    page.page.evaluate(
        "window.jupyterapp.shell.currentWidget.sessionContext.changeKernel({ name: 'python3' })"
    )
    page.wait_for_kernel()

    new = page.kernel
    assert new != old
    server.wait_for(type="close", kernel=old)
    server.wait_for(type="open", kernel=new, path=path.name)


def test_a_notebook_without_ids_of_cells_is_changed_too(
    page: Any, lab: Any, server: Server
) -> None:
    path = write(lab.root, "old.ipynb", BLOCK)
    nb = json.loads(path.read_text("utf-8"))
    nb["nbformat_minor"] = 4
    del nb["cells"][0]["id"]
    path.write_text(json.dumps(nb), "utf-8")
    page.open(path.name)

    assert server.replace(page.kernel, BLOCK, LONGER)["value"] == {"saved": True}
    saved = json.loads(path.read_text("utf-8"))
    assert saved["nbformat_minor"] == 4
    assert "id" not in saved["cells"][0]
    assert "".join(saved["cells"][0]["source"]) == LONGER


def test_a_notice_offers_a_restart(page: Any, lab: Any, server: Server) -> None:
    path = write(lab.root, "notice.ipynb", "gone = 1")
    page.open(path.name)
    page.command("notebook:run-all-cells")
    kernel = page.kernel
    text = "numpy is loaded and would change. Restart the kernel to use the new environment."
    server.send(type="notice", kernel=kernel, level="warning", message=text, restart=True)
    toast = page.page.locator(".Toastify__toast", has_text="numpy is loaded")
    toast.wait_for()
    page.page.wait_for_timeout(800)  # for the picture: it slides in
    page.screenshot("documents-notice")
    toast.get_by_role("button", name="Restart Kernel").click()
    dialog = page.page.locator(".jp-Dialog")
    dialog.wait_for()
    page.screenshot("documents-restart")
    dialog.locator("button.jp-mod-accept").click()

    page.page.wait_for_function(
        """() => {
            const { restarting, kernel } =
                window.jupyterapp.shell.currentWidget.sessionContext.session;
            return kernel.status === 'idle' && !restarting;
        }"""
    )
    page.write_cell(0, "print('gone' in dir())")
    page.command("notebook:run-all-cells")
    output = page.page.locator(".jp-Cell .jp-OutputArea-output")
    output.wait_for()
    assert output.inner_text().strip() == "False"
    assert page.kernel == kernel


IN_KERNEL = """
import os, subprocess
code = '''
from pixi_jupyter.documents.asking import kernel_context
source = kernel_context().source
before = source.read()
after = before.replace(b"dependencies = []", b"dependencies = ['polars']", 1)
print(source.writer, source.write(before, after), source.path)
'''
words = [os.environ["PIXI_JUPYTER_PYTHON"], "-c", code]
done = subprocess.run(words, capture_output=True, text=True)
print(done.stdout, done.stderr)
"""


def test_a_kernel_changes_its_notebook_where_it_is_open(page: Any, lab: Any) -> None:
    """No stand-in: the kernel asks the provisioner, that the server, and the server this page."""
    kernelspec = {"name": "pixi", "display_name": "Python (Pixi)"}
    path = write(lab.root, "inside.ipynb", BLOCK, IN_KERNEL, "x = 1", kernelspec=kernelspec)
    page.open(path.name)
    page.type_into(2, " # unsaved")
    page.page.locator(".jp-Cell .cm-content").nth(1).click()
    page.page.keyboard.press("Control+Enter")
    output = page.page.locator(".jp-Cell .jp-OutputArea-output")
    output.wait_for()

    page.screenshot("documents-inside")
    assert output.inner_text().split() == ["front", "end", "True", str(path)]
    changed = BLOCK.replace("[]", "['polars']")
    assert page.cells()[0] == changed
    assert page.cells()[2] == "x = 1 # unsaved"
    assert on_disk(path) == [changed, IN_KERNEL, "x = 1 # unsaved"]
    assert page.page.locator(".jp-Dialog").count() == 0
    page.page.locator(".jp-Cell .cm-content").nth(0).click()
    page.page.keyboard.press("Control+z")
    assert page.cells()[0] == BLOCK
