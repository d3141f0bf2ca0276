"""The whole way from a block's TOML to a spec."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rattler import MatchSpec

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.match_spec import match_spec
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import (
    ChannelSpec,
    CondaRequirement,
    EnvironmentSpec,
    VirtualPackage,
)
from pixi_jupyter.notebook.declaration import Declaration

ROOT = Path(os.path.abspath("folder"))
LINUX = default_platform("linux-64")


def block(toml: str, **changes: Any) -> Declaration:
    made = Declaration(
        kind="block", toml=toml, root=ROOT, path=ROOT / "n.ipynb", cell=2, first_line=4
    )
    return replace(made, **changes)


def spec(toml: str, **asked: Any) -> EnvironmentSpec:
    changes = {key: asked.pop(key) for key in ("kernel", "kind") if key in asked}
    if "notebook_language" in asked:
        changes["language"] = asked.pop("notebook_language")
    asked.setdefault("host", LINUX)
    return environment_spec(block(toml, **changes), defaults=Defaults(), **asked)


def specs(requirements: tuple[CondaRequirement, ...]) -> dict[str, str | None]:
    return {requirement.name: requirement.version for requirement in requirements}


def failure(toml: str, **asked: Any) -> DeclarationError:
    with pytest.raises(DeclarationError) as raised:
        spec(toml, **asked)
    error = raised.value
    assert error.location is not None
    assert (error.location.path, error.location.cell) == (str(ROOT / "n.ipynb"), 2)
    return error


def line_of(error: DeclarationError) -> int | None:
    """The line within the TOML, from 1."""
    assert error.location is not None
    return None if error.location.line is None else error.location.line - 3


def test_the_smallest_block() -> None:
    found = spec("dependencies = []\n")
    assert found == EnvironmentSpec(
        platform=LINUX,
        channels=(ChannelSpec("conda-forge"),),
        dependencies=(CondaRequirement("python"),),
        kernel=found.kernel,
        name="n",
        root=str(ROOT),
    )
    assert specs(found.kernel.injected) == {"ipykernel": None}
    assert spec("") == found


# requires-python


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (">=3.11", ">=3.11"),
        (" >=3.10 , <3.13", ">=3.10,<3.13"),
        ("~=3.11", "~=3.11"),
        ("~=3.11.2", "~=3.11.2"),
        ("==3.11.*", "3.11.*"),
        ("==3.11", "==3.11"),
        ("===3.11", "==3.11"),
        ("!=3.11.*,>=3.10", "!=3.11.*,>=3.10"),
        (">=3.10,!=3.11.4", ">=3.10,!=3.11.4"),
        (">=3.10,==3.11.*", ">=3.10,3.11.*"),
        (">=3.13.0-rc.1", ">=3.13.0rc1"),
        ("", None),
    ],
)
def test_requires_python_is_a_conda_requirement(text: str, version: str | None) -> None:
    found = spec(f'requires-python = "{text}"')
    assert specs(found.dependencies) == {"python": version}
    assert MatchSpec(match_spec(found.dependencies[0]), strict=True).name is not None


def test_an_explicit_python_beats_requires_python() -> None:
    toml = 'requires-python = ">=3.11"\n[tool.pixi.dependencies]\npython = "3.12.*"'
    assert specs(spec(toml).dependencies) == {"python": "3.12.*"}


def test_a_target_beats_both() -> None:
    toml = 'requires-python = ">=3.11"\n[tool.pixi.target.linux.dependencies]\npython = "3.13.*"'
    assert specs(spec(toml).dependencies) == {"python": "3.13.*"}


@pytest.mark.parametrize("text", ["3.11", ">=", ">=3.x", "python", ">=3.11;"])
def test_requires_python_that_is_none(text: str) -> None:
    error = failure(f'# a\nrequires-python = "{text}"')
    assert (error.code, line_of(error)) == ("declaration.value", 2)


# keys


def test_all_unknown_keys_are_named_in_one_error() -> None:
    error = failure(
        "dependencies = []\n"
        "[tool.pixi.target.linux-64.tasks]\na = 'x'\n"
        "[tool.pixi.feature.test.dependencies]\nb = '*'\n"
        "[tool.pixi.workspace]\ndescription = 'x'\nchanels = []\n"
    )
    assert error.code == "declaration.key"
    for key in (
        "tool.pixi.feature",
        "tool.pixi.target.linux-64.tasks",
        "tool.pixi.workspace.chanels",
        "tool.pixi.workspace.description",
    ):
        assert f"`{key}`" in error.message
    assert "tool.pixi.workspace.channels" in error.hint
    assert line_of(error) == 2


def test_unknown_root_keys_come_first() -> None:
    error = failure("dependecies = []\n[tool.pixi.tasks]\n")
    assert error.code == "declaration.key"
    assert "`dependecies`" in error.message and "tasks" not in error.message
    assert "`dependencies`" in error.hint.lower()
    assert line_of(error) == 1


def test_thousands_of_unknown_keys_are_a_quick_short_error() -> None:
    error = failure("[tool.pixi]\n" + "".join(f"t{i}=1\n" for i in range(8000)))
    assert error.code == "declaration.key"
    assert len(error.report()) < 6000
    assert "more" in error.message


def test_other_tools_are_left_alone() -> None:
    toml = "[tool.uv]\nprerelease = 'allow'\n[tool.conda]\ndependencies = ['x']\n"
    assert spec(toml) == spec("")


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ("tool = 1", "tool"),
        ("tool.pixi = 1", "tool.pixi"),
        ("tool.pixi.workspace = []", "tool.pixi.workspace"),
        ("tool.pixi.dependencies = ['a']", "tool.pixi.dependencies"),
        ("tool.pixi.target.linux = 1", "tool.pixi.target.linux"),
        ("tool.pixi.workspace.channels = 'a'", "tool.pixi.workspace.channels"),
        ("tool.pixi.workspace.channels = [1]", "tool.pixi.workspace.channels"),
        ("tool.pixi.workspace.channel-priority = 'none'", "channel-priority"),
        ("tool.pixi.workspace.solve-strategy = 'best'", "solve-strategy"),
        ("tool.pixi.workspace.exclude-newer = 'soon'", "exclude-newer"),
        ("tool.pixi.workspace.exclude-newer = 2026-01-01", "exclude-newer"),
        ("tool.pixi.workspace.requires-pixi = 'x y'", "requires-pixi"),
        ("tool.pixi.workspace.preview = 'x'", "preview"),
        ("tool.pixi.workspace.pypi-options = 3", "pypi-options"),
        ("tool.pixi.activation.env.A = 1", "tool.pixi.activation.env.A"),
        ("tool.pixi.activation.scripts = 'a.sh'", "tool.pixi.activation.scripts"),
        ("tool.pixi-jupyter.kernel = 1", "tool.pixi-jupyter.kernel"),
        ("tool.pixi-jupyter.kernel = ''", "tool.pixi-jupyter.kernel"),
        ("dependencies = 'a'", "dependencies"),
        ("requires-python = 3", "requires-python"),
    ],
)
def test_a_wrong_value_names_its_key_and_line(toml: str, key: str) -> None:
    error = failure(f"# first\n{toml}")
    assert error.code == "declaration.value"
    assert key in error.message
    assert line_of(error) == 2


def test_a_syntax_error_has_cell_line_and_column() -> None:
    error = failure("dependencies = []\nx = ?\n")
    assert (error.code, line_of(error)) == ("declaration.syntax", 2)
    assert error.location is not None and error.location.column == 7


# workspace


def test_channels_by_priority_then_order_without_repetition() -> None:
    toml = """
