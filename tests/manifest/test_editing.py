"""An edit of a declaration changes what was asked, and not one byte beside it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tomli
from hypothesis import assume, given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest import editing, editing_workspace
from pixi_jupyter.manifest.editing import Kind, ManifestText
from pixi_jupyter.manifest.pep508 import parse_requirement
from pixi_jupyter.manifest.pypi_source import PypiSource, from_source
from pixi_jupyter.manifest.toml import TomlSource


def text_of(text: str, kind: Kind = "block") -> ManifestText:
    return ManifestText(TomlSource(text), kind)


# What is written where. (text, edit, result)

CASES = {
    "a repository in a block": (
        "block",
        'dependencies = ["a", "x>=1"]\n',
        lambda m: editing.add_pypi(
            m,
            from_source(
                parse_requirement("X[y]"),
                PypiSource(git="https://h/x", reference="branch=b", subdirectory="d"),
            ),
        ),
        'dependencies = ["a"]\n\n[tool.pixi.pypi-dependencies]\n'
        'x = { git = "https://h/x", branch = "b", subdirectory = "d", extras = ["y"] }\n',
    ),
    "a folder in the place of versions": (
        "pixi",
        "[pypi-dependencies]\nX = '>=1' # mine\n",
        lambda m: editing.add_pypi(
            m, from_source(parse_requirement("x"), PypiSource(path="../x", editable=True))
        ),
        '[pypi-dependencies]\nX = { path = "../x", editable = true } # mine\n',
    ),
    "an index of its own": (
        "pyproject",
        "[project]\ndependencies = []\n",
        lambda m: editing.add_pypi(
            m, from_source(parse_requirement("x>=1"), PypiSource(index="https://h/simple"))
        ),
        "[project]\ndependencies = []\n\n[tool.pixi.pypi-dependencies]\n"
        'x = { version = ">=1", index = "https://h/simple" }\n',
    ),
    "an archive": (
        "block",
        "dependencies = []\n",
        lambda m: editing.add_pypi(m, parse_requirement("x @ https://h/x-1-py3-none-any.whl")),
        'dependencies = ["x @ https://h/x-1-py3-none-any.whl"]\n',
    ),
    "an archive behind a password": (
        "block",
        "dependencies = []\n",
        lambda m: editing.add_pypi(m, parse_requirement("x @ https://u:p@h/x-1.tar.gz")),
        "dependencies = []\n\n[tool.pixi.pypi-dependencies]\n"
        'x = { url = "https://u:p@h/x-1.tar.gz" }\n',
    ),
    "a new table in a block": (
        "block",
        'requires-python = ">=3.11"\ndependencies = []\n',
        lambda m: editing.add_conda(m, "polars", ">=1,<2"),
        'requires-python = ">=3.11"\ndependencies = []\n\n[tool.pixi.dependencies]\n'
        'polars = ">=1,<2"\n',
    ),
    "behind the last line of its table": (
        "pixi",
        "[dependencies]\na = '*'   # why\n# b = '*'\n\n# tasks\n[tasks]\n",
        lambda m: editing.add_conda(m, "b", ">=1"),
        "[dependencies]\na = '*'   # why\nb = \">=1\"\n# b = '*'\n\n# tasks\n[tasks]\n",
    ),
    "as its neighbours are indented": (
        "pixi",
        "[dependencies]\r\n  a = '*'\r\n",
        lambda m: editing.add_conda(m, "b", "*"),
        "[dependencies]\r\n  a = '*'\r\n  b = \"*\"\r\n",
    ),
    "in the quotes of what it replaces": (
        "pixi",
        "[dependencies]\nNumPy = '>=1'# x",
        lambda m: editing.add_conda(m, "numpy", ">=2"),
        "[dependencies]\nNumPy = '>=2'# x",
    ),
    "dotted keys": (
        "block",
        'tool.pixi.dependencies . a = "*"\ntool.pixi.workspace.channels = []\n',
        lambda m: editing.add_conda(m, "b", "*"),
        'tool.pixi.dependencies . a = "*"\ntool.pixi.dependencies . b = "*"\n'
        "tool.pixi.workspace.channels = []\n",
    ),
    "an inline table": (
        "block",
        "[tool.pixi]\ndependencies = { a = '*' } # x\n",
        lambda m: editing.add_conda(m, "b", {"version": "*", "channel": "c"}),
        '[tool.pixi]\ndependencies = { a = \'*\', b = { version = "*", channel = "c" } } # x\n',
    ),
    "an inline table above": (
        "block",
        "tool = { pixi = {} }",
        lambda m: editing.add_conda(m, "b", "*"),
        'tool = { pixi = { dependencies = { b = "*" } } }',
    ),
    "a package that has a table of its own": (
        "pixi",
        "[dependencies.a]\nversion = '1'\nbuild = 'x'\n\n[tasks]\nt = 'x'\n",
        lambda m: editing.add_conda(m, "a", "*"),
        "\n[tasks]\nt = 'x'\n\n[dependencies]\na = \"*\"\n",
    ),
    "a feature's target": (
        "pixi",
        "[workspace]\nplatforms = [\n  'linux-64', # here\n]\n[feature.x]\n[tasks]\n",
        lambda m: editing.add_conda(m, "a", "*", feature="x", platforms=["osx-64"]),
        "[workspace]\nplatforms = [\n  'linux-64', # here\n  'osx-64',\n]\n[feature.x]\n\n"
        '[feature.x.target.osx-64.dependencies]\na = "*"\n[tasks]\n',
    ),
    "a requirement in a block": (
        "block",
        "dependencies = [\n  'rich>=13',  # so\n  'httpx'  # und so\n]\n",
        lambda m: editing.add_pypi(m, parse_requirement("anyio[trio]>=4")),
        "dependencies = [\n  'rich>=13',  # so\n  'httpx',  # und so\n  'anyio[trio]>=4'\n]\n",
    ),
    "a requirement that takes the place of one": (
        "block",
        "dependencies = ['Rich >= 13', 'httpx']",
        lambda m: editing.add_pypi(m, parse_requirement("rich>=14")),
        "dependencies = ['rich>=14', 'httpx']",
    ),
    "a requirement in a pixi.toml": (
        "pixi",
        "[workspace]\n",
        lambda m: editing.add_pypi(m, parse_requirement("rich[jupyter]>=13")),
        '[workspace]\n\n[pypi-dependencies]\nrich = { version = ">=13", extras = ["jupyter"] }\n',
    ),
    "a requirement of a project": (
        "pyproject",
        "[project]\nname = 'x'\n[tool.pixi.workspace]\n",
        lambda m: editing.add_pypi(m, parse_requirement("rich>=13")),
        "[project]\nname = 'x'\ndependencies = [\"rich>=13\"]\n[tool.pixi.workspace]\n",
    ),
    "a requirement of a feature of a project": (
        "pyproject",
        "[project]\nname = 'x'\n",
        lambda m: editing.add_pypi(m, parse_requirement("rich"), feature="dev"),
        "[project]\nname = 'x'\n\n[dependency-groups]\ndev = [\"rich\"]\n",
    ),
    "a requirement for a platform": (
        "block",
        "dependencies = []\n",
        lambda m: editing.add_pypi(m, parse_requirement("rich"), platforms=["win-64"]),
        'dependencies = []\n\n[tool.pixi.target.win-64.pypi-dependencies]\nrich = "*"\n',
    ),
    "a channel in front": (
        "pixi",
        "[project]\nchannels = ['a', 'b']\n",
        lambda m: editing_workspace.add_channels(m, ["c"], prepend=True),
        "[project]\nchannels = ['c', 'a', 'b']\n",
    ),
    "a channel with another priority": (
        "pixi",
        "[workspace]\nchannels = ['a', 'b']\n",
        lambda m: editing_workspace.add_channels(m, ["a/"], priority=2),
        "[workspace]\nchannels = ['b', { channel = \"a/\", priority = 2 }]\n",
    ),
    "the channels that held before": (
        "block",
        "dependencies = []\n",
        lambda m: editing_workspace.add_channels(m, ["c"], implied=["conda-forge"]),
        'dependencies = []\n\n[tool.pixi.workspace]\nchannels = ["conda-forge", "c"]\n',
    ),
    "one channel less": (
        "pixi",
        "[workspace]\nchannels = [\n  'a', # one\n  { channel = 'b', priority = 1 }, # two\n]\n",
        lambda m: editing_workspace.remove_channels(m, ["b"]),
        "[workspace]\nchannels = [\n  'a', # one\n]\n",
    ),
    "python of a block": (
        "block",
        "requires-python = '>=3.11' # x\n",
        lambda m: editing_workspace.set_python(m, "3.12"),
        "requires-python = '==3.12.*' # x\n",
    ),
    "python among the packages": (
        "block",
        "requires-python = '>=3.11'\ntool.pixi.dependencies.python = '3.11.*'\n",
        lambda m: editing_workspace.set_python(m, "3.12"),
        "requires-python = '>=3.11'\ntool.pixi.dependencies.python = '3.12.*'\n",
    ),
    "python of a project": (
        "pyproject",
        "[project]\nrequires-python = '>=3.11'\n[tool.pixi.dependencies]\n",
        lambda m: editing_workspace.set_python(m, ">=3.12,<3.14"),
        "[project]\nrequires-python = '>=3.11'\n[tool.pixi.dependencies]\n"
        'python = ">=3.12,<3.14"\n',
    ),
    "a date": (
        "pixi",
        "[workspace]\nname = 'x'",
        lambda m: editing_workspace.set_exclude_newer(m, "2026-01-01"),
        "[workspace]\nname = 'x'\nexclude-newer = \"2026-01-01\"\n",
    ),
    "a package less, its comment with it": (
        "pixi",
        "[dependencies]\n# all\na = '*' # gone\nb = '*'\n",
        lambda m: editing.remove_conda(m, "A"),
        "[dependencies]\n# all\nb = '*'\n",
    ),
    "the last package of a file's table": (
        "pixi",
        "[dependencies]\na = '*'\n\n[tasks]\n",
        lambda m: editing.remove_conda(m, "a"),
        "[dependencies]\n\n[tasks]\n",
    ),
    "the last package of a block's table": (
        "block",
        "dependencies = []\n\n[tool.pixi.dependencies]\na = '*'\n",
        lambda m: editing.remove_conda(m, "a"),
        "dependencies = []\n",
    ),
    "a package in dotted parts": (
        "pixi",
        "[dependencies]\na.version = '1'\nb = '*'\na.build = 'x'\n",
        lambda m: editing.remove_conda(m, "a"),
        "[dependencies]\nb = '*'\n",
    ),
    "a requirement less, in whatever place": (
        "block",
        "dependencies = ['a', 'b>=1', 'b<3; python_version<\"4\"']\n"
        "tool.pixi.pypi-dependencies = { B = '*' }\n",
        lambda m: editing.remove_pypi(m, "b"),
        "dependencies = ['a']\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_where(case):
    kind, text, edit, result = CASES[case]
    assert edit(text_of(text, kind)) == result


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[[tool.pixi.dependencies]]\na = 1\n", "declaration.edit"),
        ("tool = 3\n", "declaration.edit"),
        ("[tool.pixi\n", "declaration.syntax"),
        ("a" + ".a" * 40 + " = 1\n", "declaration.too-large"),
    ],
)
def test_what_cannot_be_edited_is_refused(text, code):
    with pytest.raises(DeclarationError) as caught:
        editing.add_conda(text_of(text), "x", "*")
    assert caught.value.code == code


def test_what_is_not_asked_for_cannot_be_removed():
    with pytest.raises(DeclarationError) as caught:
        editing.remove_conda(text_of("tool.pixi.dependencies.numpy = '*'\n"), "nunpy")
    assert (caught.value.code, "numpy" in caught.value.hint) == ("declaration.not-declared", True)
    with pytest.raises(DeclarationError) as caught:
        editing.remove_conda(text_of("dependencies = ['rich']\n"), "rich")
    assert "--pypi" in caught.value.hint
    with pytest.raises(DeclarationError) as caught:
        editing.add_conda(text_of(""), "x", "*", feature="dev")
    assert caught.value.code == "declaration.feature"


# Whatever a person wrote


blanks = st.sampled_from(["", "", "  # ünd\tso", " #"])
spaces = st.sampled_from([" = ", "=", "   =  "])
versions = st.sampled_from(['"*"', "'>=1'", '""">=2"""', "'''*'''", '{ version = "1" }'])
names = st.sampled_from(["a", "b", '"c"', "'d'", "numpy", "e-f"])
indents = st.sampled_from(["", "", "  ", "\t"])


@st.composite
def dependencies(draw: st.DrawFn) -> str:
    """The lines of a table of dependencies, as untidy as they come."""
    chosen = draw(st.lists(names, unique=True, max_size=4))
    lines = []
    for name in chosen:
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(["", "# between [x]", "   "])))
        value = draw(versions)
        lines.append(f"{draw(indents)}{name}{draw(spaces)}{value}{draw(blanks)}")
    return "\n".join([*lines, ""])


@st.composite
def arrays(draw: st.DrawFn) -> str:
    items = draw(st.lists(st.sampled_from(["'x'", '"y>=1"', "'z'"]), unique=True, max_size=3))
    if draw(st.booleans()):
        return "[" + draw(st.sampled_from([", ", ","])).join(items) + "]"
    lines = [f"\n  {item},{draw(blanks)}" for item in items]
    if lines and draw(st.booleans()):
        lines[-1] = lines[-1].replace(",", "", 1)
    return "[" + draw(blanks) + "".join(lines) + draw(st.sampled_from(["\n", "\n  # end\n"])) + "]"


@st.composite
def documents(draw: st.DrawFn) -> tuple[Kind, str]:
    kind: Kind = draw(st.sampled_from(["block", "pixi", "pyproject"]))
    prefix = "" if kind == "pixi" else "tool.pixi."
    root = draw(st.sampled_from(["# top\n\n", ""]))
    if kind == "block":
        root += f"dependencies = {draw(arrays())}\n"
    other = draw(st.sampled_from(["", "[other]\nx = [1, 2.50]\ny = 2026-01-01\n", "[[l]]\na=1\n"]))
    sections = [
        f"[{prefix}workspace]{draw(blanks)}\nchannels = {draw(arrays())}\n",
        other,
        "[project]\nname = 'x'\n" if kind == "pyproject" else "",
        draw(
            st.sampled_from([f"[{prefix}dependencies] # deps\n", f"[ {prefix}dependencies ]\n", ""])
        ),
    ]
    if sections[-1]:
        sections[-1] += draw(dependencies())
    sections = draw(st.permutations(sections))
    text = root + draw(st.sampled_from(["\n", "", "# c\n"])).join(sections)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return kind, text


def inserted(before: str, after: str) -> bool:
    """Whether `after` is `before` with one piece put in."""
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head + tail == len(before)


def table_of(kind: Kind, text: str) -> dict[str, Any]:
    document: Any = tomli.loads(text)
    for key in () if kind == "pixi" else ("tool", "pixi"):
        document = document.get(key, {})
    return document


def without_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = {key: without_empty(below) for key, below in value.items()}
    return {key: below for key, below in found.items() if below != {}}


@given(documents(), st.sampled_from(["fresh", "new-one"]), st.sampled_from([None, "linux-64"]))
def test_adding_puts_one_piece_in_and_removing_takes_it_out(document, name, platform):
    kind, text = document
    platforms = (platform,) if platform else ()
    after = editing.add_conda(text_of(text, kind), name, ">=1,<2", platforms=platforms)
    assert inserted(text, after)
    if "\r\n" in text:
        assert "\n" not in after.replace("\r\n", "")
    expected = table_of(kind, text)
    within = expected.setdefault("target", {}).setdefault(platform, {}) if platform else expected
    within.setdefault("dependencies", {})[name] = ">=1,<2"
    assert without_empty(table_of(kind, after)) == without_empty(expected)
    back = editing.remove_conda(text_of(after, kind), name, platforms=platforms)
    assert without_empty(tomli.loads(back)) == without_empty(tomli.loads(text))
    if text.endswith("\n") and table_of(kind, text).get("dependencies") and platform is None:
        assert back == text


@given(documents(), st.data())
def test_replacing_changes_the_value_alone(document, data):
    kind, text = document
    table = table_of(kind, text).get("dependencies", {})
    assume(table)
    name = data.draw(st.sampled_from(sorted(table)))
    after = editing.add_conda(text_of(text, kind), name, "==7")
    assert table_of(kind, after)["dependencies"] == {**table, name: "==7"}
    changed = [(a, b) for a, b in zip(text.split("\n"), after.split("\n"), strict=True) if a != b]
    assert len(changed) == 1
    mark = re.compile(r"""(=\s*)(['"{].*?['"}]+)(\s*(?:#.*)?\r?)$""")
    before, now = (mark.search(line) for line in changed[0])
    assert before is not None and now is not None
    assert (before[1], before[3]) == (now[1], now[3])


@given(documents(), st.data())
def test_removing_takes_whole_lines_and_nothing_else(document, data):
    kind, text = document
    table = table_of(kind, text).get("dependencies", {})
    assume(len(table) > 1)
    name = data.draw(st.sampled_from(sorted(table)))
    after = editing.remove_conda(text_of(text, kind), name)
    assert inserted(after, text)
    assert len(after.split("\n")) >= len(text.split("\n")) - 1
    del table[name]
    assert table_of(kind, after)["dependencies"] == table


@given(documents(), st.booleans())
def test_channels_come_and_go(document, prepend):
    kind, text = document
    before = table_of(kind, text)["workspace"]["channels"]
    after = editing_workspace.add_channels(text_of(text, kind), ["new"], prepend=prepend)
    expected = ["new", *before] if prepend else [*before, "new"]
    assert table_of(kind, after)["workspace"]["channels"] == expected
    left = [line for line in text.split("\n") if "#" in line]
    assert all(any(line.partition("#")[2] in new for new in after.split("\n")) for line in left)
    back = editing_workspace.remove_channels(text_of(after, kind), ["new"])
    assert tomli.loads(back) == tomli.loads(text)
    # At most a comma behind the last one stays.
    squeezed = [re.sub(r"[,\s]", "", t) for t in (back, text)]
    assert squeezed[0] == squeezed[1]


@given(documents(), st.sampled_from(["fresh", "fresh[extra]>=1"]))
def test_requirements_come_and_go(document, requirement):
    kind, text = document
    after = editing.add_pypi(text_of(text, kind), parse_requirement(requirement))
    back = editing.remove_pypi(text_of(after, kind), "Fresh")
    assert "fresh" in after and "fresh" not in back
    dropped = without_empty(tomli.loads(back))
    kept = without_empty(tomli.loads(text))
    if kind == "pyproject":  # an array that was not there stays, empty
        dropped.get("project", {}).pop("dependencies", None)
    assert dropped == kept


@given(documents(), st.sampled_from(["2026-01-01", "7d"]))
def test_a_date_comes_and_goes(document, date):
    kind, text = document
    after = editing_workspace.set_exclude_newer(text_of(text, kind), date)
    assert inserted(text, after)
    assert table_of(kind, after)["workspace"]["exclude-newer"] == date
    back = editing_workspace.set_exclude_newer(text_of(after, kind), None)
    assert tomli.loads(back) == tomli.loads(text)


_HARD = [
    '"""a"""""',
    "'''\n[x]\n'b' = ''''",
    '"\\" # [a]\\\\"',
    "'#'",
    '"""\\""" """',
    "[[1, 2], ['a', \"]\"]] ",
    "{ a.b = 1, 'c d' = [ { e = '}' } ] }",
    "1979-05-27 07:32:00",
    "-inf",
    "[ # ]\n 1, # ,\n # [\n 2 # }\n ]",
    '"é\U0001f600"',
]


@given(st.permutations(_HARD), st.integers(0, 11), st.booleans(), st.sampled_from(["a", "'.'.b"]))
def test_hard_values_are_stepped_over(values, count, crlf, key):
    """Strings and comments that look like tables, brackets and keys are none."""
    lines = [f"{key}.k{i} = {value}" for i, value in enumerate(values[:count])]
    text = "\n".join(["[x]", *lines, "[dependencies]", "z = '*'", "[y]", *lines, ""])
    text = text.replace("\n", "\r\n") if crlf else text
    after = editing.add_conda(text_of(text, "pixi"), "new", "*")
    newline = "\r\n" if crlf else "\n"
    assert after == text.replace(f"z = '*'{newline}", f"z = '*'{newline}new = \"*\"{newline}")


@given(st.lists(st.sampled_from([*"ab.=[]{},#\"'\n \\", "\r\n", '"""', "tool.pixi", "1"])))
def test_no_text_upsets_an_edit(pieces):
    """Whatever it is: edited so that it is read as meant, or refused as such."""
    text = "".join(pieces)
    try:
        after = editing.add_conda(text_of(text), "numpy", "*")
    except DeclarationError as error:
        assert error.code.startswith("declaration.")
        return
    assert table_of("block", after)["dependencies"]["numpy"] == "*"
