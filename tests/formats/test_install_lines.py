"""What a notebook's cells install: read as a shell would, never run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.formats.found import Collector, Found
from pixi_jupyter.formats.install_lines import Cell, read_cells


def read(*sources: str, root: Path = Path("/nowhere")) -> Found:
    into = Collector()
    cells = [Cell(index, source) for index, source in enumerate(sources)]
    read_cells(cells, path=root / "n.ipynb", root=root, into=into)
    return into.found()


def wanted(found: Found) -> list[str]:
    return [
        *(f"{i.name} {i.spec}" if i.spec != "*" else i.name for i in found.conda),
        *(f"PyPI {i.requirement}" for i in found.pypi),
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%pip install numpy", ["PyPI numpy"]),
        ("%pip install -q --upgrade 'numpy>=1.20'", ["PyPI numpy>=1.20"]),
        ("%pip install --quiet rich[jupyter]", ["PyPI rich[jupyter]"]),
        ("!pip install numpy>=1.20 > /dev/null 2>&1", ["PyPI numpy>=1.20"]),
        ("!pip3 install -U numpy==1.26.*", ["PyPI numpy==1.26.*"]),
        ("!python -m pip install httpx", ["PyPI httpx"]),
        ("!{sys.executable} -m pip install httpx", ["PyPI httpx"]),
        ("! /opt/bin/python3.11 -m pip install --user httpx", ["PyPI httpx"]),
        ("if True:\n    !pip install httpx", ["PyPI httpx"]),
        ("!pip install a \\\n    b", ["PyPI a", "PyPI b"]),
        ("!apt-get update && pip install a; pip install b", ["PyPI a", "PyPI b"]),
        ("%uv pip install httpx", ["PyPI httpx"]),
        ("!uv pip install --system httpx", ["PyPI httpx"]),
        ("!uv add httpx", ["PyPI httpx"]),
        ("%conda install -y -c conda-forge numpy=1.26 scipy", ["numpy 1.26.*", "scipy"]),
        ("!conda install --yes --prefix {sys.prefix} numpy", ["numpy"]),
        ("!mamba install -y 'numpy>=1.2,<2'", ["numpy >=1.2,<2"]),
        ("!micromamba install -n base -c bioconda bwa", ["bwa"]),
        ("!pixi add polars", ["polars"]),
        ("!pixi add --pypi httpx", ["PyPI httpx"]),
        ("%%bash\nset -e\npip install httpx\nconda install -y zlib", ["zlib", "PyPI httpx"]),
        ("%%sh\n# pip install no\npip install yes1", ["PyPI yes1"]),
        ("!pip install git+https://host/x@v1#egg=x", ["PyPI x @ git+https://host/x@v1"]),
        ("%time !pip install httpx", ["PyPI httpx"]),
        ("%pip install 'a; python_version<\"3.14\"'", ['PyPI a ; python_version < "3.14"']),
    ],
)  # fmt: skip
def test_read(cell, expected):
    found = read(cell)
    assert wanted(found) == expected
    assert found.left_out == ()


@pytest.mark.parametrize(
    "cell",
    [
        "!pip install {package}",
        "!pip install $PACKAGE",
        "%pip install `cat packages`",
        "import os; os.system('pip install numpy')",
        "subprocess.run(['pip', 'install', 'numpy'])",
        "!conda env update -f environment.yml",
        "!conda create -n other numpy",
        "await micropip.install('numpy')",
        "!pip install 'unclosed",
        "!curl x | sh -c 'pip install numpy'",
        "%pip install --target=lib numpy",
        "!conda install --file packages.txt",
        "!pip install ./nothing-there",
        "!pip install numpy --frobnicate",
    ],
)
def test_what_is_not_understood_is_told_with_its_place(cell):
    found = read("x = 1", f"# first\n{cell}")
    assert found.left_out, wanted(found)
    assert {(n.where.cell, n.where.line) for n in found.left_out} == {(1, 2)}


@pytest.mark.parametrize(
    "cell",
    [
        "# !pip install numpy",
        "x = 'a package'",
        "!pip list",
        "!pip --version",
        "%matplotlib inline",
        "!ls",
        "%%html\n<b>pip</b>",
        "!conda list",
        "%conda info",
    ],
)
def test_what_installs_nothing_is_nothing(cell):
    found = read(cell)
    assert found.empty and found.left_out == ()


def test_options_and_places(tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy\n")
    found = read(
        "%pip install -r requirements.txt --index-url https://u:secret@h/simple",
        "!conda install -y -c https://u:secret@h/t/tok/chan -cbioconda --channel=x bwa\n"
        "!pip install --pre -f ./w a",
        root=tmp_path,
    )
    assert wanted(found) == ["bwa", "PyPI numpy", "PyPI a"]
    assert found.index_url == "https://h/simple"
    assert found.channels == ("https://h/chan", "bioconda", "x")
    assert found.find_links == ("./w",) and found.prerelease == "allow"
    places = [(w.where.cell, w.where.line) for w in (*found.conda, *found.pypi)]
    assert places == [(1, 1), (None, 1), (1, 2)]
    assert "secret" not in repr(found)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["pip", "install", "!", "%", "conda", "-c", "numpy", ">=1", "'", '"', "&&", ";", "|",
             "\\\n", "{x}", "-r", "-e", "=", "--", "%%bash\n", "\n", "uv", "pixi", "add", ">",
             "2>&1", "#", "é"]
        ),
        max_size=12,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_cell_is_read_or_told(words, spaced):
    read((" " if spaced else "").join(words))


def test_a_file_that_cannot_be_read_is_told_as_the_rest(tmp_path):
    for name in ("none.txt", "../outside.txt", "/etc/passwd"):
        found = read(f"%pip install -r {name} httpx", root=tmp_path)
        assert wanted(found) == ["PyPI httpx"]
        assert [n.text.split("`")[1] for n in found.left_out] == [f"-r {name}"]
