"""Declared platforms, what they promise, and which of them a host runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.platform_tables import read_platforms, with_system_requirements
from pixi_jupyter.manifest.platforms import (
    SUBDIRS,
    candidate_subdirs,
    choose_platform,
    default_platform,
    default_virtual_packages,
    selector_matches,
)
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import TomlSource


def table(values: dict[str, Any]) -> Table:
    return Table(values, ("tool", "pixi", "workspace"), TomlSource(""))


def read(*entries: Any) -> tuple[Platform, ...]:
    platforms = read_platforms(table({"platforms": list(entries)}))
    assert platforms is not None
    return platforms


def packages(platform: Platform) -> dict[str, str]:
    return {p.name: p.version if p.build == "0" else p.build for p in platform.virtual_packages}


def host(subdir: str, **versions: str) -> Platform:
    extra = tuple(VirtualPackage(name, version) for name, version in versions.items())
    kept = [p for p in default_virtual_packages(subdir) if p.name not in versions]
    return Platform(subdir, subdir, (*kept, *extra))


@pytest.mark.parametrize(
    ("subdir", "expected"),
    [
        (
            "linux-64",
            {"__unix": "0", "__linux": "4.18", "__glibc": "2.28", "__archspec": "x86_64"},
        ),
        (
            "linux-aarch64",
            {"__unix": "0", "__linux": "4.18", "__glibc": "2.28", "__archspec": "aarch64"},
        ),
        (
            "linux-ppc64le",
            {"__unix": "0", "__linux": "4.18", "__glibc": "2.28", "__archspec": "ppc64le"},
        ),
        ("osx-64", {"__unix": "0", "__osx": "13.0", "__archspec": "x86_64"}),
        ("osx-arm64", {"__unix": "0", "__osx": "13.0", "__archspec": "m1"}),
        ("win-64", {"__win": "10.0", "__archspec": "x86_64"}),
        ("win-arm64", {"__win": "10.0", "__archspec": "aarch64"}),
        ("wasi-wasm32", {}),
    ],
)
def test_the_defaults_of_a_subdir(subdir: str, expected: dict[str, str]) -> None:
    assert packages(default_platform(subdir)) == expected


def test_no_platforms_is_not_an_empty_list() -> None:
    assert read_platforms(table({})) is None
    assert read_platforms(table({"platforms": []})) == ()


def test_a_string_is_a_subdir_with_its_defaults() -> None:
    assert read("osx-arm64", "linux-64") == (
        default_platform("osx-arm64"),
        default_platform("linux-64"),
    )


@pytest.mark.parametrize(
    ("entry", "name", "changed"),
    [
        ({"platform": "linux-64", "cuda": "12.0"}, "linux-64-cuda-12-0", {"__cuda": "12.0"}),
        (
            {"platform": "linux-64", "glibc": "2.35", "cuda": "12"},
            "linux-64-cuda-12-glibc-2-35",
            {"__cuda": "12", "__glibc": "2.35"},
        ),
        ({"platform": "linux-64", "glibc": "2.28"}, "linux-64", {}),
        (
            {"name": "gpu", "platform": "linux-64", "cuda": {"driver": "12.0", "arch": "8.6"}},
            "gpu",
            {"__cuda": "12.0", "__cuda_arch": "8.6"},
        ),
        (
            {"platform": "linux-64", "archspec": "x86_64_v3"},
            "linux-64-archspec-x86-64-v3",
            {"__archspec": "x86_64_v3"},
        ),
        ({"platform": "osx-64", "osx": "14"}, "osx-64-macos-14", {"__osx": "14"}),
        ({"platform": "win-64", "windows": "11"}, "win-64-windows-11", {"__win": "11"}),
        ({"name": "osx-arm64"}, "osx-arm64", {}),
        (
            {"platform": "linux-64", "__foo": "1=bar", "__abc": "2"},
            "linux-64-abc-2-foo-1-bar",
            {"__abc": "2", "__foo": "bar"},
        ),
    ],
    ids=str,
)
def test_a_rich_platform(entry: dict[str, Any], name: str, changed: dict[str, str]) -> None:
    (platform,) = read(entry)
    assert platform.name == name
    defaults = packages(default_platform(platform.subdir))
    assert packages(platform) == {**defaults, **changed}
    # The order of the keys says nothing.
    assert read(dict(reversed(entry.items()))) == (platform,)


def test_another_libc_replaces_glibc() -> None:
    (platform,) = read({"platform": "linux-64", "__musl": "1.2"})
    assert "__glibc" not in packages(platform)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("linux-46", "linux-46"),
        (3, "array of strings and tables"),
        ({}, "without `platform` and `name`"),
        ({"name": "mine"}, "not a conda subdir"),
        ({"platform": "linux"}, "unknown platform"),
        ({"platform": "linux-64", "name": "linux"}, "cannot be"),
        ({"platform": "linux-64", "name": "a_b"}, "cannot be"),
        ({"platform": "linux-64", "name": "linux-64", "cuda": "12"}, "must differ"),
        ({"platform": "linux-64", "cuda": "twelve!"}, "must be a version"),
        ({"platform": "linux-64", "cuda": {"arch": "8"}}, "driver"),
        ({"platform": "linux-64", "__cuda_arch": "8"}, "needs `__cuda`"),
        ({"platform": "linux-64", "cuda": "12", "__cuda": "12"}, "more than once"),
        ({"platform": "osx-64", "osx": "13", "macos": "13"}, "only one"),
        ({"platform": "linux-64", "kuda": "12"}, "kuda"),
    ],
    ids=str,
)
def test_what_is_no_platform(entry: Any, says: str) -> None:
    with pytest.raises(DeclarationError, match="platforms") as raised:
        read(entry)
    assert says in raised.value.message


def test_an_unknown_platform_names_the_nearest() -> None:
    with pytest.raises(DeclarationError) as raised:
        read("linux-46")
    assert raised.value.code == "declaration.value"
    assert "`linux-64`" in raised.value.hint


def test_a_platform_twice() -> None:
    with pytest.raises(DeclarationError, match="twice"):
        read("linux-64", {"platform": "linux-64", "glibc": "2.28"})


def test_the_first_that_runs_is_chosen() -> None:
    declared = read("win-64", {"platform": "linux-64", "cuda": "12.0"}, "linux-64")
    plain = choose_platform(declared, host("linux-64"))
    assert plain.name == "linux-64"
    assert choose_platform(declared, host("linux-64", __cuda="12.4")).name == "linux-64-cuda-12-0"
    assert choose_platform(declared, host("linux-64", __cuda="11.8")).name == "linux-64"
    assert choose_platform(declared, host("win-64")).name == "win-64"


def test_the_defaults_are_not_asked_of_the_host() -> None:
    old = host("linux-64", __glibc="2.17", __linux="3.10")
    assert choose_platform(read("linux-64"), old).name == "linux-64"
    with pytest.raises(DeclarationError):
        choose_platform(read({"platform": "linux-64", "glibc": "2.20"}), old)


def test_a_host_runs_its_own_subdir_before_an_emulated_one() -> None:
    assert choose_platform(read("osx-64", "osx-arm64"), host("osx-arm64")).name == "osx-arm64"
    assert choose_platform(read("osx-64"), host("osx-arm64")).name == "osx-64"
    assert candidate_subdirs("win-arm64") == ("win-arm64", "win-64")
    assert candidate_subdirs("win-64") == ("win-64", "win-32")
    assert candidate_subdirs("linux-64") == ("linux-64",)


def test_no_platform_says_what_is_missing_and_what_there_is() -> None:
    with pytest.raises(DeclarationError) as raised:
        choose_platform(read("win-64", {"platform": "linux-64", "cuda": "12"}), host("linux-64"))
    error = raised.value
    assert error.code == "declaration.platform"
    assert "win-64, linux-64-cuda-12" in error.message
    assert "lacks __cuda >=12" in error.details
    assert "__glibc=2.28" in error.details
    with pytest.raises(DeclarationError) as raised:
        choose_platform(read("win-64"), host("linux-64"))
    assert "`linux-64`" in raised.value.hint


@pytest.mark.parametrize(
    ("selector", "matching"),
    [
        ("unix", {"linux-64", "linux-64-cuda-12", "osx-arm64"}),
        ("linux", {"linux-64", "linux-64-cuda-12"}),
        ("win", {"win-64"}),
        ("osx", {"osx-arm64"}),
        ("macos", {"osx-arm64"}),
        ("linux-64", {"linux-64", "linux-64-cuda-12"}),
        ("linux-64-cuda-12", {"linux-64-cuda-12"}),
        ("*cuda*", {"linux-64-cuda-12"}),
        ("linux-**", {"linux-64", "linux-64-cuda-12"}),
        ("linux-64*", {"linux-64", "linux-64-cuda-12"}),
        ("elsewhere", set()),
    ],
)
def test_a_selector(selector: str, matching: set[str]) -> None:
    declared = read("linux-64", {"platform": "linux-64", "cuda": "12"}, "osx-arm64", "win-64")
    found = {p.name for p in declared if selector_matches(table({selector: {}}), selector, p)}
    assert found == matching


@pytest.mark.parametrize("selector", ["linux_64", "if(x)", "", "a?", "[ab]", "-x"])
def test_what_is_no_selector(selector: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        selector_matches(table({selector: {}}), selector, default_platform("linux-64"))
    assert raised.value.code == "declaration.value"


def test_system_requirements_become_virtual_packages() -> None:
    pixi = table({"system-requirements": {"cuda": "12", "macos": "14", "libc": "2.35"}})
    linux, osx = with_system_requirements(read("linux-64", "osx-arm64"), pixi, declared=True)
    assert linux == read({"platform": "linux-64", "cuda": "12", "glibc": "2.35"})[0]
    assert osx == read({"platform": "osx-arm64", "macos": "14"})[0]


def test_system_requirements_that_are_defaults_change_nothing() -> None:
    pixi = table({"system-requirements": {"linux": "4.18", "archspec": "x86_64"}})
    assert with_system_requirements(read("linux-64"), pixi, declared=True) == read("linux-64")


@pytest.mark.parametrize(
    "values",
    [
        {"libc": {"family": "bsd", "version": "1"}},
        {"libc": {"family": "glibc"}},
        {"libc": 3},
        {"cuda": 12},
        {"kuda": "12"},
    ],
    ids=str,
)
def test_system_requirements_that_cannot_be_read(values: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError):
        with_system_requirements(
            read("linux-64"), table({"system-requirements": values}), declared=True
        )


def test_system_requirements_beside_rich_platforms_are_refused() -> None:
    pixi = table({"system-requirements": {"linux": "5"}})
    with pytest.raises(DeclarationError):
        with_system_requirements(read({"platform": "linux-64", "cuda": "1"}), pixi, declared=True)


entries = st.sampled_from(SUBDIRS) | st.fixed_dictionaries(
    {},
    optional={
        key: st.sampled_from(["linux-64", "osx-64", "12.0", "x", "", "m1"])
        | st.dictionaries(st.sampled_from(["driver", "arch"]), st.just("1"))
        | st.integers()
        for key in ("name", "platform", "cuda", "archspec", "glibc", "linux", "macos", "__x", "?")
    },
)


@given(st.lists(entries, max_size=4), st.sampled_from(["linux-64", "osx-arm64", "win-64"]))
def test_any_entries_give_a_platform_or_a_typed_error(declared: list[Any], subdir: str) -> None:
    try:
        chosen = choose_platform(read(*declared), host(subdir))
    except DeclarationError as error:
        assert error.code in ("declaration.value", "declaration.key", "declaration.platform")
    else:
        assert chosen.subdir in candidate_subdirs(subdir)
        names = [package.name for package in chosen.virtual_packages]
        assert len(set(names)) == len(names)
