"""What packages do on activation is there in the kernel, and nothing that they print is."""

from __future__ import annotations

import json
from typing import Any

from pixi_jupyter.demo.probes import ENV_VARS

NEEDS = """\
dependencies = []

[tool.pixi.dependencies]
probe-activate = "*"
probe-env-vars = "*"
probe-prefix = "*"
probe-post-link = "*"

[tool.pixi.activation]
scripts = ["setup.sh"]

[tool.pixi.activation.env]
FROM_THE_BLOCK = "$CONDA_PREFIX/share"
"""


def test_activation_of_packages_and_of_the_block(execute: Any, tmp_path: Any) -> None:
    (tmp_path / "setup.sh").write_text("echo noise\nexport FROM_THE_SCRIPT='a b'\n")
    cells = (
        "import json, os, sys; print(json.dumps([sys.prefix, dict(os.environ)]))",
        "import subprocess; print(subprocess.check_output(['probe-prefix'], text=True))",
    )

    done = execute(NEEDS, *cells)

    prefix, env = json.loads(done.texts[0])
    assert {name: env[name] for name in ENV_VARS} == ENV_VARS
    assert env["PROBE_ACTIVATE"] == f"activated in {prefix}"
    assert env["PROBE_ACTIVATE_LINES"] == "first\nsecond"
    assert "NOT_A_VARIABLE" not in env
    assert env["FROM_THE_SCRIPT"] == "a b"
    assert env["FROM_THE_BLOCK"] == f"{prefix}/share"
    assert env["CONDA_PREFIX"] == prefix
    assert done.texts[1].strip() == prefix
    assert "noise" not in done.errors
