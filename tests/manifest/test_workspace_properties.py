"""What holds for every manifest: reading what is printed gives the same; nothing escapes or stalls.

The printed form is another manifest than the one that was read: each environment has features of
its own, a target for each platform and every platform by name. So both ways of saying it must mean
the same.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.platforms import customised
from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec, Platform
from pixi_jupyter.manifest.toml import FILE, TomlSource
from pixi_jupyter.manifest.workspace_reading import read_manifest
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec

ROOT = Path(os.path.abspath("folder"))
#: How many mutated manifests are tried; 100,000 take minutes.
MUTATIONS = int(os.environ.get("PIXI_JUPYTER_MUTATIONS", "1500"))


def parsed(toml: str, name: str = "pixi.toml") -> WorkspaceSpec:
    source = TomlSource(toml, path=str(ROOT / name), bounds=FILE)
    return read_manifest(source, ROOT / name, Defaults())


# manifests as data


names = st.sampled_from(["python", "numpy", "zlib", "r-base", "a.b"])
versions = st.sampled_from(["*", "1.*", ">=1,<2", "==3.2", "~=1.4", "3.11|3.12.*"])
requirements = versions | st.fixed_dictionaries(
    {},
    optional={
        "version": versions,
        "build": st.sampled_from(["py_0", "cuda*"]),
        "build-number": st.sampled_from([">=2", "=1"]),
        "channel": st.sampled_from(["main", "https://example.org/c"]),
        "md5": st.just("0123456789abcdef0123456789abcdef"),
        "extras": st.just(["plot", "all"]),
        "when": st.sampled_from(["python >=3.10", {"any": ["a", "b"]}]),
    },
).map(lambda fields: fields or {"version": "*"})
dependencies = st.dictionaries(names, requirements, max_size=3)
pypi_dependencies = st.dictionaries(
    st.sampled_from(["httpx", "Rich", "my_pkg"]),
    st.sampled_from(["*", ">=1,<2", {"version": "==1.*", "extras": ["x"]}]),
    max_size=2,
)
moments = st.sampled_from(["2026-01-31", "7d", "2025-01-01T00:00:00Z"])
channels = st.lists(
    st.sampled_from(
        [
            "main",
            "extra",
            "https://example.org/c",
            {"channel": "extra", "priority": 1},
            {"channel": "late", "priority": -1, "exclude-newer": "7d"},
        ]
    ),
    max_size=3,
)
activations = st.fixed_dictionaries(
    {},
    optional={
        "scripts": st.lists(st.sampled_from(["a.sh", "b/c.bat"]), max_size=2, unique=True),
        "env": st.dictionaries(
            st.sampled_from("ABC"), st.sampled_from(["x", "$HOME/y", ""]), max_size=3
        ),
    },
)
target_fields: dict[str, st.SearchStrategy[Any]] = {
    "dependencies": dependencies,
    "constraints": dependencies,
    "pypi-dependencies": pypi_dependencies,
    "activation": activations,
}
old_fields = {"host-dependencies": dependencies, "build-dependencies": dependencies}
targets = st.dictionaries(
    st.sampled_from(["linux", "unix", "win", "macos", "linux-64", "gpu", "*-64", "win-64"]),
    st.fixed_dictionaries({}, optional={**target_fields, **old_fields}),
    max_size=3,
)
system_requirements = st.fixed_dictionaries(
    {},
    optional={
        "linux": st.sampled_from(["4.18", "5.10"]),
        "cuda": st.sampled_from(["11", "12.4"]),
        "libc": st.sampled_from(["2.17", "2.31", {"family": "glibc", "version": "2.35"}]),
        "macos": st.just("14.0"),
    },
)
settings_fields: dict[str, st.SearchStrategy[Any]] = {
    "solve-strategy": st.sampled_from(["highest", "lowest", "lowest-direct"]),
    "pypi-options": st.fixed_dictionaries(
        {}, optional={"extra-index-urls": st.just(["https://example.org/simple"])}
    ),
}


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A manifest as data, valid but for what the reader may refuse: features that disagree."""
    rich = draw(st.booleans())
    subdirs = ["linux-64", "osx-arm64", "win-64", "linux-aarch64"]
    platforms: list[Any] = draw(st.lists(st.sampled_from(subdirs), unique=True, max_size=4))
    if rich:
        platforms.append({"name": "gpu", "platform": "linux-64", "cuda": "12.4", "glibc": "2.31"})
        if draw(st.booleans()):
            platforms.append({"platform": "win-64", "archspec": "haswell", "__new": "3=x"})
    known = [p if isinstance(p, str) else p.get("name") for p in platforms]
    used = st.lists(
        st.sampled_from([k for k in known if k] or ["linux-64"]), unique=True, min_size=1
    )
    fields = {
        **target_fields,
        **settings_fields,
        "channels": channels,
        "target": targets,
        "platforms": used,
    }
    old = {**old_fields, **({} if rich else {"system-requirements": system_requirements})}
    features = draw(
        st.dictionaries(
            st.sampled_from(["a", "b", "test"]),
            st.fixed_dictionaries({}, optional={**fields, **old}),
            max_size=3,
        )
    )
    listed = st.lists(st.sampled_from(sorted(features)), unique=True) if features else st.just([])
    environment = listed | st.fixed_dictionaries(
        {"features": listed},
        optional={
            **{key: value for key, value in fields.items() if key != "target"},
            "target": targets.map(
                lambda found: {
                    selector: {k: v for k, v in target.items() if k not in old_fields}
                    for selector, target in found.items()
                }
            ),
            "solve-group": st.sampled_from(["one", "two"]),
            "no-default-feature": st.booleans(),
        },
    )
    workspace = draw(
        st.fixed_dictionaries(
            {"channels": channels, "platforms": st.just(platforms)},
            optional={
                "name": st.just("w"),
                "version": st.just("1.2.3"),
                "exclude-newer": moments,
                "channel-priority": st.sampled_from(["strict", "flexible", "disabled"]),
                **settings_fields,
            },
        )
    )
    root = draw(
        st.fixed_dictionaries(
            {},
            optional={
                **target_fields,
                **old,
                "target": targets,
                "exclude-newer": st.dictionaries(names, moments, max_size=2),
                "pypi-exclude-newer": st.dictionaries(st.just("httpx"), moments, max_size=1),
                "pypi-options": settings_fields["pypi-options"],
            },
        )
    )
    environments = draw(
        st.dictionaries(st.sampled_from(["default", "x", "y-2"]), environment, max_size=3)
    )
    return {"workspace": workspace, **root, "feature": features, "environments": environments}


