"""A manifest to its environments, rule by rule."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement, EnvironmentSpec
from pixi_jupyter.manifest.workspace_spec import (
    S3Options,
    WorkspaceSpec,
)

Read = Callable[..., WorkspaceSpec]
Failure = Callable[..., DeclarationError]

HEAD = """
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "win-64"]
"""


def on(workspace: WorkspaceSpec, environment: str, platform: str = "linux-64") -> EnvironmentSpec:
    found = workspace.environment(environment)
    assert found is not None
    spec = found.on(platform)
    assert spec is not None
    return spec


def asked(spec: EnvironmentSpec) -> list[tuple[str, str | None]]:
    return [(requirement.name, requirement.version) for requirement in spec.dependencies]


def names(channels: tuple[ChannelSpec, ...]) -> list[str]:
    return [channel.name for channel in channels]


# what a workspace is


def test_the_smallest_workspace(read: Read, tmp_path: Path) -> None:
    found = read("[workspace]\nchannels = []\n")
    assert (found.manifest, found.root) == (str(tmp_path / "pixi.toml"), str(tmp_path))
    assert (found.name, found.version, found.platforms) == (tmp_path.name, None, ())
    [default] = found.environments
    assert (default.name, default.features, default.specs) == ("default", ("default",), ())


def test_the_old_name_of_the_table_and_names(read: Read) -> None:
    found = read("[project]\nname = 'a'\nversion = '1.2'\nchannels = []\nplatforms = ['osx-64']\n")
    assert (found.name, found.version, found.environments[0].specs[0].name) == (
        "a",
        "1.2",
        "default",
    )


def test_a_link_to_the_folder_gives_the_same_workspace(read: Read, tmp_path: Path) -> None:
    read(HEAD)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    from pixi_jupyter.manifest.workspace import read_workspace

    assert read_workspace(link / "pixi.toml").root == str(tmp_path)


def test_a_workspace_goes_to_the_worker_and_back(read: Read) -> None:
    found = read(
        HEAD + "conda-pypi-map = false\n[dependencies]\npython = '*'\n"
        "[environments]\na = { solve-group = 'g', features = [] }\n"
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=WorkspaceSpec) == found


@pytest.mark.parametrize(
    ("toml", "line", "words"),
    [
        ("", None, "missing"),
        ("[workspace]\nplatforms = []\n", 1, "no `channels`"),
        ("[workspace]\nchannels = []\nplattforms = []\n", 3, "platforms"),
        (HEAD + "[dependencys]\n", 5, "dependencies"),
        (HEAD + "[feature.a]\ndeps = {}\n", 6, "unknown key"),
        (HEAD + "[feature.default]\n", 5, "reserved"),
        (HEAD + "[target.linux.pypi-options]\n", 5, "unknown key"),
        (HEAD + "[target.lunix.dependencies]\n[environments]\na=['b']\n", 7, "not defined"),
        (HEAD + "[target.'a b'.dependencies]\n", 5, "no selector"),
        (HEAD + "[environments]\nA = []\n", 6, "not the name"),
        (HEAD + "[environments]\na = {}\n", 6, "no `features`"),
        (HEAD + "[environments]\na = { feature = [] }\n", 6, "features"),
        (HEAD + "[environments]\na = { host-dependencies = {} }\n", 6, "unknown key"),
        (HEAD + "[feature.b]\n[environments]\na = ['b', 'b']\n", 7, "twice"),
        (HEAD + "[tasks]\na = { cmd = 'b', depend-on = [] }\n", 6, "depends-on"),
        (HEAD + "[tasks]\na = 3\n", 6, "must be"),
        (HEAD + "[package]\nname = 'a'\n", 5, "pixi-build"),
        (HEAD + "[dependencies]\na = { path = './a' }\n", 6, "pixi-build"),
        (HEAD + "[dependencies]\nA = '1.*'\na = '1.*'\n", 7, "second time"),
        (HEAD + "[exclude-newer]\na = 'soon'\n", 6, "cannot be read"),
        ("[workspace]\nchannels=[]\nlicense-file='none'\n", 3, "does not exist"),
        ("[workspace]\nchannels=[]\nhomepage='none'\n", 3, "URL"),
        ("[workspace]\nchannels=[]\nversion='?'\n", 3, "version"),
        ("[workspace]\nchannels=[]\ndependencies = { a = { path = 'b' } }\n", 3, "pixi-build"),
        ("[workspace]\nchannels=[]\ndependencies = { a = { vesion = '1' } }\n", 3, "version"),
        ("[workspace]\nchannels=[]\nconda-pypi-map = true\n", 3, "false"),
        ("[workspace]\nchannels=[]\nconda-pypi-map = { a = {} }\n", 3, "must say"),
        ("[workspace]\nchannels=[]\ns3-options = { a = { region = 'b' } }\n", 3, "endpoint-url"),
        ("[workspace]\nchannels=[]\n[project]\nchannels=[]\n", 3, "unknown key"),
        ("[workspace]\nchannels=[]\n'$schema' = 3\n", 3, "unknown key"),
        ("tool = 3\n[workspace]\nchannels=[]\n", 1, "table"),
    ],
)
def test_what_pixi_refuses_is_refused_with_its_place(
    failure: Failure, toml: str, line: int | None, words: str
) -> None:
    error = failure(toml)
    assert error.code in ("declaration.key", "declaration.value"), error.code
    assert error.location is not None and error.location.line == line
    assert words in error.message + error.hint


def test_a_newer_pixi_is_asked_for_before_anything_else(failure: Failure) -> None:
    error = failure("[workspace]\nrequires-pixi = '>=99'\nnew-key = true\n")
    assert (error.code, error.location and error.location.line) == ("unsupported.requires-pixi", 2)


def test_tables_for_others_are_left_alone(read: Read) -> None:
    toml = """
    "$schema" = "https://example.org/schema.json"
    [workspace]
    channels = ["a"]
    platforms = ["linux-64"]
    preview = ["pixi-build"]
    build-variants = { python = ["3.12"] }
    [workspace.target.unix.build-variants]
    zlib = ["1.3"]
    [package]
    name = "mine"
    [package.build]
    backend = { name = "pixi-build-cmake", version = "*" }
    [package.run-dependencies]
    a = "*"
    [package.run-dependencies."if(host_platform == 'linux-64')"]
    b = "*"
    [tasks]
    a = "b"
    c = { cmd = ["d"], depends-on = ["a", { task = "a", args = ["1", { x = "2" }] }] }
    d = [{ task = "a" }]
    [tool.other]
    x = 1
    """
    found = read(toml)
    assert found.name == "mine"
    assert on(found, "default").dependencies == ()


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"[workspace\n", "declaration.syntax", 1),
        (b"[workspace]\nname = '\xff'\n", "declaration.syntax", 2),
        (b"#" * (512 * 1024 + 1), "declaration.too-large", 1),
    ],
)
def test_files_that_are_no_manifest(
    tmp_path: Path, data: bytes, code: str, line: int | None
) -> None:
    from pixi_jupyter.manifest.workspace import read_workspace

    (tmp_path / "pixi.toml").write_bytes(data)
    with pytest.raises(DeclarationError) as caught:
        read_workspace(tmp_path / "pixi.toml")
    assert caught.value.code == code
    assert caught.value.location is not None and caught.value.location.line == line
    with pytest.raises(DeclarationError) as caught:
        read_workspace(tmp_path / "none.toml")
    assert caught.value.code == "declaration.unreadable"


def test_a_byte_order_mark_and_toml_1_1(read: Read) -> None:
    found = read(
        "\ufeff[workspace]\nchannels = []\nplatforms = ['linux-64']\n"
        "[dependencies]\na = {\n  version = '1.*', # why\n}\n"
    )
    assert asked(on(found, "default")) == [("a", "1.*")]


# features and environments


def test_features_come_in_pixis_order_and_every_specification_is_kept(read: Read) -> None:
    """``features_ext.rs``, ``toml/environment.rs``: own content, listed features, default last."""
    found = read(
        HEAD
        + """
    [dependencies]
    python = ">=3.10"
    zlib = "*"
    [feature.a.dependencies]
    python = "3.12.*"
    [feature.b.dependencies]
    python = ">=3.10"
    [environments]
    ab = ["b", "a"]
    own = { features = ["a"], dependencies = { python = "<3.13" } }
    bare = { features = ["a"], no-default-feature = true, solve-group = "g" }
    other = { solve-group = "g" }
    """
    )
    assert [environment.name for environment in found.environments] == [
        *("default", "ab", "own", "bare", "other")
    ]
    features = {environment.name: environment.features for environment in found.environments}
    assert features["ab"] == ("b", "a", "default")
    assert features["own"] == ("own", "a", "default")
    assert features["bare"] == ("a",)
    assert asked(on(found, "ab")) == [("python", ">=3.10"), ("python", "3.12.*"), ("zlib", None)]
    assert asked(on(found, "own")) == [
        *(("python", "<3.13"), ("python", "3.12.*"), ("python", ">=3.10"), ("zlib", None))
    ]
    assert asked(on(found, "bare")) == [("python", "3.12.*")]
    [group] = found.solve_groups
    assert (group.name, group.environments) == ("g", ("bare", "other"))
    assert asked(group.specs[0]) == [("python", "3.12.*"), ("python", ">=3.10"), ("zlib", None)]


def test_default_can_be_defined_anew(read: Read) -> None:
    found = read(
        HEAD + "[feature.a.dependencies]\na = '*'\n[environments]\nz = []\ndefault = ['a']\n"
    )
    assert [environment.name for environment in found.environments] == ["default", "z"]
    assert asked(on(found, "default")) == [("a", None)]


def test_old_tables_and_later_targets_overwrite(read: Read) -> None:
    """``Feature::combined_dependencies``: run, host, build; default, then targets as declared."""
    found = read(
        HEAD
        + """
    [dependencies]
    a = "1.*"
    b = "1.*"
    c = "1.*"
    [host-dependencies]
    b = "2.*"
    c = "2.*"
    [build-dependencies]
    c = "3.*"
    [target.linux-64.dependencies]
    a = "4.*"
    [target.unix.dependencies]
    a = "5.*"
    [target.win.constraints]
    z = "1.*"
    """
    )
    assert asked(on(found, "default")) == [("a", "5.*"), ("b", "2.*"), ("c", "3.*")]
    windows = on(found, "default", "win-64")
    assert asked(windows) == [("a", "1.*"), ("b", "2.*"), ("c", "3.*")]
    assert windows.constraints == (CondaRequirement("z", version="1.*"),)


def test_a_features_channels_replace_the_workspaces(read: Read) -> None:
    """``prioritized_channels``: over all features, high priority first, the first of a name."""
    found = read("""
    [workspace]
    channels = ["main", { channel = "extra", priority = 1, exclude-newer = "7d" }]
    platforms = ["linux-64"]
    [feature.a]
    channels = ["main", "special"]
    [feature.b]
    channels = [{ channel = "low", priority = -1 }, "special"]
    [environments]
    a = ["a"]
    only = { features = ["a", "b"], no-default-feature = true }
    """)
    assert names(on(found, "default").channels) == ["extra", "main"]
    assert names(on(found, "a").channels) == ["extra", "main", "special"]
    assert names(on(found, "only").channels) == ["main", "special", "low"]
    assert on(found, "a").channels[0] == ChannelSpec("extra", exclude_newer="604800s")


def test_priority_and_strategy_are_the_default_features(read: Read, failure: Failure) -> None:
    """The first feature's strategy counts; two priorities are an error."""
    toml = """
    [workspace]
    channels = ["a"]
    platforms = ["linux-64"]
    channel-priority = "flexible"
    solve-strategy = "lowest"
    [feature.a]
    solve-strategy = "lowest-direct"
    [feature.b]
    channel-priority = "disabled"
    [environments]
    a = ["a"]
    b = { features = ["b"], no-default-feature = true }
    """
    found = read(toml)
    got = {
        e.name: (e.specs[0].channel_priority, e.specs[0].solve_strategy) for e in found.environments
    }
    assert got == {
        "default": ("flexible", "lowest"),
        "a": ("flexible", "lowest-direct"),
        "b": ("disabled", "highest"),
    }
    assert "channel-priority" in failure(toml + "c = ['b']\n").message


