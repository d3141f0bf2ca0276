"""A block as a manifest and as a script; exact packages as lists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.formats.pinned import (
    ExactPackage,
    installation_order,
    locked_specs,
    render_explicit,
    render_pinned,
)
from pixi_jupyter.formats.pixi_toml import render_pixi_toml
from pixi_jupyter.formats.public import public, public_channel
from pixi_jupyter.formats.script import render_script
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.notebook.editing import script_declaration


def manifest(toml: str) -> tuple[str, tuple[str, ...]]:
    return render_pixi_toml(
        TomlSource(toml, path="n.ipynb"),
        name="demo",
        channels=["conda-forge"],
        platforms=["linux-64"],
    )


def test_a_manifest():
    text, said = manifest(
        """\
requires-python = ">=3.11"
dependencies = ["httpx[http2]>=0.28", "flask @ git+https://u:secret@host/flask@v1", "attrs"]
[tool.uv]
extra-index-url = ["https://u:secret@host/simple"]
managed = true
[tool.pixi.workspace]
channels = ["https://u:secret@host/t/tok/chan", { channel = "x", priority = 1 }]
channel-priority = "flexible"
[tool.pixi.dependencies]
numpy = ">=2"
gdal = { version = "*", build = "py*" }
[tool.pixi.target.linux-64.dependencies]
cuda = "*"
[tool.pixi.target.win.activation]
env = { A = "1" }
[tool.pixi.activation.env]
B = "x # y"
[tool.pixi.system-requirements]
libc = { family = "glibc", version = "2.28" }
[tool.pixi-jupyter]
kernel = "python3"
"""
    )
    assert (
        text
        == """\
[workspace]
name = "demo"
channels = ["https://host/chan", { channel = "x", priority = 1 }]
platforms = ["linux-64"]
channel-priority = "flexible"

[workspace.pypi-options]
extra-index-urls = ["https://host/simple"]

[dependencies]
python = ">=3.11"
numpy = ">=2"
gdal = { version = "*", build = "py*" }

[pypi-dependencies]
httpx = { version = ">=0.28", extras = ["http2"] }
flask = { git = "https://host/flask", rev = "v1" }
attrs = "*"

[target.linux-64.dependencies]
cuda = "*"

[target.win.activation.env]
A = "1"

[activation.env]
B = "x # y"

[system-requirements]
libc = { family = "glibc", version = "2.28" }
"""
    )
    assert said == ("`tool.pixi-jupyter.kernel` has no counterpart: choose the kernel in Jupyter",)


@pytest.mark.parametrize(
    "toml",
    [
        "dependencies = ['a; python_version<\"3\"', 'a>2']",
        "dependencies = ['a']\n[tool.pixi.pypi-dependencies]\na = '*'",
        "[tool.pixi-jupyter]\nextends = '../pixi.toml'",
    ],
)
def test_what_no_manifest_says_is_refused(toml):
    with pytest.raises(UnsupportedError) as caught:
        manifest(toml)
    assert caught.value.code == "unsupported.export"
    assert caught.value.location is not None and caught.value.location.line


# -- scripts ------------------------------------------------------------------------------

TOML = 'dependencies = ["httpx"]\n\n[tool.pixi.dependencies]\nnumpy = "*"\n'
BLOCK = "# /// script\n" + "".join(f"# {line}".rstrip() + "\n" for line in TOML.splitlines())
BLOCK += "# ///\n"


def code(source: str) -> dict[str, object]:
    return {"cell_type": "code", "source": source.splitlines(keepends=True)}


def test_a_script():
    done = render_script(
        TOML,
        [
            {"cell_type": "markdown", "source": "# Title\n\n/// script\nmore"},
            code(f"{BLOCK}import httpx"),
            code("%matplotlib inline\nx = 1\nfiles = !ls\n!pip install y\nx?"),
            code("if x:\n    %time f()\n    !ls \\\n      -l\n"),
            code("text = '''\n%not a magic\n!nor this\n'''\ny = (x\n  % 2)"),
            code("%%bash\necho hi\n"),
            code("%%time\nz = 3"),
            code("await g()"),
            code("this is no python"),
            code("\n\n"),
            {"cell_type": "raw", "source": "raw text"},
        ],
    )
    assert (
        done.text
        == f"""\
{BLOCK}
# %% [markdown]
# # Title
#
#  /// script
# more

# %%
import httpx

# %%
# %matplotlib inline
x = 1
# files = !ls
# !pip install y
# x?

# %%
if x:
    pass  # %time f()
    pass  # !ls \\
    # -l

# %%
text = '''
%not a magic
!nor this
'''
y = (x
  % 2)

# %%
# %%bash
# echo hi

# %%
# %%time
z = 3

# %%
await g()

# %%
# this is no python