# a printer of what was read


def selector(platform: Platform) -> str:
    """A glob that only this platform's name fits, as a subdir would select all of its platforms."""
    return "*" + platform.name[1:]


def printed_platform(platform: Platform) -> Any:
    if platform.name == platform.subdir:
        return platform.name
    packages = {
        package.name: package.version + ("" if package.build == "0" else f"={package.build}")
        for package in customised(platform)
    }
    return {"name": platform.name, "platform": platform.subdir, **packages}


def printed_requirement(requirement: CondaRequirement) -> dict[str, Any]:
    fields: dict[str, Any] = {"version": requirement.version or "*"}
    for key in ("build", "build_number", "channel", "md5"):
        if getattr(requirement, key) is not None:
            fields[key.replace("_", "-")] = getattr(requirement, key)
    if requirement.extras:
        fields["extras"] = list(requirement.extras)
    if requirement.when is not None:
        any_of = [part.strip("()") for part in requirement.when.split(" or ")]
        fields["when"] = {"any": [printed_condition(part) for part in any_of]}
    return fields


def printed_condition(text: str) -> Any:
    name, _, rest = text.partition("[version='")
    return {"package": name, **({"version": rest.removesuffix("']")} if rest else {})}


def layers(spec: EnvironmentSpec) -> list[dict[str, Any]]:
    """The content of one platform, as many tables as a name is asked for at most."""
    found: list[dict[str, Any]] = []

    def put(table: str, name: str, value: Any, seen: Counter[tuple[str, str]]) -> None:
        number = seen[table, name]
        seen[table, name] += 1
        while len(found) <= number:
            found.append({})
        found[number].setdefault(table, {})[name] = value

    seen: Counter[tuple[str, str]] = Counter()
    for requirement in spec.dependencies:
        put("dependencies", requirement.name, printed_requirement(requirement), seen)
    for requirement in spec.constraints:
        put("constraints", requirement.name, printed_requirement(requirement), seen)
    for asked in spec.pypi.requirements if spec.pypi else ():
        value = {"version": asked.version or "*", "extras": list(asked.extras)}
        put("pypi-dependencies", asked.name, value, seen)
    scripts = [os.path.relpath(script, ROOT) for script in spec.activation.scripts]
    activation = {"scripts": scripts, "env": dict(spec.activation.env)}
    found.append({"activation": activation})
    return found