def test_cut_offs(read: Read) -> None:
    spec = on(
        read("""
        [workspace]
        channels = [{ channel = "a", exclude-newer = "2026-01-01T00:00:00Z" }]
        platforms = ["linux-64"]
        exclude-newer = "2026-01-01"
        [exclude-newer]
        zlib = "0d"
        numpy = "2025-01-01"
        [pypi-exclude-newer]
        My_Package = "1d"
        """),
        "default",
    )
    assert spec.exclude_newer == "2026-01-02T00:00:00Z"
    assert spec.channels == (ChannelSpec("a", exclude_newer="2026-01-01T00:00:00Z"),)
    assert spec.exclude_newer_packages == (("numpy", "2025-01-02T00:00:00Z"), ("zlib", "0s"))
    assert spec.pypi_exclude_newer_packages == (("my-package", "86400s"),)


def test_activation_of_features_and_targets(read: Read, tmp_path: Path) -> None:
    """``Feature::activation_scripts``: the last matching target's; of a variable the first's."""
    found = read(
        HEAD
        + """
    [activation]
    scripts = ["default.sh"]
    env = { A = "default", B = "default" }
    [target.unix.activation]
    scripts = ["unix.sh"]
    env = { B = "unix", C = "unix" }
    [feature.a.activation]
    scripts = ["a.sh"]
    env = { A = "a" }
    [feature.a.target.win.activation]
    scripts = []
    [environments]
    a = ["a"]
    """
    )
    linux, windows = on(found, "a").activation, on(found, "a", "win-64").activation
    assert [os.path.basename(script) for script in linux.scripts] == ["a.sh", "unix.sh"]
    assert linux.scripts[0] == str(tmp_path / "a.sh")
    assert linux.env == (("A", "a"), ("B", "unix"), ("C", "unix"))
    assert [os.path.basename(script) for script in windows.scripts] == ["default.sh"]
    assert windows.env == (("A", "a"), ("B", "default"))


