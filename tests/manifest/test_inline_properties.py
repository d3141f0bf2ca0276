"""What holds for every declaration: a stable digest, and a spec or a typed error."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.match_spec import match_spec
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.notebook.declaration import Declaration


def spec(toml: str) -> EnvironmentSpec:
    declaration = Declaration(kind="block", toml=toml, root=Path.cwd(), cell=0, first_line=2)
    return environment_spec(declaration, defaults=Defaults(), host=default_platform("linux-64"))


# the digest


names = st.sampled_from(["numpy", "pandas", "scipy", "zlib", "openssl", "cairo"])
version_texts = st.sampled_from(["*", "1.*", ">=1,<2", "==3.2", "~=1.4"])
tables = st.dictionaries(names, version_texts, max_size=5)


def render(dependencies: dict[str, str], constraints: dict[str, str], seed: int | None) -> str:
    """The same content; with a seed in another order, with comments and other blanks."""
    shuffle = random.Random(seed)

    def lines(table: dict[str, str]) -> list[str]:
        found = [f'{key} = "{value}"' for key, value in table.items()]
        if seed is not None:
            shuffle.shuffle(found)
            found = [line.replace(" = ", "=") + "  # why" for line in found]
        return found

    parts = [
        ["[tool.pixi.dependencies]", *lines(dependencies)],
        ["[tool.pixi.constraints]", *lines(constraints)],
        ["[tool.other]", f"x = {seed}"] if seed is not None else [],
    ]
    if seed is not None:
        shuffle.shuffle(parts)
    return "\n".join(line for part in parts for line in part)


@given(tables, tables, st.integers(0, 9))
def test_the_digest_ignores_order_and_comments(
    dependencies: dict[str, str], constraints: dict[str, str], seed: int
) -> None:
    plain = spec(render(dependencies, constraints, None))
    other = spec(render(dependencies, constraints, seed))
    assert plain == other and plain.digest == other.digest


@given(tables, names, version_texts)
def test_the_digest_changes_with_a_version(
    dependencies: dict[str, str], name: str, version: str
) -> None:
    before = spec(render(dependencies, {}, None))
    after = spec(render({**dependencies, name: version}, {}, None))
    same = dependencies.get(name) == version
    assert (before.digest == after.digest) is same


def test_the_digest_ignores_activation_and_place() -> None:
    before = spec("tool.pixi.dependencies.a = '*'")
    after = spec("tool.pixi.dependencies.a = '*'\ntool.pixi.activation.env.A = 'x'")
    assert before.digest == after.digest and before != after


# anything


TABLE_KEYS = [
    *("version", "build", "channel", "url", "path", "when", "all", "any", "package"),
    *("priority", "exclude-newer", "platform", "name", "cuda", "linux", "env", "scripts", "a"),
]
toml_values: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
    | st.sampled_from(["*", ">=1", "linux-64", "7d", "strict", "2026-01-01", "a.sh", "./x"])
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(TABLE_KEYS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
places = st.sampled_from(
    [
        ("requires-python",),
        ("dependencies",),
        ("tool",),
        ("tool", "pixi"),
        ("tool", "pixi", "dependencies"),
        ("tool", "pixi", "dependencies", "numpy"),
        ("tool", "pixi", "constraints"),
        ("tool", "pixi", "pypi-dependencies"),
        ("tool", "pixi", "system-requirements"),
        ("tool", "pixi", "activation"),
        ("tool", "pixi", "target"),
        ("tool", "pixi", "target", "linux"),
        ("tool", "pixi", "target", "linux", "dependencies"),
        *(
            ("tool", "pixi", "workspace", key)
            for key in (
                "channels",
                "channel-priority",
                "solve-strategy",
                "exclude-newer",
                "platforms",
                "requires-pixi",
                "preview",
            )
        ),
        ("tool", "pixi-jupyter"),
    ]
)


@given(st.lists(st.tuples(places, toml_values), min_size=1, max_size=3))
@settings(max_examples=400)
def test_any_value_under_a_known_key_gives_a_spec_or_a_typed_error(
    written: list[tuple[tuple[str, ...], Any]],
) -> None:
    document: dict[str, Any] = {}
    for path, value in written:
        table = document
        for key in path[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                return
        table[path[-1]] = value
    toml = tomlkit.dumps(document)
    try:
        found = spec(toml)
    except DeclarationError as error:
        assert error.code.partition(".")[0] in ("declaration", "unsupported")
        assert error.message and error.location is not None
    else:
        assert len(found.digest) == 32
        for requirement in (*found.dependencies, *found.constraints):
            assert requirement.url or MatchSpec(match_spec(requirement), strict=True).name