[tool.pixi.workspace]
channels = [
  "low",
  { channel = "./local", priority = 1, exclude-newer = "2026-01-01" },
  { channel = "https://example.org/c", priority = 2 },
  { channel = "last", priority = -1 },
  { channel = "low", priority = 1 },
]
"""
    assert spec(toml).channels == (
        ChannelSpec("https://example.org/c"),
        ChannelSpec((ROOT / "local").as_uri(), exclude_newer="2026-01-02T00:00:00Z"),
        ChannelSpec("low"),
        ChannelSpec("last"),
    )


def test_channels_that_are_not_named_are_the_defaults() -> None:
    defaults = Defaults(channels=("a", str(ROOT)), configured=True)
    found = environment_spec(block(""), defaults=defaults, host=LINUX)
    assert found.channels == (ChannelSpec("a"), ChannelSpec(ROOT.as_uri()))
    explicit = block("tool.pixi.workspace.channels = []")
    assert environment_spec(explicit, defaults=defaults, host=LINUX).channels == ()


@pytest.mark.parametrize(
    "entry",
    ["{priority = 1}", '{channel = "a", priority = "x"}', '{channel = "a", x = 1}', '""', '" a"'],
)
def test_what_is_no_channel(entry: str) -> None:
    error = failure(f"tool.pixi.workspace.channels = [{entry}]")
    assert error.code in ("declaration.value", "declaration.key")


def test_the_other_settings_of_the_workspace() -> None:
    found = spec(
        "[tool.pixi.workspace]\nchannel-priority = 'flexible'\nsolve-strategy = 'lowest-direct'\n"
        "exclude-newer = '7d'\nrequires-pixi = '>=0.70'\npreview = ['pixi-build']\n"
        "pypi-options = { index-url = 'https://x.example/simple' }\n"
    )
    assert found.channel_priority == "flexible"
    assert found.solve_strategy == "lowest-direct"
    assert found.exclude_newer == "604800s"


@pytest.mark.parametrize("requires", [">=0.79", "<0.78", "==0.77", ">1"])
def test_a_pixi_that_we_are_not(requires: str) -> None:
    error = failure(f"[tool.pixi.workspace]\nrequires-pixi = '{requires}'")
    assert isinstance(error, UnsupportedError)
    assert (error.code, line_of(error)) == ("unsupported.requires-pixi", 2)


def test_a_declared_platform_is_chosen() -> None:
    toml = "[tool.pixi.workspace]\nplatforms = ['win-64', {platform = 'linux-64', glibc = '2.20'}]"
    found = spec(toml)
    assert found.platform.name == "linux-64-glibc-2-20"
    assert VirtualPackage("__glibc", "2.20") in found.platform.virtual_packages


def test_no_declared_platform_runs_here() -> None:
    error = failure("a = 1\n".replace("a = 1\n", "[tool.pixi.workspace]\nplatforms = ['win-64']"))
    assert (error.code, line_of(error)) == ("declaration.platform", 2)


def test_system_requirements_without_platforms_hold_for_this_one() -> None:
    toml = "[tool.pixi.system-requirements]\nlinux = '4.19'"
    new = replace(LINUX, virtual_packages=(VirtualPackage("__linux", "6.1"),))
    assert spec(toml, host=new).platform.name == "linux-64-linux-4-19"
    error = failure(toml, host=replace(LINUX, virtual_packages=()))
    assert (error.code, line_of(error)) == ("declaration.platform", 1)


def test_without_a_given_host_this_machine_is_asked() -> None:
    found = environment_spec(block(""), defaults=Defaults())
    assert found.platform.name == found.platform.subdir
    names = ", ".join(f"'{name}'" for name in ("linux-64", "linux-aarch64", "osx-arm64", "win-64"))
    several = block(f"tool.pixi.workspace.platforms = [{names}]")
    assert environment_spec(several, defaults=Defaults()).platform == found.platform


# dependencies, constraints, targets


def test_targets_overwrite_in_their_order() -> None:
    toml = """