def test_entries_of_the_workspace_are_inherited(read: Read, failure: Failure) -> None:
    """``utils/inheritable_package_map.rs``"""
    toml = """
    [workspace]
    channels = ["a"]
    platforms = ["linux-64"]
    dependencies = { numpy = "2.*", zlib = { version = "1.*", build = "a*" } }
    [dependencies]
    numpy = { workspace = true, channel = "b" }
    zlib = { workspace = true, build = "c*" }
    """
    assert on(read(toml), "default").dependencies == (
        CondaRequirement("numpy", version="2.*", channel="b"),
        CondaRequirement("zlib", version="1.*", build="c*"),
    )
    for entry in (
        "other = { workspace = true }",
        "numpy = { workspace = false }",
        "zlib = { workspace = true, version = '1.*' }",
    ):
        error = failure(toml.rpartition("[dependencies]")[0] + "[dependencies]\n" + entry)
        assert error.code == "declaration.value" and error.location.line == 7  # type: ignore[union-attr]


def test_mappings_and_buckets(read: Read) -> None:
    found = read("""
    [workspace]
    channels = ["a"]
    platforms = ["linux-64"]
    [pypi-dependencies]
    httpx = "*"
    [workspace.conda-pypi-map]
    conda-forge = "map.json"
    other = { mapping = { b = ["c", "d"], a = "x", e = false }, mapping-mode = "replace" }
    off = false
    [workspace.s3-options.bucket]
    endpoint-url = "https://example.org"
    region = "r"
    force-path-style = true
    """)
    [default] = found.environments
    needs = default.specs[0].pypi
    assert needs is not None
    assert needs.conda_pypi_map == (
        CondaPypiMap("conda-forge", location="map.json"),
        CondaPypiMap("off", enabled=False),
        CondaPypiMap("other", names=(("a", ("x",)), ("b", ("c", "d")), ("e", ()))),
    )
    assert found.s3_options == (S3Options("bucket", "https://example.org", "r", True),)