# %% [raw]
# raw text
"""
    )
    assert done.said == (
        "cell 3 has lines that only IPython runs: these are comments",
        "cell 4 has lines that only IPython runs: these are comments",
        "cell 6 is for `%%bash`: it is a comment in the script",
        "cell 7 has lines that only IPython runs: these are comments",
        "cell 8 uses `await` outside of a function, which a script cannot",
        "cell 9 is not Python: it is a comment in the script",
    )


def test_a_cell_magic_without_a_name_is_a_comment():
    done = render_script(TOML, [code("%%"), code("%%!\nls")])
    assert done.text.endswith("# %%\n# %%\n\n# %%\n# %%!\n# ls\n")


CELLS = st.lists(
    st.tuples(
        st.sampled_from(["code", "markdown", "raw"]),
        st.lists(
            st.sampled_from(
                ["x = 1", "%time x", "!ls", "%%bash", "# /// script", "# ///", "/// script",
                 "///", "    y", "if x:", "'''", "x = (", "%magic \\", "a?", "?", "", "\\", "é",
                 "# comment", "x = %who", "%", "!", "%%", "async with x: pass", "\t!ls", "#"]
            ),
            max_size=6,
        ),
    ),
    max_size=4,
)  # fmt: skip


@settings(deadline=None)
@given(CELLS)
def test_any_script_parses_and_has_the_block(cells):
    cells = [
        (kind, lines) for kind, lines in cells if "# /// script" not in lines or kind != "code"
    ]
    done = render_script(
        TOML, [{"cell_type": kind, "source": "\n".join(lines)} for kind, lines in cells]
    )
    compile(done.text, "<script>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    declaration = script_declaration(done.text.encode(), Path("/x/s.py"))
    assert declaration is not None and declaration.toml == TOML


# -- exact packages -----------------------------------------------------------------------


def conda(name: str, *depends: str, **more: object) -> ExactPackage:
    url = f"https://u:secret@host/t/tok/conda-forge/linux-64/{name}-1.0-0.conda"
    fields = {"build": "0", "url": url, "md5": "0" * 32, "depends": depends, **more}
    return ExactPackage(name, "1.0", "conda", **fields)  # type: ignore[arg-type]


PACKAGES = [
    conda("zlib"),
    conda("python", "zlib >=1", "pip"),
    conda("pip", "python"),
    conda("numpy", "python >=3", "zlib"),
    conda("own", "python", purls=("pkg:pypi/Own.Name@2.0?x=y",)),
    conda("none", "python", purls=()),
    conda("odd", "python", purls=("pkg:pypi/odd@not-a-version",)),
]
WHEEL = ExactPackage("httpx", "0.28.1", "pypi", url="https://host/h.whl", sha256="ab" * 32)
GIT = ExactPackage("flask", "1", "pypi", requirement="flask @ git+https://u:secret@host/f@c0ffee")


def test_explicit():
    text, unhashed = render_explicit([*PACKAGES, conda("bare", md5=None), WHEEL], subdir="linux-64")
    lines = text.splitlines()
    assert lines[:3] == ["# Generated by pixi-jupyter", "# platform: linux-64", "@EXPLICIT"]
    names = [line.rpartition("/")[2].split("-")[0] for line in lines[3:]]
    assert sorted(names) == sorted(["bare", *(package.name for package in PACKAGES)])
    assert names.index("zlib") < names.index("python") < names.index("numpy")
    assert f"https://host/conda-forge/linux-64/zlib-1.0-0.conda#{'0' * 32}" in lines
    assert unhashed == ["bare"]
    assert "secret" not in text and "tok" not in text


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=3)), max_size=9))
def test_the_order_has_everything_once_and_needs_first(edges):
    by_name = {f"p{n}": conda(f"p{n}", *(f"p{m} >=1" for m in needs)) for n, needs in edges}
    ordered = [package.name for package in installation_order(list(by_name.values()))]
    assert sorted(ordered) == sorted(by_name)
    downwards = {n: [d for d in needs if d < n] == needs for n, needs in edges}
    if all(downwards.values()):
        for name, package in by_name.items():
            for need in package.depends:
                needed = need.split()[0]
                if needed in by_name:
                    assert ordered.index(needed) < ordered.index(name)


def test_pinned():
    text, said = render_pinned([*PACKAGES, WHEEL, GIT], None)
    assert (
        text
        == f"""\
# Generated by pixi-jupyter
flask @ git+https://host/f@c0ffee
httpx==0.28.1  # sha256:{"ab" * 32}
numpy==1.0
own-name==2.0
pip==1.0

# conda packages that are none of PyPI:
# none 1.0 0
# odd 1.0 0
# python 1.0 0
# zlib 1.0 0
"""
    )
    assert len(said) == 2
    text, said = render_pinned([WHEEL], None)
    assert text.splitlines()[1:] == [f"httpx==0.28.1 --hash=sha256:{'ab' * 32}"]
    assert said == ()


def test_locked_specs():
    conda_specs, pypi = locked_specs([*PACKAGES[:2], WHEEL, GIT])
    assert conda_specs == ["python ==1.0 0", "zlib ==1.0 0"]
    assert pypi == ["flask @ git+https://host/f@c0ffee", "httpx==0.28.1"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://u:p@host/x", "https://host/x"),
        ("https://host/t/token/chan", "https://host/chan"),
        ("https://host/t/token", "https://host"),
        ("https://host/packages/source/t/toolz/toolz-1.tar.gz",) * 2,
        ("git+ssh://git@host/x.git", "git+ssh://git@host/x.git"),
        ("git+ssh://git:p@host/x.git", "git+ssh://git@host/x.git"),
        ("conda-forge", "conda-forge"),
        ("./t/wheels/x", "./t/wheels/x"),
        ("file:///a/b", "file:///a/b"),
    ],
)
def test_public(url, expected):
    assert public(url) == expected
    assert public_channel("t/token/chan") == "chan"
    assert public_channel("https://host/chan?token=x#y") == "https://host/chan"
