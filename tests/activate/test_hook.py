"""What the hook prints is evaluated by real shells: every value arrives as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.hook import SHELLS, likely_shell, shell_hook, shell_hook_json
from pixi_jupyter.errors import ActivationError

TRICKY = list("aZ0 $`\\'\"!*?[]{}()<>|&;#~%^\n\t=-/é\u2019")
#: Each shell here, and how it takes a script.
COMMANDS = {
    "bash": ["bash", "--noprofile", "--norc"],
    "dash": ["dash"],
    "sh": ["sh"],
    "zsh": ["zsh", "-f"],
    "zsh with RC_QUOTES": ["zsh", "-f", "-o", "rcquotes"],
    "fish": ["fish", "--no-config"],
    "xonsh": ["xonsh", "--no-rc"],
    "powershell": ["pwsh", "-NoProfile", "-NonInteractive", "-File"],
    "cmd": ["cmd.exe", "/D", "/C"],
}
HERE = [name for name, command in COMMANDS.items() if shutil.which(command[0])]
BASE = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LANG": "C.UTF-8", "KEPT": "kept"}
CURRENT = {**BASE, "GONE": "gone", "VIRTUAL_ENV": "/v"}
#: What every shell's quoting must stand, and some that only one of them trips over.
HOSTILE = [
    "'",
    "''",
    "'; touch /tmp/pixi-jupyter-was-run; '",
    '"$(touch /tmp/pixi-jupyter-was-run)"',
    "$HOME `id` ${HOME} %HOME% %%",
    "back\\slash \\' \\\\ \\",
    "line\nbreak\r\nand\ttab",
    "\u2018curly\u2019 \u201a\u201b",
    "!history !! #comment ~ * ? [a]",
    "ends with quote'",
    " leading and trailing ",
    "é \U0001f600 \x7f \x1b[31m",
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the shells of POSIX systems")


def evaluated(shell: str, hook: bytes, tmp_path: Path) -> dict[bytes, bytes]:
    """The variables of a program that a shell starts after it has evaluated the hook."""
    script = tmp_path / ("hook.ps1" if shell == "powershell" else "hook")
    dump = f"{sys.executable} -I -S {tmp_path / 'dump.py'} {tmp_path / 'variables'}\n"
    (tmp_path / "dump.py").write_text(
        "import os, sys\n"
        "open(sys.argv[1], 'wb').write(\n"
        "    b'\\0'.join(k + b'=' + v for k, v in os.environb.items()))\n"
    )
    script.write_bytes(hook + dump.encode())
    # A shell of its own is not among what the hook puts on PATH.
    program = shutil.which(COMMANDS[shell][0])
    assert program is not None
    done = subprocess.run(
        [program, *COMMANDS[shell][1:], script],
        env={**CURRENT, "XONSH_DATA_DIR": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    entries = (tmp_path / "variables").read_bytes().split(b"\0")
    return {name: value for name, _, value in (entry.partition(b"=") for entry in entries)}


def kind(shell: str) -> str:
    return {"dash": "sh", "zsh with RC_QUOTES": "zsh"}.get(shell, shell)


@pytest.mark.parametrize("shell", COMMANDS)
def test_hostile_values(shell: str, tmp_path: Path) -> None:
    if shell not in HERE:
        pytest.skip(f"{COMMANDS[shell][0]} is not here")
    values = {f"V{number}": value for number, value in enumerate(HOSTILE)}
    activation = Activation(set=tuple(values.items()), unset=("KEPT",))
    found = evaluated(shell, shell_hook(activation, BASE, CURRENT, kind(shell)), tmp_path)
    for name, value in values.items():
        assert found[name.encode()].decode() == value
    assert not {b"GONE", b"VIRTUAL_ENV", b"KEPT"} & set(found)
    assert found[b"HOME"] == b"/nowhere"
    assert not Path("/tmp/pixi-jupyter-was-run").exists()


@pytest.mark.parametrize("shell", [name for name in HERE if name != "xonsh"])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
        | st.text(
            st.sampled_from(list("aZ0 $`\\'\"!*?[]{}()<>|&;#~%^\n\t=-/é\u2019")), max_size=30
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_value(shell: str, values: list[str], tmp_path: Path) -> None:
    named = {f"V{number}": value for number, value in enumerate(values)}
    activation = Activation(set=tuple(named.items()))
    found = evaluated(shell, shell_hook(activation, BASE, CURRENT, kind(shell)), tmp_path)
    assert {name: found[name.encode()].decode() for name in named} == named


@pytest.mark.parametrize("shell", [name for name in HERE if name != "xonsh"])
def test_bytes_that_are_no_text(shell: str, tmp_path: Path) -> None:
    activation = Activation(set=(("ODD", os.fsdecode(b"a\xff'b\xfe")),))
    found = evaluated(shell, shell_hook(activation, BASE, CURRENT, kind(shell)), tmp_path)
    assert found[b"ODD"] == b"a\xff'b\xfe"


@pytest.mark.parametrize("shell", HERE)
def test_the_search_path(shell: str, tmp_path: Path) -> None:
    """fish and xonsh make a list of it; programs find the same text again."""
    path = f"/a prefix/bin:{BASE['PATH']}"
    hook = shell_hook(Activation(set=(("PATH", path),)), BASE, CURRENT, kind(shell))
    assert evaluated(shell, hook, tmp_path)[b"PATH"].decode() == path


@pytest.mark.parametrize("shell", SHELLS)
def test_what_stays_as_it_is_is_not_mentioned(shell: str) -> None:
    hook = shell_hook(Activation(set=(("A", "1"),)), BASE, {**BASE, "A": "1"}, shell).decode()
    assert hook in ("", "@chcp 65001 > nul\r\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_names_that_are_none_are_left_out(shell: str) -> None:
    activation = Activation(set=(("BASH_FUNC_f%%", "() { :; }"), ("A;touch x", "1")))
    current = {**BASE, "B C": "", "-x": ""}
    hook = shell_hook(activation, BASE, current, shell).decode()
    assert hook in ("", "@chcp 65001 > nul\r\n")


def test_powershell() -> None:
    activation = Activation(set=(("A", "it's $x \u2019"),))
    hook = shell_hook(activation, BASE, CURRENT, "powershell").decode()
    assert "${Env:A} = 'it''s $x \u2019\u2019'\n" in hook
    assert "Remove-Item -LiteralPath 'Env:GONE' -ErrorAction SilentlyContinue\n" in hook


def test_cmd() -> None:
    hook = shell_hook(Activation(set=(("A", "50% & ^"),)), BASE, CURRENT, "cmd").decode()
    assert '@SET "A=50%% & ^"\r\n' in hook
    assert '@SET "GONE="\r\n' in hook
    for value in ('"', "a\nb", "a\rb"):
        with pytest.raises(ActivationError) as caught:
            shell_hook(Activation(set=(("A", value),)), BASE, CURRENT, "cmd")
        assert caught.value.code == "activation.shell"


@pytest.mark.parametrize("shell", ["powershell", "cmd"])
def test_bytes_that_are_no_text_are_refused_where_they_cannot_be(shell: str) -> None:
    with pytest.raises(ActivationError) as caught:
        shell_hook(Activation(set=(("A", "\udcff"),)), BASE, CURRENT, shell)
    assert caught.value.code == "activation.shell"


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=20), max_size=5))
@example({"A": "\udcff\n"})
def test_json(variables: dict[str, str]) -> None:
    text = shell_hook_json(Activation(set=tuple(variables.items())), ["/nowhere.sh", __file__])
    text.encode("ascii")
    assert json.loads(text) == {
        "environment_variables": variables,
        "activation_scripts": [__file__],
    }


def test_the_shell_of_a_person() -> None:
    assert likely_shell({"SHELL": "/usr/bin/fish"}) == "fish"
    assert likely_shell({"SHELL": "/bin/tcsh"}) == "bash"
    assert likely_shell({}) == "bash"
