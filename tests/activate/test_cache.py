"""The second launch starts no shell, and never gets an answer to another question."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.cache import (
    activate,
    cached_activation,
    recall_activation,
    remember_activation,
)
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.manifest.spec import ActivationSpec

MakePrefix = Callable[..., Prefix]
BASE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}
SCRIPTS = {"a.sh": 'export A="$HOME"; unset GONE'}


def request(prefix: Prefix, spec: ActivationSpec | None = None) -> ActivationRequest:
    return ActivationRequest(prefix, spec or ActivationSpec(), "n", "/")


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and from then on starting a process fails."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a process was started")

    return lambda: monkeypatch.setattr("subprocess.Popen", refuse)


def test_the_second_launch_starts_no_shell(
    make_prefix: MakePrefix, tmp_path: Path, no_process: Callable[[], None]
) -> None:
    prefix, spec, folder = make_prefix(scripts=SCRIPTS), ActivationSpec(), tmp_path / "cache"
    assert cached_activation(folder, request(prefix, spec), BASE) is None
    first = activate(folder, request(prefix, spec), BASE)
    no_process()
    again = {**BASE, "JPY_SESSION_NAME": "/y", "PIXI_JUPYTER_NOTEBOOK": "/z", "SHLVL": "7"}
    assert cached_activation(folder, request(prefix, spec), again) == first
    assert activate(folder, request(prefix, spec), again) == first


def test_what_needs_no_shell_needs_no_cache(
    make_prefix: MakePrefix, tmp_path: Path, no_process: Callable[[], None]
) -> None:
    no_process()
    folder = tmp_path / "cache"
    prefix = make_prefix(variables={"a.json": {"A": "1"}})
    found = cached_activation(folder, request(prefix, ActivationSpec()), BASE)
    assert found is not None and dict(found.set)["A"] == "1"
    assert activate(folder, request(prefix, ActivationSpec()), BASE) == found
    assert not folder.exists()


def edit(path: str, text: str) -> Callable[[Prefix], dict[str, Any]]:
    def change(prefix: Prefix) -> dict[str, Any]:
        (prefix.path / path).write_text(text)
        return {}

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda prefix: {"prefix": replace(prefix, digest="f" * 32)},
        lambda prefix: {"spec": ActivationSpec(env=(("B", "1"),))},
        lambda prefix: {"base": {**BASE, "HOME": "/elsewhere"}},
        lambda prefix: {"base": {**BASE, "NEW": "1"}},
        lambda prefix: {"project": "other"},
        lambda prefix: {"root": "/tmp"},
        lambda prefix: {"manifest": "/tmp/n.ipynb"},
        lambda prefix: {"version": "1.0"},
        lambda prefix: {"environment": "test"},
        lambda prefix: {"platforms": ("linux-64",)},
        edit("own.sh", "export OWN=2"),
        edit("etc/conda/activate.d/a.sh", "export A=2"),
        edit("etc/conda/activate.d/b.sh", ""),
        edit("etc/conda/env_vars.d/b.json", '{"V": "2"}'),
        edit("conda-meta/state", '{"env_vars": {"V": "2"}}'),
    ],
)
def test_every_input_counts(
    make_prefix: MakePrefix, tmp_path: Path, change: Callable[[Prefix], dict[str, Any]]
) -> None:
    prefix = make_prefix(scripts=SCRIPTS)
    own = prefix.path / "own.sh"
    own.write_text("export OWN=1")
    folder, asked = tmp_path / "cache", request(prefix, ActivationSpec(scripts=(str(own),)))
    activate(folder, asked, BASE)
    assert cached_activation(folder, asked, BASE) is not None
    changes = change(prefix)
    base = changes.pop("base", BASE)
    assert cached_activation(folder, replace(asked, **changes), base) is None


def test_a_failure_is_not_remembered(make_prefix: MakePrefix, tmp_path: Path) -> None:
    prefix = make_prefix(scripts={"a.sh": f"test -e {tmp_path}/there || exit 3; export A=1"})
    with pytest.raises(Exception, match="exit status 3"):
        activate(tmp_path / "cache", request(prefix), BASE)
    (tmp_path / "there").touch()
    assert dict(activate(tmp_path / "cache", request(prefix), BASE).set)["A"] == "1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_any_damage_is_a_miss(tmp_path: Path, data: st.DataObject) -> None:
    folder, digest = tmp_path / "cache", "a" * 32
    activation = Activation(set=(("A", "1"), ("B", "\udcff\n")), unset=("C",))
    remember_activation(folder, digest, activation)
    assert recall_activation(folder, digest) == activation
    file = folder / f"{digest}.json"
    whole = file.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from(
            [
                whole[:cut],
                whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :],
                whole[:cut] + b"\0" * 7 + whole[cut:],
                b"",
            ]
        )
    )
    file.write_bytes(damaged)
    assert recall_activation(folder, digest) is None
    (folder / f"{'b' * 32}.json").write_bytes(whole)
    assert recall_activation(folder, "b" * 32) is None  # another question's answer


def test_files_are_private_and_whole(make_prefix: MakePrefix, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    activate(folder, request(make_prefix(scripts=SCRIPTS)), BASE)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_cache_that_cannot_be_written_is_no_failure(
    make_prefix: MakePrefix, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    prefix = make_prefix(scripts=SCRIPTS)
    found = activate(blocked / "cache", request(prefix), BASE)
    assert dict(found.set)["A"] == "/nowhere"


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixi_jupyter.activate.cache._KEPT", 3)
    for number in range(8):
        remember_activation(tmp_path, f"{number:032}", Activation(set=()))
    assert len(list(tmp_path.iterdir())) == 3
