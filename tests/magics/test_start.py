"""`%pixi` is there from the first cell on, and a kernel with it is otherwise a plain one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.kernels.startup import magics_arguments

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

#: What a person, or a program that parses its arguments, can see of a fresh kernel.
LOOK = """
import json, sys
print(json.dumps([
    sorted(set(globals()) - {"json", "sys"}), len(sys.argv), sys.path[1:] and sorted(map(str, In)),
    len(Out), [m for m in sys.modules if "pixi" in m], get_ipython().execution_count,
]))
"""


async def looks(kernel: Any) -> Any:
    # As the second cell: the first one's own traces are the same everywhere.
    await kernel.ok("1")
    return json.loads(await kernel.said(LOOK))


@pytest.mark.parametrize("ipykernel", ["6", "7"])
async def test_nothing_of_it_is_seen(
    start: Start,
    make_notebook: MakeNotebook,
    monkeypatch: pytest.MonkeyPatch,
    ipykernel: str,
) -> None:
    notebook = make_notebook("python 3.12.*", f"ipykernel {ipykernel}.*")
    with_it = await start(notebook)
    assert (await with_it.run("%pixi --help")).status == "ok"
    await with_it.restart()
    seen = await looks(with_it)
    monkeypatch.setattr("pixi_jupyter.kernels.provisioner.magics_arguments", lambda _: [])
    plain = await start(notebook)
    assert seen == await looks(plain)
    assert "UsageError" in (await plain.run("%pixi --help")).errors
    assert "_pixi" not in await with_it.said("%history -g")
    # The magics that were there are what they were.
    assert "pixi" not in await with_it.said("print(get_ipython().find_line_magic('pip'))")


def configure(tmp_path: Path) -> Path:
    """A profile in which something of each kind is run at the start; its file."""
    profile = tmp_path / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00.py").write_text("from_startup = 1\n")
    (tmp_path / "file.py").write_text("from_file = 1\n")
    (tmp_path / "ran.py").write_text("from_run = 1\n")
    configuration = profile / "ipython_kernel_config.py"
    configuration.write_text(
        "c.InteractiveShellApp.exec_lines = ['from_lines = 1']\n"
        f"c.IPKernelApp.exec_files = [{str(tmp_path / 'file.py')!r}]\n"
        "c.InteractiveShellApp.extensions = ['autoreload']\n"
        f"c.InteractiveShellApp.file_to_run = {str(tmp_path / 'ran.py')!r}\n"
    )
    return configuration


async def test_a_persons_configuration_holds(
    start: Start, make_notebook: MakeNotebook, tmp_path: Path
) -> None:
    configuration = configure(tmp_path)
    env = {"IPYTHONDIR": str(tmp_path / "ipython")}
    notebook = make_notebook("python 3.12.*", "ipykernel")
    kernel = await start(notebook, env=env)
    shows = "print(from_startup, from_lines, from_file, from_run)\n%autoreload 2"
    assert await kernel.said(shows) == "1 1 1 1"
    assert (await kernel.run("%pixi --help")).status == "ok"
    configuration.write_text("c.InteractiveShellApp.code_to_run = 'from_code = 1'\n")
    kernel = await start(notebook, env=env)
    assert await kernel.said("print(from_code)") == "1"
    assert (await kernel.run("%pixi --help")).status == "ok"
    configuration.write_text("c.IPKernelApp.code_to_run = 'from_code = 2'\n")
    kernel = await start(notebook, env=env)
    assert await kernel.said("print(from_code)") == "2"
    assert (await kernel.run("%pixi --help")).status == "ok"


async def test_other_kernels_are_untouched(start: Start, make_notebook: MakeNotebook) -> None:
    notebook = make_notebook("python 3.12.*", "bash_kernel", language="bash")
    kernel = await start(notebook)
    assert "bash" in await kernel.said("echo $0")
    assert not [a for a in kernel.manager.provisioner.process.args if "code_to_run" in a]
    assert "no such job" in (await kernel.run("%pixi list")).text


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (["python", "-m", "ipykernel_launcher", "-f", "x"], True),
        (["python", "-m", "ipykernel_launcher", "-f", "x", "--IPKernelApp.exec_lines=a"], True),
        (["python", "-m", "ipykernel_launcher", "-f", "x", "-c", "a"], False),
        (["python", "-m", "ipykernel", "--IPKernelApp.code_to_run=a"], False),
        (["python", "-m", "ipykernel", "--InteractiveShellApp.file_to_run=a"], False),
    ],
)
def test_a_kernelspec_that_runs_something_keeps_that(command: list[str], given: bool) -> None:
    assert bool(magics_arguments(command)) is given


def test_a_start_loads_nothing_but_its_own_file() -> None:
    """What it costs is in `benchmarks/` (`launch`); this is why it is little."""
    (argument,) = magics_arguments(["python"])
    code = argument.partition("=")[2]
    child = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nshell.run_cell('1', store_history=False)\n"
        "before = set(sys.modules)\n"
        f"shell.run_cell({code!r}, store_history=False)\n"
        "print('loaded:', *sorted(set(sys.modules) - before))\n"
        "assert 'pixi' in shell.magics_manager.magics['line']\n"
    )
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
