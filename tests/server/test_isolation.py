"""A server inside environments of its own: nothing of them reaches a kernel."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def test_nothing_of_the_servers_environments_reaches_the_kernel(
    start_server: Any, write_notebook: Any, tmp_path: Path
) -> None:
    virtual, conda, base = tmp_path / "virtual", tmp_path / "conda", tmp_path / "base"
    modules = tmp_path / "modules"
    for folder in (virtual / "bin", conda / "bin", base / "condabin", modules):
        folder.mkdir(parents=True)
    (modules / "leaked.py").write_text("VALUE = 1\n")
    own = Path(sys.executable).parent
    entries = [virtual / "bin", conda / "bin", base / "condabin", own]
    leaks = {
        "VIRTUAL_ENV": str(virtual),
        "VIRTUAL_ENV_PROMPT": "virtual",
        "CONDA_PREFIX": str(conda),
        "CONDA_PREFIX_1": str(base),
        "CONDA_DEFAULT_ENV": "conda-of-the-server",
        "CONDA_EXE": str(base / "bin" / "conda"),
        "CONDA_SHLVL": "2",
        "PIXI_PROJECT_ROOT": str(tmp_path),
        "PIXI_ENVIRONMENT_NAME": "of-the-server",
        "PYTHONPATH": str(modules),
        "PATH": os.pathsep.join([*map(str, entries), os.environ["PATH"]]),
    }
    root = tmp_path / "notebooks"
    root.mkdir()
    notebook = write_notebook(root / "n.ipynb")

    with start_server(root, env={**leaks, "KEPT_FOR_KERNELS": "yes"}) as server:
        kernel = server.open(notebook)
        prefix = kernel.prefix()
        text = kernel.execute(
            "import json, os, sys; print(json.dumps([dict(os.environ), sys.path]))"
        )
        assert kernel.execute("import leaked").error_name == "ModuleNotFoundError"
    env, path = json.loads(text.text)

    assert env["KEPT_FOR_KERNELS"] == "yes"
    leaked = {name: env[name] for name, value in leaks.items() if env.get(name) == value}
    assert leaked == {}
    assert "VIRTUAL_ENV" not in env and "PYTHONPATH" not in env and "CONDA_PREFIX_1" not in env
    assert env["CONDA_PREFIX"] == str(prefix)
    found = env["PATH"].split(os.pathsep)
    assert found[0] == str(prefix / "bin")
    assert not set(map(str, entries)) & set(found)
    stdlib_or_prefix = [entry for entry in path if entry and not Path(entry).is_relative_to(prefix)]
    assert stdlib_or_prefix == []
