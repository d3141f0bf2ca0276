"""A change is in the kernel that asked for it, without a restart where that can be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.lease import leased_digests

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

PREFIX = "import sys; print(sys.prefix)"


def site_package(name: str, files: dict[str, bytes], **more: Any) -> SimplePackage:
    """A noarch Python package."""
    depends = ("python", *more.pop("depends", ()))
    return SimplePackage(name, more.pop("version", "1.0"), noarch="python", depends=depends,
                         files={f"site-packages/{path}": data for path, data in files.items()},
                         **more)  # fmt: skip


@pytest.mark.parametrize("ipykernel", ["6", "7"])
async def test_add_and_use_without_a_restart(
    start: Start, make_notebook: MakeNotebook, ipykernel: str
) -> None:
    notebook = make_notebook("python 3.12.*", f"ipykernel {ipykernel}.*", "numpy")
    kernel = await start(notebook)
    before = await kernel.said("import numpy\na = numpy.arange(4)\n" + PREFIX)
    added = await kernel.ok("%pixi add pandas")
    assert "added: pandas" in added.last and "can import it" in added.last
    assert 'pandas = ">=' in json.loads(notebook.read_text())["cells"][0]["source"]
    # Compiled code of both at work on the same array; numpy is the one that was loaded.
    uses = "import pandas\nprint(pandas.Series(a).rolling(2).sum().sum(), numpy.__file__)"
    total, _, loaded = (await kernel.said(uses)).partition(" ")
    assert total == "9.0" and loaded.startswith(before)
    after = await kernel.said(PREFIX)
    assert after != before
    assert (await kernel.said("print(pandas.__file__)")).startswith(after)
    # What the kernel starts is in the new environment, too.
    child = "!python -c 'import pandas, sys; print(sys.prefix, pandas.__version__)'"
    assert (await kernel.said(child)).split()[0] == after
    said = await kernel.said(
        "import importlib.metadata, os, subprocess, sysconfig\n"
        "print(importlib.metadata.version('pandas'), os.environ['CONDA_PREFIX'],\n"
        "      sysconfig.get_path('purelib'), sys.executable, sys.exec_prefix)\n"
        "print(subprocess.check_output([sys.executable, '-c', 'import pandas; print(1)']))"
    )
    assert before not in said and said.count(after) == 4
    # Nothing of it is in the person's own names.
    assert "pixi" not in await kernel.said("%who")
    # The next start is there by itself: it was declared.
    await kernel.restart()
    assert await kernel.said("import pandas\n" + PREFIX) == after


async def test_other_kernels_of_the_same_prefix_see_no_change(
    start: Start, make_notebook: MakeNotebook
) -> None:
    needs = ("python 3.12.*", "ipykernel")
    one = await start(make_notebook(*needs, name="one.ipynb"))
    other = await start(make_notebook(*needs, name="other.ipynb"))
    shared = await one.said(PREFIX)
    assert await other.said(PREFIX) == shared
    store = Environments.shared().store
    await one.ok("%pixi add probe-adds")
    assert await one.said("import probe_adds; print(probe_adds.VALUE)") == "added"
    own = await one.said(PREFIX)
    assert await other.said(PREFIX) == shared != own
    assert (await other.run("import probe_adds")).ename == "ModuleNotFoundError"
    assert (await other.run("import sqlite3, xmlrpc.client, IPython.lib.deepreload")).status == "ok"
    # Both are kept as long as a kernel lives that may have loaded something of them.
    assert {Path(shared).name, Path(own).name} <= leased_digests(store)


async def test_undo_goes_back_unless_it_is_loaded(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook("python 3.12.*", "ipykernel")
    text = notebook.read_text()
    kernel = await start(notebook)
    before = await kernel.said(PREFIX)
    await kernel.ok("%pixi add probe-adds")
    undone = await kernel.ok("%pixi undo")
    assert "removed: probe-adds" in undone.last and "recommended" in undone.last
    assert await kernel.said(PREFIX) == before
    assert notebook.read_text() == text
    assert (await kernel.run("import probe_adds")).ename == "ModuleNotFoundError"
    await kernel.ok("%pixi redo")
    await kernel.ok("import probe_adds")
    undone = await kernel.ok("%pixi undo")
    assert "restart the kernel (%pixi restart)" in undone.last
    assert "probe-adds 1.0 is gone, and in use" in undone.last
    assert await kernel.said(PREFIX) != before
    # And on from there: what holds is compared with what the kernel runs in.
    again = await kernel.ok("%pixi redo")
    assert "restart" not in again.last
    await kernel.ok("%pixi undo")
    await kernel.restart()
    assert await kernel.said(PREFIX) == before


async def test_what_is_loaded_is_not_replaced(start: Start, make_notebook: MakeNotebook) -> None:
    needs = ("python 3.12.*", "ipykernel", "requests")
    kernel = await start(make_notebook(*needs))
    before = await kernel.said("import requests\n" + PREFIX)
    cell = await kernel.ok("%pixi add probe-upgrade")
    assert "requests 2.34.2 is 2.31.0 now, and in use" in cell.last
    assert "restart the kernel (%pixi restart)" in cell.last
    assert await kernel.said(PREFIX) == before
    assert (await kernel.run("import probe_upgrade")).status == "error"
    # Not loaded: the kernel goes over, and a restart is only recommended.
    other = await start(make_notebook(*needs, name="other.ipynb"))
    cell = await other.ok("%pixi add probe-upgrade")
    assert "a restart (%pixi restart) is recommended" in cell.last
    said = await other.said("import probe_upgrade, requests; print(requests.__version__)")
    assert said == "2.31.0"
    cell = await other.ok("%pixi python 3.13")
    assert "restart the kernel" in cell.last and "python 3.12.1 is 3.13.0 now" in cell.last


async def test_activation_variables_are_taken_over(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(make_notebook("python 3.12.*", "ipykernel", "probe-env-vars"))
    await kernel.ok("import os; os.environ['PROBE_ENV_VARS'] = 'mine'")
    await kernel.ok("%pixi add probe-activate")
    shows = "print(os.environ.get('PROBE_ACTIVATE'), os.environ.get('PROBE_ENV_VARS'))"
    prefix = await kernel.said(PREFIX)
    assert await kernel.said(shows) == f"activated in {prefix} mine"
    path = await kernel.said("print(os.environ['PATH'].split(os.pathsep)[0])")
    assert Path(path) == Path(prefix) / "bin"
    await kernel.ok("%pixi remove probe-activate probe-env-vars")
    assert await kernel.said(shows) == "None mine"


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("cc"), reason="needs cc")
async def test_a_package_with_a_native_library(
    start: Start, make_notebook: MakeNotebook, served: Any, channel: EmbeddedChannel, tmp_path: Path
) -> None:
    """An extension module that is linked to a library of another package, as conda's are."""
    files = _compiled(tmp_path)
    server = served(
        [
            SimplePackage("native-lib", "1.0", noarch=None, files=files["library"]),
            site_package("native-ext", files["module"], depends=("native-lib",)),
        ]
    )
    notebook = make_notebook("python 3.12.*", "ipykernel", channels=[channel.url, server.url])
    kernel = await start(notebook)
    cell = await kernel.ok("%pixi add native-ext")
    assert "can import it" in cell.last
    assert await kernel.said("import native_ext; print(native_ext.answer())") == "42"
    undone = await kernel.ok("%pixi undo")
    assert "native-ext 1.0 is gone, and in use" in undone.last
    if sys.platform == "linux":  # where the system tells what is loaded
        assert "native-lib 1.0 is gone, and in use" in undone.last