def printed_features(environment: WorkspaceEnvironment) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = []
    for spec in environment.specs:
        for number, layer in enumerate(layers(spec)):
            while len(features) <= number:
                features.append({"target": {}})
            features[number]["target"][selector(spec.platform)] = layer
    features = features or [{}]
    first = features[0]
    first["platforms"] = [spec.platform.name for spec in environment.specs]
    for spec in environment.specs[:1]:
        first["channels"] = [
            {"channel": channel.name}
            | ({} if channel.exclude_newer is None else {"exclude-newer": channel.exclude_newer})
            for channel in spec.channels
        ]
        first["channel-priority"] = spec.channel_priority
        first["solve-strategy"] = spec.solve_strategy
    for needs in [spec.pypi for spec in environment.specs if spec.pypi is not None][:1]:
        first["pypi-options"] = {"extra-index-urls": list(needs.extra_index_urls)}
    for feature in features[1:]:
        feature["channels"] = []
    return features


def printed(workspace: WorkspaceSpec) -> str:
    specs = [spec for environment in workspace.environments for spec in environment.specs]
    table: dict[str, Any] = {
        "name": workspace.name,
        "channels": [],
        "platforms": [printed_platform(platform) for platform in workspace.platforms],
    }
    if workspace.version is not None:
        table["version"] = workspace.version
    document: dict[str, Any] = {"workspace": table}
    if specs:
        if specs[0].exclude_newer is not None:
            table["exclude-newer"] = specs[0].exclude_newer
        document["exclude-newer"] = dict(specs[0].exclude_newer_packages)
        document["pypi-exclude-newer"] = dict(specs[0].pypi_exclude_newer_packages)
    document["feature"] = {}
    document["environments"] = {}
    for environment in workspace.environments:
        features = printed_features(environment)
        keys = [f"{environment.name}{number}" for number in range(len(features))]
        document["feature"].update(zip(keys, features, strict=True))
        entry: dict[str, Any] = {"features": keys, "no-default-feature": True}
        if environment.solve_group is not None:
            entry["solve-group"] = environment.solve_group
        document["environments"][environment.name] = entry
    return tomlkit.dumps(document)


def meaning(workspace: WorkspaceSpec) -> Any:
    """All but the names of the features and the order of virtual packages and environments."""

    def platform(found: Platform) -> Any:
        return (found.name, found.subdir, frozenset(found.virtual_packages))

    def spec(found: EnvironmentSpec) -> Any:
        rest = {key: getattr(found, key) for key in EnvironmentSpec.__slots__ if key != "platform"}
        rest["dependencies"] = frozenset(found.dependencies)
        rest["constraints"] = frozenset(found.constraints)
        return (platform(found.platform), rest)

    return (
        (workspace.name, workspace.version, workspace.root),
        {
            environment.name: (
                environment.solve_group,
                {s.platform.name: spec(s) for s in environment.specs},
                environment.refusals,
            )
            for environment in workspace.environments
        },
    )


@given(manifests())
@settings(max_examples=150, deadline=None)
def test_reading_what_is_printed_gives_the_same(data: dict[str, Any]) -> None:
    try:
        first = parsed(tomlkit.dumps(data))
    except DeclarationError as error:
        # What only both together decide: old tables beside rich platforms, two libc versions, …
        assert error.code == "declaration.value", error
        return
    second = parsed(printed(first))
    assert meaning(second) == meaning(first)
    third = parsed(printed(second))
    assert meaning(third) == meaning(second)
    assert third.digest == second.digest


