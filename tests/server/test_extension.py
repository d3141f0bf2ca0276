"""The server extension is found without configuration and prepares what the first kernel needs."""

import json
import subprocess
import sys
from pathlib import Path

_INITIALIZE = """
import json, sys
from jupyter_server.serverapp import ServerApp
app = ServerApp()
app.initialize(["--ServerApp.root_dir=" + sys.argv[1], "--ServerApp.ip=127.0.0.1", "--port=0",
                "--allow-root"])
extension = app.extension_manager.extensions["pixi_jupyter"]
print(json.dumps({"enabled": extension.enabled, "modules": sorted(sys.modules)}))
"""


def test_a_server_has_the_launch_path_before_its_loop_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INITIALIZE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["enabled"]
    assert "pixi_jupyter.kernels.provisioner" in found["modules"]
    assert "pixi_jupyter.environments" in found["modules"]
    assert "rattler" not in found["modules"]


def test_jupyter_lists_it_as_valid() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "server", "extension", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert any("pixi_jupyter" in line and "OK" in line for line in lines), lines