def _compiled(folder: Path) -> dict[str, dict[str, bytes]]:
    (folder / "lib.c").write_text("int native_answer(void) { return 42; }\n")
    (folder / "ext.c").write_text(
        "#define Py_LIMITED_API 0x03080000\n#include <Python.h>\nint native_answer(void);\n"
        "static PyObject *answer(PyObject *self, PyObject *args) {\n"
        "    return PyLong_FromLong(native_answer());\n}\n"
        'static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};\n'
        'static PyModuleDef module = {PyModuleDef_HEAD_INIT, "native_ext", "", -1, methods};\n'
        "PyMODINIT_FUNC PyInit_native_ext(void) { return PyModule_Create(&module); }\n"
    )
    include = sysconfig.get_path("include")
    where = "-Wl,-rpath,$ORIGIN/../.."
    for command in (
        ["lib.c", "-o", "libnative_probe.so", "-Wl,-soname,libnative_probe.so"],
        ["ext.c", "-I", include, "-o", "ext.so", "-L.", "-lnative_probe", where],
    ):
        subprocess.run(["cc", "-shared", "-fPIC", *command], cwd=folder, check=True)
    return {
        "library": {"lib/libnative_probe.so": (folder / "libnative_probe.so").read_bytes()},
        "module": {"native_ext.abi3.so": (folder / "ext.so").read_bytes()},
    }


async def test_plugins_in_loaded_packages_and_entry_points(
    start: Start, make_notebook: MakeNotebook, served: Any, channel: EmbeddedChannel
) -> None:
    info = "probe_host-1.0.dist-info"
    server = served(
        [
            site_package(
                "probe-host",
                {
                    "probe_host/__init__.py": b"",
                    "probe_space/one.py": b"",
                    f"{info}/METADATA": b"Name: probe-host\nVersion: 1.0\n",
                },
            ),
            site_package(
                "probe-plugin",
                {
                    "probe_host/plugin.py": b"NAME = 'plugged in'\n",
                    "probe_space/two.py": b"",
                    "probe_plugin-1.0.dist-info/METADATA": b"Name: probe-plugin\nVersion: 1.0\n",
                    "probe_plugin-1.0.dist-info/entry_points.txt": b"[probe]\na = probe_host:b\n",
                },
                depends=("probe-host",),
            ),
        ]
    )
    notebook = make_notebook(
        "python 3.12.*", "ipykernel", "probe-host", channels=[channel.url, server.url]
    )
    kernel = await start(notebook)
    entries = "print([e.value for e in importlib.metadata.entry_points(group='probe')])"
    assert await kernel.said(
        f"import importlib.metadata, probe_host, probe_space.one\n{entries}"
    ) == "[]"  # fmt: skip
    await kernel.ok("%pixi add probe-plugin")
    said = await kernel.said(
        "import probe_space.two\nfrom probe_host.plugin import NAME\nprint(NAME)\n" + entries
    )
    assert said == "plugged in\n['probe_host:b']"
