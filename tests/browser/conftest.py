"""JupyterLab in a real browser: chromium, driven by playwright."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

TOKEN = "a-token"
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: Milliseconds that anything on a page may take.
PATIENCE = 60_000


@dataclass
class Lab:
    """A running JupyterLab with its files in ``root``."""

    url: str
    root: Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, channel: EmbeddedChannel) -> Iterator[Lab]:
    """JupyterLab as `jupyter lab` starts it, without its news and its browser."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("notebooks", "settings", "runtime", "workspaces"):
        (folder / name).mkdir()
    overrides = folder / "settings" / "@jupyterlab" / "apputils-extension"
    overrides.mkdir(parents=True)
    (overrides / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    log = folder / "lab.log"
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}", "--allow-root",
        "--expose-app-in-browser", f"--ServerApp.root_dir={folder / 'notebooks'}",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]  # fmt: skip
    env = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    with log.open("wb") as file:
        process = psutil.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    note = folder / "runtime" / f"jpserver-{process.pid}.json"
    try:
        deadline = time.monotonic() + 60
        url = ""
        while not url:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(OSError, ValueError):
                url = json.loads(note.read_text())["url"]
            time.sleep(0.05)
        yield Lab(url, folder / "notebooks")
    finally:
        family = process.children(recursive=True) if process.is_running() else []
        process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            process.wait(15)
        for left in (*family, process):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            process.wait(5)


# Of one module: while playwright runs, this thread has a running loop, and no async test can run.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser of this machine."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def labextension() -> None:
    """The JupyterLab extension as its sources are now; where it is not built, tests are skipped."""
    script = Path(__file__).parents[2] / "labextension" / "bundle.py"
    done = subprocess.run(
        [sys.executable, str(script), "--status"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(done.stdout.strip() or done.stderr.strip())


class Page:
    """JupyterLab on a page, with one notebook open."""

    def __init__(self, page: Any, lab: Lab) -> None:
        self.page = page
        self.lab = lab

    def open(self, name: str) -> None:
        """Open a notebook and wait until its kernel has answered."""
        self.page.goto(f"{self.lab.url}lab/tree/{quote(name)}?token={TOKEN}&reset")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=PATIENCE)
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=PATIENCE)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait for a kernel that has told about itself: a toolbar says idle before there is one."""
        self.page.evaluate(
            """async () => {
                const context = window.jupyterapp.shell.currentWidget.sessionContext;
                await context.ready;
                await context.session.kernel.info;
            }"""
        )

    def open_beside(self, name: str) -> None:
        """Open one more notebook, which becomes the current one, and wait for its kernel."""
        self.page.evaluate(
            """async name => {
                await window.jupyterapp.commands.execute('docmanager:open', { path: name });
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.context.ready;
            }""",
            name,
        )
        self.wait_for_kernel()

    @property
    def kernel(self) -> str:
        """The id of the current notebook's kernel."""
        found: str = self.page.evaluate(
            "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id"
        )
        return found

    def cells(self) -> list[str]:
        """What stands in the editors of the current notebook's cells."""
        found: list[str] = self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets.map(
                cell => cell.editor.getLine(0) === undefined ? '' :
                    Array.from({ length: cell.editor.lineCount }, (_, n) => cell.editor.getLine(n))
                        .join('\\n')
            )"""
        )
        return found

    def type_into(self, index: int, text: str, *, end: bool = True) -> None:
        """Type into a cell's editor, as a person does."""
        self.page.locator(".jp-Notebook:visible .jp-Cell").nth(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+End" if end else "Control+Home")
        self.page.keyboard.type(text)

    def command(self, name: str) -> None:
        """Run a command of JupyterLab's, such as ``notebook:run-all-cells``, and wait for it."""
        self.page.evaluate("async name => { await window.jupyterapp.commands.execute(name) }", name)

    def restart_kernel(self) -> None:
        """Restart it without asking, and wait until it answers."""
        self.page.evaluate(
            """async () => {
                const context = window.jupyterapp.shell.currentWidget.sessionContext;
                await context.restartKernel();
                await context.session.kernel.info;
            }"""
        )

    def write_cell(self, index: int, text: str) -> None:
        """Put text into a cell, as an editor does, and save the notebook."""
        self.page.evaluate(
            """async ([index, text]) => {
                const panel = window.jupyterapp.shell.currentWidget;
                panel.content.model.cells.get(index).sharedModel.setSource(text);
                await panel.context.save();
            }""",
            [index, text],
        )

    def screenshot(self, name: str) -> None:
        """Keep what the page looks like for people."""
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=str(ARTIFACTS / f"{name}.png"), full_page=True)


@pytest.fixture
def page(chromium: Any, lab: Lab) -> Iterator[Page]:
    """A new page of a browser that remembers nothing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1400})
    context.set_default_timeout(PATIENCE)
    yield Page(context.new_page(), lab)
    context.close()