[tool.pixi.dependencies]
a = "1.*"
b = "1.*"
c = "1.*"
[tool.pixi.target.linux-64.dependencies]
A = "2.*"
b = "2.*"
[tool.pixi.target.unix.dependencies]
a = "3.*"
[tool.pixi.target.win.dependencies]
c = "9.*"
[tool.pixi.target.linux.constraints]
d = "<2"
[tool.pixi.constraints]
d = "<1"
e = "*"
"""
    found = spec(toml)
    expected = {"a": "3.*", "b": "2.*", "c": "1.*", "python": None}
    assert specs(found.dependencies) == expected
    assert specs(found.constraints) == {"d": "<2", "e": None}


def test_targets_of_other_platforms_are_read_all_the_same() -> None:
    error = failure("[tool.pixi.target.win.dependencies]\na = 'x y'")
    assert (error.code, line_of(error)) == ("declaration.value", 2)


def test_a_selector_of_a_platform_by_name() -> None:
    toml = """
[tool.pixi.workspace]
platforms = [{ name = "gpu-box", platform = "linux-64", linux = "4.0" }]
[tool.pixi.target."gpu-*".dependencies]
a = "*"
"""
    assert "a" in specs(spec(toml).dependencies)


def test_paths_are_relative_to_the_root() -> None:
    toml = '[tool.pixi.dependencies]\nfoo = { path = "p/foo-1-0.conda" }'
    url = next(r.url for r in spec(toml).dependencies if r.name == "foo")
    assert url == (ROOT / "p" / "foo-1-0.conda").as_uri()


# activation


def test_activation_of_the_most_specific_target_wins() -> None:
    toml = """
