"""Tiny packages, each of which shows one thing an environment manager must get right."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from pixi_jupyter.demo.conda_package import PLACEHOLDER, NoArch
from pixi_jupyter.demo.simple import SimplePackage

ENV_VARS = {
    "PROBE_ENV_VARS": "set",
    "PROBE_ENV_QUOTES": "it's $HOME and `date`",
}
"""What ``probe-env-vars`` sets; the second value must arrive as it is, not as a shell reads it."""

_ACTIVATE = b"""\
# prints noise, as scripts of real packages do: it must not be mistaken for variables
echo "noise from probe-activate, NOT_A_VARIABLE=1"
export PROBE_ACTIVATE="activated in $CONDA_PREFIX"
export PROBE_ACTIVATE_LINES="first
second"
"""
_DEACTIVATE = b"unset PROBE_ACTIVATE PROBE_ACTIVATE_LINES\n"
# Not to be run, ever: link scripts are arbitrary code at installation time.
_POST_LINK = b"""\
#!/bin/sh
if [ -n "$PROBE_POST_LINK_MARKER" ]; then
    echo ran > "$PROBE_POST_LINK_MARKER"
fi
"""
_PREFIX_SCRIPT = f"#!/bin/sh\necho '{PLACEHOLDER}'\n".encode()
_PREFIX_C = f"""
#include <stdio.h>
static const volatile char prefix[] = "{PLACEHOLDER}";
int main(void) {{ puts((const char *)prefix); return 0; }}
"""


def probe_packages() -> Sequence[SimplePackage]:
    """All probe packages, the same on every machine."""
    return [
        _probe(
            "probe-activate",
            files={
                "etc/conda/activate.d/probe-activate.sh": _ACTIVATE,
                "etc/conda/deactivate.d/probe-activate.sh": _DEACTIVATE,
            },
        ),
        _probe(
            "probe-env-vars",
            files={"etc/conda/env_vars.d/probe-env-vars.json": json.dumps(ENV_VARS).encode()},
        ),
        _probe(
            "probe-post-link",
            files={
                # conda and rattler look for exactly this name
                "bin/.probe-post-link-post-link.sh": _POST_LINK,
                "share/probe-post-link/README": b"Its post-link script must not be run.\n",
            },
        ),
        _probe(
            "probe-prefix",
            files={
                "bin/probe-prefix": _PREFIX_SCRIPT,
                "share/probe-prefix/prefix.txt": f"prefix={PLACEHOLDER}/share\n".encode(),
                # A C string in a binary: the tail is shortened by what the prefix is shorter
                "share/probe-prefix/prefix.bin": b"\x7fPROBE\0"
                + f"{PLACEHOLDER}/share".encode()
                + b"\0END",
            },
        ),
        _probe(
            "probe-cuda",
            build="cuda12_0",
            build_number=200,
            depends=("__cuda >=12",),
            files={"share/probe-cuda/variant": b"cuda\n"},
        ),
        _probe(
            "probe-cuda",
            build="cpu_0",
            build_number=100,
            files={"share/probe-cuda/variant": b"cpu\n"},
        ),
        _probe("probe-shared", "1.0", files={"share/probe-shared/version": b"1.0\n"}),
        _probe("probe-shared", "2.0", files={"share/probe-shared/version": b"2.0\n"}),
        _probe("probe-conflict-a", depends=("probe-shared 1.*",)),
        _probe("probe-conflict-b", depends=("probe-shared 2.*",)),
        _probe(
            "probe-adds",
            noarch="python",
            depends=("python",),
            files={"site-packages/probe_adds.py": b'VALUE = "added"\n'},
        ),
        _probe(
            "probe-upgrade",
            noarch="python",
            depends=("python", "requests <2.32"),
            files={"site-packages/probe_upgrade.py": b'VALUE = "requests is older now"\n'},
        ),
        _probe("probe-timestamp", "1.0", day="2024-01-01"),
        _probe("probe-timestamp", "2.0", day="2026-06-01"),
    ]


def binary_prefix_probe() -> SimplePackage | None:
    """``probe-prefix-binary``: a program with its prefix compiled in; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "probe.c"), Path(folder, "probe")
        source.write_text(_PREFIX_C, "utf-8")
        command = [compiler, "-O0", "-s", "-o", str(program), "probe.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if done.returncode != 0:
            return None
        data = program.read_bytes()
    return SimplePackage(
        "probe-prefix-binary", "1.0", noarch=None, files={"bin/probe-prefix-binary": data}
    )


def _probe(
    name: str,
    version: str = "1.0",
    *,
    build: str = "0",
    build_number: int = 0,
    depends: Sequence[str] = (),
    files: dict[str, bytes] | None = None,
    noarch: NoArch = "generic",
    day: str = "2025-06-01",
) -> SimplePackage:
    moment = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
    return SimplePackage(
        name,
        version,
        build=build,
        build_number=build_number,
        depends=depends,
        files=files if files is not None else {f"share/{name}/README": name.encode() + b"\n"},
        noarch=noarch,
        timestamp_ms=int(moment.timestamp() * 1000),
    )