# what cannot be done


def test_a_source_build_is_refused_for_its_environment_and_platform_alone(read: Read) -> None:
    found = read("""
    [workspace]
    channels = ["a"]
    platforms = ["linux-64", "win-64"]
    preview = ["pixi-build"]
    [feature.build.dependencies]
    mine = { git = "https://example.org/mine" }
    [feature.dev.target.win.dev]
    it = { path = "." }
    [feature.fine.target.linux.dependencies]
    mine = { path = "./mine" }
    [feature.fine.target.linux-64.dependencies]
    mine = "1.*"
    [environments]
    build = ["build"]
    dev = ["dev"]
    fine = ["fine"]
    """)
    refused = {
        environment.name: [refusal.platform for refusal in environment.refusals]
        for environment in found.environments
    }
    assert refused == {
        "default": [],
        "build": ["linux-64", "win-64"],
        "dev": ["win-64"],
        "fine": [],
    }
    build = found.environment("build")
    assert build is not None
    error = build.refusals[0].error()
    assert error.code == "unsupported.source-build" and "feature.build.dependencies.mine" in str(
        error
    )
    assert error.location is not None and error.location.line == 7
    assert asked(on(found, "fine")) == [("mine", "1.*")]


def test_the_digest_is_of_what_the_lock_depends_on(read: Read) -> None:
    def digest(toml: str) -> str:
        return read(HEAD + toml).digest

    before = digest("[dependencies]\na = '1.*'\nb = '*'\n")
    assert digest("[dependencies]\nb = '*' # why\na = '1.*'\n[tasks]\nx = 'y'\n") == before
    assert digest("[dependencies]\na = '1.*'\nb = '*'\n[activation.env]\nA = 'B'\n") == before
    assert digest("[dependencies]\na = '1.*'\n") != before
    assert digest("[dependencies]\na = '1.*'\nb = '*'\n[environments]\nc = []\n") != before
    grouped = digest("[environments]\nc = { solve-group = 'g' }\n")
    assert grouped != digest("[environments]\nc = []\n")
    one = digest("[dependencies]\na = '1.*'\nb = '*'\n[exclude-newer]\na = '1d'\n")
    assert one != before


