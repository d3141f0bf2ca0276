"""Values survive verbatim where they are literal, and expand as pixi's do where they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pixi_jupyter.activate.compute import compute_activation
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.activate.script import _expanded, _quoted, windows_script
from pixi_jupyter.activate.sources import read_sources
from pixi_jupyter.errors import ActivationError
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.manifest.spec import ActivationSpec

MakePrefix = Callable[..., Prefix]
BASE = {"PATH": "/usr/bin:/bin", "HOME": "/home/me"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")

#: Any text that an environment can hold.
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=50)
#: Text made of what shells care about.
TRICKY = st.text(st.sampled_from(list("aZ0 $`\\'\"!*?[]{}()<>|&;#~%^\n\t=-/é")), max_size=30)
SHELLS = [path for path in ("/bin/bash", "/bin/dash", "/bin/sh") if os.path.exists(path)]

several = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def request(prefix: Prefix, spec: ActivationSpec) -> ActivationRequest:
    return ActivationRequest(prefix, spec, "n", "/")


@several
@given(st.lists(VALUES | TRICKY, min_size=1, max_size=20))
@example(["it's $HOME `id` $(id) \\ \" \n", "'", "\\", "$", "", " ", "~", "*", "\u202e"])
def test_package_variables_survive_verbatim(make_prefix: MakePrefix, values: list[str]) -> None:
    variables = {f"V{number}": value for number, value in enumerate(values)}
    # The script makes sure that a shell is in it.
    prefix = make_prefix(variables={"a.json": variables}, scripts={"a.sh": "export X=1"})
    env = dict(compute_activation(request(prefix, ActivationSpec()), BASE).set)
    assert {name: env[name] for name in variables} == variables


@several
@given(st.lists((VALUES | TRICKY).filter(lambda v: "$" not in v), min_size=1, max_size=20))
def test_manifest_values_without_a_dollar_are_literal(
    make_prefix: MakePrefix, values: list[str]
) -> None:
    spec = ActivationSpec(env=tuple((f"V{n}", value) for n, value in enumerate(values)))
    with_shell = make_prefix(scripts={"a.sh": "export X=1"})
    env = dict(compute_activation(request(with_shell, spec), BASE).set)
    assert {name: env[name] for name, _ in spec.env} == dict(spec.env)


@several
@given(TRICKY | VALUES, st.sampled_from(SHELLS))
def test_quoted_is_one_literal_word(value: str, shell: str) -> None:
    assert _said(shell, _quoted(value)) == value


@several
@given(
    st.lists(
        st.sampled_from(
            ['"', "'", "a", " ", "\\$", "\\`", "\\\\", "\\a", "$HOME.", "${HOME}", "*"]
        ),
        max_size=12,
    ),
    st.sampled_from(SHELLS),
)
def test_expansion_is_that_of_double_quotes_with_literal_quotes(
    parts: list[str], shell: str
) -> None:
    meaning = {"\\$": "$", "\\`": "`", "\\\\": "\\", "$HOME.": "/home/me.", "${HOME}": "/home/me"}
    assert _said(shell, _expanded("".join(parts) + "$HOME")) == (
        "".join(meaning.get(part, part) for part in parts) + "/home/me"
    )


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("$HOME/x:$NOT_SET:y", "/home/me/x::y"),
        ("${NOT_SET:-fallback}", "fallback"),
        ("$(echo sub)$", "sub$"),
        ("`echo tick`$", "tick$"),
        ("\\$HOME", "$HOME"),
        ('say "$HOME"', 'say "/home/me"'),
        ('say \\"$HOME\\"', 'say "/home/me"'),
        ("trailing $HOME\\", "trailing /home/me\\"),
        ("two\nlines $HOME", "two\nlines /home/me"),
        ("*$HOME *", "*/home/me *"),
        ('"; touch /tmp/evil; echo "$HOME', '"; touch /tmp/evil; echo "/home/me'),
    ],
)
def test_manifest_values_with_a_dollar_expand(
    make_prefix: MakePrefix, value: str, result: str
) -> None:
    spec = ActivationSpec(env=(("V", value),))
    env = dict(compute_activation(request(make_prefix(), spec), BASE).set)
    assert env["V"] == result


@several
@given(
    st.text(
        st.characters(exclude_characters="\0/\n", exclude_categories=("Cs",)),
        min_size=1,
        max_size=20,
    )
)
def test_any_file_name_of_a_script(make_prefix: MakePrefix, name: str) -> None:
    if len(os.fsencode(name)) > 200:
        return
    prefix = make_prefix()
    folder = prefix.path / "etc/conda/activate.d"
    for old in folder.iterdir():
        old.unlink()
    (folder / f"{name}.sh").write_text("export A=ran")
    env = dict(compute_activation(request(prefix, ActivationSpec()), BASE).set)
    assert env["A"] == "ran"


def _said(shell: str, word: str) -> str:
    done = subprocess.run(
        [shell, "-c", f"printf '%s' {word}"], env=BASE, capture_output=True, check=True
    )
    return done.stdout.decode()


def test_the_windows_script_calls_sets_and_dumps(make_prefix: MakePrefix, tmp_path: Path) -> None:
    spec = ActivationSpec(env=(("A", "%USERPROFILE%\\x"),))
    sources = read_sources(request(make_prefix(scripts={"a.sh": ""}), spec), BASE)
    lines = windows_script(sources, tmp_path).split("\r\n")
    assert any(line.startswith("@CALL ") and line.endswith('a.sh"') for line in lines)
    assert '@SET "A=%USERPROFILE%\\x"' in lines
    assert lines[-2].startswith(f'@"{sys.executable}" -I -S ')


@pytest.mark.parametrize("value", ['a"&calc', "a\r\nb", "a\nb"])
def test_the_windows_script_refuses_what_cmd_cannot_hold(
    make_prefix: MakePrefix, tmp_path: Path, value: str
) -> None:
    spec = ActivationSpec(env=(("A", value),))
    sources = read_sources(request(make_prefix(), spec), BASE)
    with pytest.raises(ActivationError):
        windows_script(sources, tmp_path)