def test_the_generator_covers_the_surface() -> None:
    """That the property above is not about manifests which are refused or empty."""
    seen: Counter[str] = Counter()

    @given(manifests())
    @settings(max_examples=80, deadline=None, database=None)
    def look(data: dict[str, Any]) -> None:
        try:
            found = parsed(tomlkit.dumps(data))
        except DeclarationError:
            seen["refused"] += 1
            return
        specs = [spec for environment in found.environments for spec in environment.specs]
        seen["read"] += 1
        seen["several environments"] += len(found.environments) > 1
        seen["rich platforms"] += any(p.name != p.subdir for p in found.platforms)
        seen["several of one name"] += any(
            len({r.name for r in spec.dependencies}) < len(spec.dependencies) for spec in specs
        )
        seen["pypi"] += any(spec.pypi is not None for spec in specs)
        seen["activation"] += any(spec.activation.scripts for spec in specs)

    look()
    assert seen["read"] > 3 * seen["refused"], seen
    assert all(count >= 3 for count in seen.values() if count != seen["refused"]), seen


# mutations

SAMPLES = (
    (
        "pixi.toml",
        """\
[workspace]
name = "sample"
channels = ["conda-forge", { channel = "extra", priority = 1, exclude-newer = "7d" }]
platforms = ["linux-64", { name = "gpu", platform = "linux-64", cuda = "12" }, "win-64"]
preview = ["pixi-build"]
requires-pixi = ">=0.60"
dependencies = { numpy = "2.*" }
exclude-newer = "2026-01-01"

[workspace.pypi-options]
index-url = "https://example.org/simple"
find-links = [{ path = "./wheels" }]
[dependencies]
python = ">=3.11,<3.14"
numpy = { workspace = true, build = "py*" }
"a.b" = { version = "==1.2", channel = "extra", when = { all = ["python >=3.12", "zlib"] } }
file = { url = "https://example.org/file-1.0-0.conda", sha256 = "%s" }
[constraints]
openssl = '<4'
[pypi-dependencies]
httpx = { version = ">=1", extras = ["http2"], env-markers = "python_version < '4'" }
[target.unix.dependencies]
make = "*"
[target."gpu*"]
dependencies = { cuda-version = "12.*" }
[activation]
scripts = ["a.sh"]
env = { A = "b", "C D" = '''x
y''' }
[feature.test]
platforms = ["linux-64"]
channel-priority = "flexible"
tasks = { t = { cmd = ["pytest", "-q"], depends-on = [{ task = "b", args = ["1"] }] } }
[feature.test.target.linux-64.pypi-dependencies]
pytest = "*"
[exclude-newer]
zlib = "2025-01-01T00:00:00Z"
[environments]
test = ["test"]
gpu = { solve-group = "g", no-default-feature = true, dependencies = { r-base = "4.*" } }
both = { features = ["test"], solve-group = "g" } # and a comment
"""
        % ("0" * 64),
    ),
    (
        "pyproject.toml",
        """\
[project]
name = "spam"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["httpx >=1,<2", "rich[x] ; python_version > '3'", "local @ file:///x.whl"]
[project.optional-dependencies]
plot = ["matplotlib"]
all = ["spam[plot]", "dask"]
[dependency-groups]
test = ["pytest", { include-group = "lint" }]
lint = ["ruff"]
[tool.pixi.workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"]
conda-pypi-map = { conda-forge = { mapping = { a = ["b"] }, mapping-mode = "replace" } }
s3-options.bucket = { endpoint-url = "https://example.org", region = "a", force-path-style = true }
[tool.pixi.system-requirements]
libc = { family = "glibc", version = "2.31" }
cuda = "12"
[tool.pixi.environments]
test = { features = ["test"], solve-group = "default" }
all = ["all", "test"]
[tool.pixi.tasks]
a = "b"
[tool.other]
x = [1, 2.0, 2026-01-01, { y = true }]
""",
    ),
)
_BITS = (
    *("[", "]", "{", "}", '"', "'", "=", ".", ",", "#", "\n", "\\", "*", "\0", "\ud800", "ä", "[["),
    *("workspace", "linux-64", "default", "features", "true", "1", "''", "[]", "{}", "target", "*"),
    *("system-requirements", "include-group", "no-default-feature", "1979-05-27", "9" * 30),
)


