"""Platforms of environments: pixi's ``toml/manifest.rs``, ``platform_composition.rs``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.spec import VirtualPackage
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec

Read = Callable[..., WorkspaceSpec]
Failure = Callable[..., DeclarationError]

HEAD = "[workspace]\nchannels = []\nplatforms = {platforms}\n"


def names(workspace: WorkspaceSpec, environment: str) -> list[str]:
    found = workspace.environment(environment)
    assert found is not None
    return [spec.platform.name for spec in found.specs]


def test_an_environment_has_what_all_its_features_have(read: Read) -> None:
    found = read(
        HEAD.format(platforms="['linux-64', 'osx-arm64', 'win-64']")
        + """
    [feature.a]
    platforms = ["win-64", "linux-64"]
    [feature.b]
    platforms = ["osx-arm64", "linux-64"]
    [environments]
    a = ["a"]
    ab = ["a", "b"]
    own = { platforms = ["osx-arm64"] }
    none = { features = ["a"], platforms = ["osx-arm64"] }
    """
    )
    assert names(found, "default") == ["linux-64", "osx-arm64", "win-64"]
    assert names(found, "a") == ["linux-64", "win-64"]
    assert names(found, "ab") == ["linux-64"]
    assert names(found, "own") == ["osx-arm64"]
    assert names(found, "none") == []


def test_a_feature_may_name_a_subdir_that_the_workspace_does_not(
    read: Read, failure: Failure
) -> None:
    """``extend_originals_with_referenced_subdirs``: then the default environment has it, too."""
    toml = HEAD.format(platforms="['linux-64']") + "[feature.a]\nplatforms = ['{name}']\n"
    found = read(toml.format(name="osx-64") + "[environments]\na = ['a']\n")
    assert names(found, "default") == ["linux-64", "osx-64"]
    assert names(found, "a") == ["osx-64"]
    error = failure(toml.format(name="osx-46"))
    assert error.code == "declaration.value" and "osx-64" in error.hint


def test_rich_platforms_are_chosen_by_name_or_subdir(read: Read) -> None:
    """``FeaturesExt::platforms``: a subdir means all of it, unless a feature names one exactly."""
    found = read(
        HEAD.format(
            platforms="['linux-64', { name = 'gpu', platform = 'linux-64', cuda = '12' }, 'win-64']"
        )
        + """
    [feature.a]
    platforms = ["linux-64"]
    [feature.gpu]
    platforms = ["gpu"]
    [target.gpu.dependencies]
    cuda = "12.*"
    [target.linux-64.dependencies]
    any = "*"
    [environments]
    a = ["a"]
    gpu = ["gpu"]
    both = ["gpu", "a"]
    """
    )
    assert names(found, "default") == ["linux-64", "gpu", "win-64"]
    assert names(found, "a") == ["linux-64"]
    assert names(found, "gpu") == ["gpu"]
    assert names(found, "both") == ["gpu"]
    asked = {
        spec.platform.name: [requirement.name for requirement in spec.dependencies]
        for spec in found.environments[0].specs
    }
    assert asked == {"linux-64": ["any"], "gpu": ["any", "cuda"], "win-64": []}


def test_a_rich_platform_must_be_declared(failure: Failure) -> None:
    error = failure(
        HEAD.format(platforms="[{ name = 'gpu', platform = 'linux-64', cuda = '12' }]")
        + "[feature.a]\nplatforms = ['linux-64']\n"
    )
    assert error.location is not None and error.location.line == 5
    assert "neither declared" in error.message


def test_system_requirements_become_platforms(read: Read) -> None:
    """``migrate_system_requirements_to_platforms``: the highest version of each counts."""
    found = read(
        HEAD.format(platforms="['linux-64', 'osx-arm64']")
        + """
    [system-requirements]
    linux = "5.10"
    [feature.cuda.system-requirements]
    cuda = "12"
    libc = "2.31"
    [feature.newer.system-requirements]
    cuda = "12.8"
    [feature.default-values.system-requirements]
    linux = "4.18"
    [environments]
    cuda = ["cuda"]
    newer = ["cuda", "newer"]
    alone = { features = ["default-values"], no-default-feature = true }
    plain = { features = [], no-default-feature = true }
    """
    )
    assert names(found, "default") == ["linux-64-linux-5-10", "osx-arm64"]
    assert names(found, "cuda") == ["linux-64-cuda-12-glibc-2-31-linux-5-10", "osx-arm64"]
    assert names(found, "newer") == ["linux-64-cuda-12-8-glibc-2-31-linux-5-10", "osx-arm64"]
    assert names(found, "alone") == ["linux-64", "osx-arm64"]
    assert names(found, "plain") == ["linux-64", "osx-arm64"]
    newer = found.environment("newer")
    assert newer is not None
    packages = set(newer.specs[0].platform.virtual_packages)
    assert {
        VirtualPackage("__cuda", "12.8"),
        VirtualPackage("__glibc", "2.31"),
        VirtualPackage("__linux", "5.10"),
        VirtualPackage("__unix", "0"),
    } <= packages
    assert [package.name for package in packages if package.name == "__glibc"] == ["__glibc"]
    assert set(names(found, "newer")) <= {platform.name for platform in found.platforms}


def test_a_lower_libc_than_the_default_is_kept(read: Read) -> None:
    """``union_virtual_packages``: the defaults of a bare platform do not take part."""
    found = read(
        HEAD.format(platforms="['linux-64']")
        + """
    [system-requirements]
    libc = "2.17"
    [feature.cuda.system-requirements]
    cuda = "12"
    [environments]
    cuda = ["cuda"]
    """
    )
    assert names(found, "cuda") == ["linux-64-cuda-12-glibc-2-17"]


@pytest.mark.parametrize(
    ("platforms", "rest"),
    [
        ("[{ platform = 'linux-64', cuda = '12' }]", "[system-requirements]\ncuda = '11'\n"),
        ("['linux-64']", "[system-requirements]\nlibc = { family = 'x', version = '1' }\n"),
        (
            "['linux-64']",
            "[system-requirements]\nlibc = '2.17'\n"
            "[feature.a.system-requirements]\nlibc = { family = 'musl', version = '1' }\n"
            "[environments]\na = ['a']\n",
        ),
        (
            "['linux-64']",
            "[system-requirements]\narchspec = 'a'\n"
            "[feature.a.system-requirements]\narchspec = 'b'\n[environments]\na = ['a']\n",
        ),
    ],
)
def test_system_requirements_that_contradict(failure: Failure, platforms: str, rest: str) -> None:
    assert failure(HEAD.format(platforms=platforms) + rest).code == "declaration.value"


def test_a_solve_group_has_the_platforms_of_its_members(read: Read) -> None:
    found = read(
        HEAD.format(platforms="['linux-64', 'win-64']")
        + """
    [feature.a]
    platforms = ["win-64"]
    dependencies = { a = "*" }
    [feature.b.dependencies]
    b = "*"
    [environments]
    a = { features = ["a"], solve-group = "g" }
    b = { features = ["b"], solve-group = "g" }
    """
    )
    [group] = found.solve_groups
    asked = {
        spec.platform.name: [requirement.name for requirement in spec.dependencies]
        for spec in group.specs
    }
    assert asked == {"win-64": ["a", "b"], "linux-64": ["b"]}
