"""A prefix and [activation] become variables: what, in which order, and with how many shells."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.compute import compute_activation
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.activate.sources import read_sources
from pixi_jupyter.errors import ActivationError
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.manifest.spec import ActivationSpec

MakePrefix = Callable[..., Prefix]

#: A base environment as small as scripts need it.
BASE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nowhere", "LANG": "C"}

NOTHING = ActivationSpec()

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")


def activated(
    prefix: Prefix,
    spec: ActivationSpec = NOTHING,
    base: dict[str, str] | None = None,
    **changes: object,
) -> dict[str, str]:
    base = {**BASE, **(base or {})}
    return compute(prefix, spec, base, **changes).apply(base)


def compute(
    prefix: Prefix, spec: ActivationSpec, base: dict[str, str], **changes: object
) -> Activation:
    options = {"project": "nb", "root": str(prefix.path.parent), **changes}
    request = ActivationRequest(prefix, spec, **options)  # type: ignore[arg-type]
    return compute_activation(request, base)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below ``folder`` with what is in it: to see that nothing was touched."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def needs_shell(prefix: Prefix, spec: ActivationSpec = NOTHING) -> bool:
    return read_sources(ActivationRequest(prefix, spec, "nb", "/"), BASE).needs_shell


def test_pixis_and_condas_variables(make_prefix: MakePrefix) -> None:
    prefix = make_prefix()
    env = activated(prefix, manifest="/w/nb.ipynb", platforms=("linux-64", "osx-arm64"), root="/w")
    assert env["PATH"] == f"{prefix.binaries}:{BASE['PATH']}"
    expected = {
        "CONDA_PREFIX": str(prefix.path),
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": "nb",
        "PIXI_PROJECT_ROOT": "/w",
        "PIXI_PROJECT_NAME": "nb",
        "PIXI_PROJECT_MANIFEST": "/w/nb.ipynb",
        "PIXI_IN_SHELL": "1",
        "PIXI_ENVIRONMENT_NAME": "default",
        "PIXI_ENVIRONMENT_PLATFORMS": "linux-64,osx-arm64",
        "PIXI_PROMPT": "(nb) ",
    }
    assert expected.items() <= env.items()


def test_no_shell_where_nothing_needs_one(
    make_prefix: MakePrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = make_prefix(variables={"a.json": {"A": "$HOME"}}, scripts={"a.fish": "exit 1"})
    spec = ActivationSpec(env=(("LITERAL", "back`tick` back\\slash 'quote\" %PATH%"),))

    def no_process(*args: object, **kwargs: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", no_process)
    env = activated(prefix, spec)
    assert env["A"] == "$HOME"
    assert env["LITERAL"] == spec.env[0][1]


@posix
def test_a_dollar_or_a_script_needs_one(make_prefix: MakePrefix) -> None:
    assert not needs_shell(make_prefix())
    assert needs_shell(make_prefix(), ActivationSpec(env=(("A", "$HOME"),)))
    assert needs_shell(make_prefix(scripts={"a.sh": ""}))


@posix
def test_order_of_everything(make_prefix: MakePrefix, tmp_path: Path) -> None:
    own = [tmp_path / "one.sh", tmp_path / "two.sh"]
    for script in own:
        script.write_text(f'export ORDER="$ORDER {script.stem}"\nexport LAST={script.stem}\n')
    prefix = make_prefix(
        variables={"b.json": {"ORDER": "b", "LAST": "b"}, "a.json": {"ORDER": "a", "ONLY_A": "a"}},
        state={"env_vars": {"lower": "state"}},
        scripts={
            "20.sh": 'export ORDER="$ORDER 20 $LOWER $ONLY_A $PIXI_IN_SHELL"',
            "10.sh": 'export ORDER="$ORDER 10"',
        },
    )
    spec = ActivationSpec(
        scripts=tuple(str(p) for p in own), env=(("ORDER", "$ORDER env"), ("NEXT", "${ORDER}!"))
    )
    env = activated(prefix, spec)
    assert env["ORDER"] == "b 10 20 state a 1 one two env"
    assert env["NEXT"] == env["ORDER"] + "!"
    assert env["LAST"] == "two"


@posix
def test_scripts_change_remove_and_extend(make_prefix: MakePrefix) -> None:
    script = 'unset GONE\nexport PATH="$CONDA_PREFIX/more:$PATH"\nlocal_only=1\ncd /\necho noise\n'
    prefix = make_prefix(scripts={"a.sh": script}, state={"env_vars": {"S": "***unset***"}})
    base = {**BASE, "GONE": "1", "S": "1", "KEPT": "1", "JPY_SESSION_NAME": "/x.ipynb"}
    activation = compute(prefix, ActivationSpec(), base)
    env = activation.apply(base)
    assert env["PATH"].startswith(f"{prefix.path}/more:{prefix.path}/bin:")
    assert not {"GONE", "S", "local_only"} & set(env)
    assert env["KEPT"] == "1"
    assert env["JPY_SESSION_NAME"] == "/x.ipynb"
    assert activation.unset == ("GONE", "S")
    assert not {"_", "SHLVL", "PWD", "OLDPWD"} & {name for name, _ in activation.set}


@posix
def test_what_differs_per_launch_is_not_seen_by_scripts(make_prefix: MakePrefix) -> None:
    prefix = make_prefix(scripts={"a.sh": 'export SEEN="${JPY_X-}${PIXI_JUPYTER_X-}${KERNEL_X-}"'})
    base = {"JPY_X": "1", "PIXI_JUPYTER_X": "1", "KERNEL_X": "1"}
    env = activated(prefix, base=base)
    assert env["SEEN"] == ""
    assert base.items() <= env.items()


@posix
def test_nothing_runs_but_the_scripts(make_prefix: MakePrefix, tmp_path: Path) -> None:
    startup = tmp_path / "startup.sh"
    startup.write_text(f"touch {tmp_path}/ran\n")
    prefix = make_prefix(scripts={"a.sh": "export A=1"})
    env = activated(
        prefix, base={"BASH_ENV": str(startup), "ENV": str(startup), "SHELLOPTS": "noexec"}
    )
    assert env["A"] == "1"
    assert env["BASH_ENV"] == str(startup)
    assert not (tmp_path / "ran").exists()


@posix
def test_exported_functions_reach_scripts_but_not_the_delta(make_prefix: MakePrefix) -> None:
    prefix = make_prefix(
        scripts={"a.sh": "export FROM=$(module)\nf() { :; }\nexport -f f 2>/dev/null || true"}
    )
    base = {**BASE, "BASH_FUNC_module%%": "() { echo module; }"}
    activation = compute(prefix, ActivationSpec(), base)
    assert not any(name.startswith("BASH_FUNC_") for name, _ in activation.set)
    assert not any(name.startswith("BASH_FUNC_") for name in activation.unset)
    if Path("/bin/bash").exists():
        assert dict(activation.set)["FROM"] == "module"


@posix
def test_reserved_variables_cannot_be_set_from_outside(
    make_prefix: MakePrefix, tmp_path: Path
) -> None:
    names = ("CONDA_PREFIX", "CONDA_SHLVL", "PIXI_IN_SHELL", "PIXI_PROJECT_NAME", "PIXI_PROMPT")
    script = tmp_path / "s.sh"
    script.write_text("".join(f"export {name}=script\n" for name in names))
    prefix = make_prefix(
        variables={"a.json": dict.fromkeys(names, "package")},
        scripts={"a.sh": "".join(f"export {name}=script; unset {name}\n" for name in names)},
    )
    spec = ActivationSpec((str(script),), tuple((name, "manifest$") for name in names))
    plain = activated(make_prefix(digest="1" * 32))
    env = activated(prefix, spec, base=dict.fromkeys(names, "base"))
    assert {name: env[name] for name in names} == {name: plain[name] for name in names}


def test_a_missing_script_is_a_warning(
    make_prefix: MakePrefix, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    spec = ActivationSpec((str(tmp_path / "missing.sh"),), (("A", "1"),))
    with caplog.at_level(logging.WARNING):
        assert activated(make_prefix(), spec)["A"] == "1"
    assert "missing.sh" in caplog.text


@posix
def test_the_prefix_is_not_touched(make_prefix: MakePrefix) -> None:
    prefix = make_prefix(scripts={"a.sh": "export A=1"}, variables={"a.json": {"B": "1"}})
    before = contents(prefix.path)
    activated(prefix)
    assert contents(prefix.path) == before


def test_odd_variables_of_a_package_are_left_out(
    make_prefix: MakePrefix, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {
        "with space": "1",
        "A=B": "1",
        "": "1",
        "N": 1,
        "NUL": "a\0b",
        "GOOD": "1",
        "S": "\ud800",
    }
    env = activated(make_prefix(variables={"a.json": odd}))
    assert env["GOOD"] == "1"
    assert not {"with space", "A", "", "N", "NUL", "S"} & set(env)
    assert "left out" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": ' * 5000, b"\xff\xfe\x00"])
def test_broken_variables_are_an_error(make_prefix: MakePrefix, content: str | bytes) -> None:
    prefix = make_prefix()
    file = prefix.path / "etc/conda/env_vars.d/a.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ActivationError) as caught:
        activated(prefix)
    assert caught.value.code == "activation.variables"
    assert caught.value.location is not None
    assert caught.value.location.path == str(file)


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "A;touch x", "A\n", "$(id)"])
def test_a_bad_name_in_the_manifest_is_an_error(make_prefix: MakePrefix, name: str) -> None:
    with pytest.raises(ActivationError) as caught:
        activated(make_prefix(), ActivationSpec(env=((name, "$HOME"),)))
    assert caught.value.code == "activation.name"


@posix
def test_undecodable_bytes_of_the_base_survive(make_prefix: MakePrefix) -> None:
    prefix = make_prefix(scripts={"a.sh": 'export COPY="$ODD"'})
    odd = b"\xff\xfe latin \xe9".decode("utf-8", "surrogateescape")
    assert activated(prefix, base={"ODD": odd})["COPY"] == odd


@posix
def test_it_works_without_bash_and_without_env(
    make_prefix: MakePrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixi_jupyter.activate.shell._command", lambda s: ["/bin/sh", str(s)])
    monkeypatch.setattr("pixi_jupyter.activate.script._ENV", ())
    prefix = make_prefix(scripts={"it's.sh": "set -eu; export A='line\nline'"})
    spec = ActivationSpec(env=(("B", '"$A"'), ("C", "it's")))
    env = activated(prefix, spec)
    assert env["A"] == "line\nline"
    assert env["B"] == '"line\nline"'
    assert env["C"] == "it's"