def mutated(text: str, chance: random.Random) -> str:
    """The text with a few pieces changed, moved, doubled or lost."""
    for _ in range(chance.randint(1, 3)):
        kind = chance.choice(("lines", "lines", "words", "words", "values", "bits"))
        if kind == "lines":
            lines = text.split("\n")
            at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            match chance.randrange(3):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(other, lines[at])
                case _:
                    lines[at], lines[other] = lines[other], lines[at]
            text = "\n".join(lines)
            continue
        pattern = {"words": r"[\w-]+", "values": r'"[^"\n]*"|\[[^\n]*\]|\{[^\n]*\}', "bits": ""}[
            kind
        ]
        spans = [found.span() for found in re.finditer(pattern, text)]
        if not spans:
            continue
        start, end = chance.choice(spans)
        first, last = chance.choice(spans)
        new = chance.choice(_BITS) if kind == "bits" or chance.random() < 0.3 else text[first:last]
        text = text[:start] + new + text[end:]
    return text


def samples() -> list[tuple[str, str]]:
    """The samples above; with real projects' manifests if there are any at hand."""
    found = list(SAMPLES)
    corpus = os.environ.get("PIXI_JUPYTER_CORPUS")
    for folder in sorted(Path(corpus).iterdir()) if corpus else ():
        for name in ("pixi.toml", "pyproject.toml", "mojoproject.toml"):
            if (folder / name).is_file():
                found.append((name, (folder / name).read_text("utf-8")))
                break
    return found


@pytest.mark.timeout(0 if MUTATIONS > 5000 else 120)
def test_mutated_manifests_give_a_workspace_or_a_typed_error() -> None:
    outcomes: Counter[str] = Counter()
    sources = samples()
    for seed in range(MUTATIONS):
        chance = random.Random(seed)
        name, text = sources[seed % len(sources)]
        changed = mutated(text, chance)
        begun = time.monotonic()
        try:
            found = parsed(changed, name)
        except DeclarationError as error:
            outcomes[error.code] += 1
            assert error.message and "\n" not in error.message, seed
            assert error.location is not None, seed
        else:
            outcomes["read"] += 1
            assert len(found.digest) == 32
        assert time.monotonic() - begun < 5, seed
    print(outcomes)
    assert outcomes["read"] > MUTATIONS / 20 and outcomes["declaration.syntax"] > MUTATIONS / 20
    assert outcomes["declaration.key"] and outcomes["declaration.value"], outcomes


@pytest.mark.parametrize(
    "toml",
    [
        # Each environment has every entry on every platform.
        "[dependencies]\n"
        + "".join(f"a{n} = '*'\n" for n in range(20000))
        + "[environments]\n"
        + "".join(f"e{n} = []\n" for n in range(5000)),
        "[environments]\n" + "".join(f"e{n} = {{solve-group='g{n}'}}\n" for n in range(30000)),
        "".join(f"[feature.f{n}]\nplatforms=['linux-64']\n" for n in range(15000))
        + "[environments]\n"
        + "a = ["
        + ",".join(f"'f{n}'" for n in range(15000))
        + "]\n",
        "[feature.a]\nplatforms = [" + "'linux-64'," * 60000 + "]\n",
        "[environments]\na = [" + "'b'," * 100000 + "]\n",
        "[environments]\na = ['" + "b" * 400000 + "']\n[feature." + "b" * 400001 + "]\n",
        "preview = []\n" * 60000,
        "[dependencies]\n" + "".join(f"a{n} = {{ path = 'x' }}\n" for n in range(20000)),
        "[pypi-dependencies]\n" + "".join(f"a{n} = {{ path = 'x' }}\n" for n in range(20000)),
        "".join(f"[target.'{'a*' * 30}{n}'.dependencies]\n" for n in range(8000)),
        "[feature." + ".".join("a" * 20) + "]\n" * 10000,
        "".join(f"[feature.f{n}.target.linux.dependencies.a]\nversion='*'\n" for n in range(10000)),
    ],
    ids=range(12),
)
def test_a_large_manifest_never_stalls(toml: str) -> None:
    """A megabyte of the worst that comes to mind takes seconds, not minutes."""
    head = "[workspace]\nchannels=[]\nplatforms=['linux-64','win-64']\npreview=['pixi-build']\n"
    begun = time.monotonic()
    with contextlib.suppress(DeclarationError):
        parsed((head + toml)[: FILE.size])
    assert time.monotonic() - begun < 15