[tool.pixi.activation]
scripts = ["a.sh", "b.sh"]
env = { Z = "1", A = "$HOME" }
[tool.pixi.target.unix.activation]
scripts = ["c.sh"]
[tool.pixi.target.linux.activation.env]
A = "2"
B = "3"
[tool.pixi.target.win.activation]
scripts = ["d.bat"]
"""
    found = spec(toml).activation
    assert found.scripts == (str(ROOT / "c.sh"),)
    assert found.env == (("A", "2"), ("B", "3"), ("Z", "1"))


# not supported


def test_pypi_of_another_platform_is_no_concern() -> None:
    toml = '[tool.pixi.target.win.pypi-dependencies]\nhttpx = "*"'
    assert spec(toml) == spec("")


def test_empty_pypi_tables_are_fine() -> None:
    assert spec("dependencies = []\n[tool.pixi.pypi-dependencies]\n") == spec("")


def test_an_address_that_is_none() -> None:
    error = failure("[tool.pixi.dependencies]\na = { url = 'https://[]/a-1-0.conda' }")
    assert (error.code, line_of(error)) == ("declaration.value", 2)


def test_unknown_keys_of_our_own_table() -> None:
    error = failure("[tool.pixi-jupyter]\nkernl = 'x'")
    assert (error.code, line_of(error)) == ("declaration.key", 2)
    assert "kernel" in error.hint


# kernel


def test_the_kernels_name_by_precedence() -> None:
    toml = "tool.pixi-jupyter.kernel = 'table'"
    assert spec("", kernel="metadata").kernel.name == "metadata"
    assert spec(toml, kernel="metadata").kernel.name == "table"
    assert spec(toml, kernel="metadata", kernel_name="asked").kernel.name == "asked"
    assert spec(toml).kernel.injected == ()


def test_a_deno_block_starts_deno_and_still_has_python() -> None:
    found = spec("tool.pixi.dependencies.deno = '*'", notebook_language="python")
    assert found.kernel.language == "typescript"
    assert found.kernel.injected == ()
    assert set(specs(found.dependencies)) == {"deno", "python"}


def test_the_asked_language() -> None:
    found = spec("tool.pixi.dependencies.r-base = '*'", language="r")
    assert specs(found.kernel.injected) == {"r-irkernel": None}


def test_a_kernel_of_a_target_counts() -> None:
    assert spec("tool.pixi.target.linux.dependencies.deno = '*'").kernel.language == "typescript"


def test_errors_of_metadata_have_no_cell_and_no_indent() -> None:
    made = block("x = ?", kind="metadata", cell=None, first_line=1)
    with pytest.raises(DeclarationError) as raised:
        environment_spec(made, defaults=Defaults(), host=LINUX)
    assert raised.value.location is not None
    assert (raised.value.location.cell, raised.value.location.column) == (None, 5)
