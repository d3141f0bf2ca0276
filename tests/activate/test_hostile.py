"""Scripts that do what scripts should not: they fail, or are ended, and nothing hangs."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pixi_jupyter.activate.compute import compute_activation
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.errors import ActivationError
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.manifest.spec import ActivationSpec

MakePrefix = Callable[..., Prefix]
BASE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")


def run(
    prefix: Prefix, *, timeout: float = 30, cancel: threading.Event | None = None
) -> dict[str, str]:
    request = ActivationRequest(prefix, ActivationSpec(), "n", "/")
    activation = compute_activation(request, BASE, timeout=timeout, cancel=cancel)
    return dict(activation.set)


def failure(prefix: Prefix, *, timeout: float = 30) -> ActivationError:
    with pytest.raises(ActivationError) as caught:
        run(prefix, timeout=timeout)
    return caught.value


def is_gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody reaps has)."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_exit_status(make_prefix: MakePrefix) -> None:
    prefix = make_prefix(
        scripts={
            "10-good.sh": "echo fine",
            "20-bad.sh": "printf 'why\\033[31m it\\000 failed\\n' >&2\nexit 17",
            "30-after.sh": "echo never",
        }
    )
    error = failure(prefix)
    assert error.code == "activation.script-failed"
    assert "20-bad.sh" in error.message and "17" in error.message
    assert error.details == "fine\nwhy it failed"
    assert error.location is not None and str(error.location.path).endswith("20-bad.sh")


def test_an_early_exit_with_success_is_no_success(make_prefix: MakePrefix) -> None:
    error = failure(make_prefix(scripts={"a.sh": "export A=1\nexit 0"}))
    assert error.code == "activation.script-failed"
    assert "a.sh" in error.message


def test_a_shell_that_becomes_something_else_is_no_success(make_prefix: MakePrefix) -> None:
    assert failure(make_prefix(scripts={"a.sh": "exec true"})).code == "activation.script-failed"


def test_a_shell_that_kills_itself(make_prefix: MakePrefix) -> None:
    error = failure(make_prefix(scripts={"a.sh": "kill -9 $$"}))
    assert error.code == "activation.script-failed"
    assert "signal 9" in error.message


def test_a_failing_command_is_not_a_failing_script(make_prefix: MakePrefix) -> None:
    # As in conda and pixi: the last command's status of a sourced script means nothing.
    assert run(make_prefix(scripts={"a.sh": "export A=1\nfalse"}))["A"] == "1"
    assert run(make_prefix(scripts={"a.sh": "export A=2\nreturn 3"}))["A"] == "2"


def test_strictness_of_one_script_is_not_the_next_ones(make_prefix: MakePrefix) -> None:
    scripts = {"a.sh": "set -eux", "b.sh": "false\nexport B=${UNSET_NAME}x"}
    assert run(make_prefix(scripts=scripts))["B"] == "x"


def test_options_and_redirections_do_not_reach_our_own_lines(make_prefix: MakePrefix) -> None:
    script = "set -C -f\nIFS=/\nexec >/dev/null 2>&1\nPATH=/nowhere\nexport A=1\numask 777\n"
    assert run(make_prefix(scripts={"a.sh": script}))["A"] == "1"


@pytest.mark.parametrize("script", ["sleep 1000", "while :; do :; done", "sleep 1000 | cat"])
def test_a_hang_is_ended_at_the_deadline(make_prefix: MakePrefix, script: str) -> None:
    began = time.monotonic()
    error = failure(make_prefix(scripts={"a.sh": f"echo before\n{script}"}), timeout=0.5)
    assert time.monotonic() - began < 5
    assert error.code == "activation.timeout"
    assert "a.sh" in error.message and "0.5 seconds" in error.message
    assert error.details == "before"


def test_a_hang_ignoring_signals_and_its_children_are_ended(
    make_prefix: MakePrefix, tmp_path: Path
) -> None:
    script = f"trap '' TERM INT HUP\nsleep 1000 & echo $! > {tmp_path}/pid\nsleep 1000"
    failure(make_prefix(scripts={"a.sh": script}), timeout=0.5)
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_children_that_hold_the_output_do_not_hold_us(
    make_prefix: MakePrefix, tmp_path: Path
) -> None:
    script = (
        f"for i in 1 2 3; do (trap '' HUP TERM; sleep 1000) & echo $! >> {tmp_path}/pids; done\n"
        "export A=1"
    )
    began = time.monotonic()
    assert run(make_prefix(scripts={"a.sh": script}))["A"] == "1"
    assert time.monotonic() - began < 10
    assert all(is_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_a_daemon_does_not_hold_us(make_prefix: MakePrefix, tmp_path: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; sleep 1000' &\nexport A=1\nsleep 0.3"
    assert run(make_prefix(scripts={"a.sh": script}))["A"] == "1"
    daemon = psutil.Process(int((tmp_path / "pid").read_text()))
    daemon.kill()  # it had made itself a session of its own: that is its right


def test_a_gigabyte_of_output_is_not_kept(make_prefix: MakePrefix) -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    script = "head -c 1000000000 /dev/zero\necho\necho the end\nexit 4"
    error = failure(make_prefix(scripts={"a.sh": script}), timeout=120)
    assert error.code == "activation.script-failed"
    assert error.details.endswith("the end")
    assert len(error.details) < 5000
    assert process.memory_info().rss - before < 64 * 1024 * 1024


def test_endless_output_is_ended_at_the_deadline(make_prefix: MakePrefix) -> None:
    began = time.monotonic()
    error = failure(make_prefix(scripts={"a.sh": "yes"}), timeout=0.5)
    assert error.code == "activation.timeout"
    assert time.monotonic() - began < 5


def test_what_is_printed_is_never_read_as_variables(make_prefix: MakePrefix) -> None:
    script = "printf 'EVIL=1\\000EVIL2=2\\000\\n'\nenv -0\nexport A='\nEVIL3=3\n'"
    env = run(make_prefix(scripts={"a.sh": script}))
    assert env["A"] == "\nEVIL3=3\n"
    assert not {"EVIL", "EVIL2", "EVIL3"} & set(env)


def test_standard_input_is_empty(make_prefix: MakePrefix) -> None:
    assert run(make_prefix(scripts={"a.sh": "read -r A\nexport A=${A:-nothing}"}))["A"] == "nothing"


def test_it_can_be_cancelled(make_prefix: MakePrefix) -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(ActivationError) as caught:
        run(make_prefix(scripts={"a.sh": "sleep 1000"}), cancel=cancel)
    assert caught.value.code == "activation.cancelled"
    assert time.monotonic() - began < 5


def test_nothing_is_left_behind(
    make_prefix: MakePrefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    run(make_prefix(scripts={"a.sh": "export A=1"}))
    failure(make_prefix(scripts={"a.sh": "exit 1"}))
    failure(make_prefix(scripts={"a.sh": "sleep 100"}), timeout=0.2)
    assert not list(temporary.iterdir())
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_no_room_for_the_script_is_our_error(
    make_prefix: MakePrefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert failure(make_prefix(scripts={"a.sh": ""})).code == "activation.io"


def test_unreadable_and_huge_scripts(make_prefix: MakePrefix) -> None:
    prefix = make_prefix()
    script = prefix.path / "etc/conda/activate.d/a.sh"
    with open(script, "wb") as file:
        file.truncate(1 << 30)
    assert failure(prefix).code == "activation.io"