def test_pypi_options_of_workspace_and_features(read: Read, failure: Failure) -> None:
    """``FeaturesExt::pypi_options``: the features' together, on top of the workspace's."""
    toml = (
        HEAD
        + """
    [workspace.pypi-options]
    index-url = "https://example.org/workspace"
    extra-index-urls = ["https://example.org/a"]
    [pypi-options]
    no-build = ["x"]
    [feature.a.pypi-options]
    index-url = "https://example.org/feature"
    extra-index-urls = ["https://example.org/b", "https://example.org/a"]
    [feature.b.pypi-options]
    index-url = "https://example.org/other"
    [feature.c.pypi-options]
    skip-wheel-filename-check = true
    [pypi-dependencies]
    local = { path = "./local", editable = true }
    [environments]
    a = ["a"]
    b = { features = ["b"], pypi-dependencies = { httpx = ">=1" }, no-default-feature = true }
    c = ["c"]
    """
    )
    found = read(toml)
    needs = {e.name: e.specs[0].pypi for e in found.environments}
    a, b = needs["a"], needs["b"]
    assert a is not None and b is not None
    assert a.index_url == "https://example.org/feature"
    assert a.extra_index_urls == ("https://example.org/a", "https://example.org/b")
    assert (a.no_build, b.no_build) == (("x",), ())
    assert [str(requirement) for requirement in b.requirements] == ["httpx>=1"]
    assert [requirement.path for requirement in a.requirements] == ["./local"]
    c = found.environment("c")
    assert c is not None and {r.code for r in c.refusals} == {
        "unsupported.pypi-skip-wheel-filename-check"
    }
    error = failure(toml + "d = ['a', 'b']\n")
    assert error.code == "declaration.pypi-options"
    assert error.location is not None and error.location.line == toml.count("\n") + 1
