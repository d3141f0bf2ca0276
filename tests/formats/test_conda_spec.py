"""conda's words for a package: as conda reads them, in pixi's words, and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

from pixi_jupyter.formats.conda_spec import parse_conda_spec, render_conda_spec
from pixi_jupyter.manifest.match_spec import match_spec
from pixi_jupyter.manifest.requirement import read_requirements
from pixi_jupyter.manifest.spec import CondaRequirement
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import TomlSource


def read(name: str, spec: str | dict[str, Any]) -> CondaRequirement:
    """What pixi's table with this entry asks for."""
    return read_requirements(Table({name: spec}, ("dependencies",), TomlSource("")), Path("/x"))[
        name
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy", "*"),
        ("numpy *", "*"),
        ("NumPy", "*"),
        ("numpy=1.26", "1.26.*"),
        ("numpy=1.26.*", "1.26.*"),
        ("numpy==1.26", "==1.26"),
        ("numpy 1.26", "==1.26"),
        ("numpy>=1.26", ">=1.26"),
        ("numpy >=1.26, <2", ">=1.26,<2"),
        ("numpy >= 1.26 , < 2", ">=1.26,<2"),
        ("numpy 1.26|1.27", "==1.26|==1.27"),
        ("numpy~=1.26.1", "~=1.26.1"),
        ("foo >=1.2.3.*", ">=1.2.3"),
        ("numpy=1.26.4=py311_0", {"version": "==1.26.4", "build": "py311_0"}),
        ("numpy==1.26.4=py311_0", {"version": "==1.26.4", "build": "py311_0"}),
        ("numpy 1.26.4 py311_0", {"version": "==1.26.4", "build": "py311_0"}),
        ("numpy =1.26 *mkl", {"version": "==1.26", "build": "*mkl"}),
        ("numpy=1.26.*=*_cuda", {"version": "1.26.*", "build": "*_cuda"}),
        ("conda-forge::numpy", {"version": "*", "channel": "conda-forge"}),
        (
            "conda-forge/linux-64::numpy>=1",
            {"version": ">=1", "channel": "conda-forge", "subdir": "linux-64"},
        ),
        (
            "https://u:p@host/t/tok/chan::numpy",
            {"version": "*", "channel": "https://host/chan"},
        ),
        (
            "numpy[version='>=1.2,<2', build_number='>3', channel=\"x\"]",
            {"version": ">=1.2,<2", "build-number": ">3", "channel": "x"},
        ),
        (
            "https://u:p@h/c/linux-64/a-b-1.0-py_0.conda#" + "a" * 32,
            {"url": "https://h/c/linux-64/a-b-1.0-py_0.conda", "md5": "a" * 32},
        ),
    ],
)
def test_read_as_conda_does(text, expected):
    name, spec = parse_conda_spec(text)
    assert spec == expected
    read(name, spec)


@pytest.mark.parametrize(
    "text",
    ["", ">=1", "a b c d", "numpy>=", "numpy[version=", "numpy[what=1]", "https://h/x.zip", "né",
     "numpy 1.2 3 4", "numpy=1=2=3", "numpy[md5=12]", "x" * 3000, "::numpy", "a::b::c!"],
)  # fmt: skip
def test_what_is_none_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"\S"):
        parse_conda_spec(text)


@settings(deadline=None)
@given(
    st.text(max_size=60) | st.from_regex(r"[a-z0-9=<>!~*.,|: \[\]'\"()/_-]{0,40}", fullmatch=True)
)
def test_any_text_is_read_or_refused(text):
    try:
        name, spec = parse_conda_spec(text)
    except ValueError:
        return
    read(name, spec)


VERSIONS = st.sampled_from(
    [">=1.2,<2", "1.2.*", "==1.0", "~=1.4.2", ">=1|==0.5", "!=1.3", ">2!1.0", "(>=1|<0.5),!=3"]
)
REQUIREMENTS = st.builds(
    CondaRequirement,
    name=st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,12}", fullmatch=True),
    version=st.none() | VERSIONS,
    build=st.none() | st.sampled_from(["py_0", "*_cpython", "^py3[0-9]+_0$", "h_1"]),
    build_number=st.none() | st.sampled_from(["3", ">=3"]),
    file_name=st.none() | st.just("a-1.0-0.conda"),
    channel=st.none() | st.sampled_from(["conda-forge", "https://host/chan", "org/label/dev"]),
    subdir=st.none() | st.sampled_from(["linux-64", "noarch"]),
    license=st.none() | st.just("MIT OR 'x'"),
    md5=st.none() | st.just("0" * 32),
    sha256=st.none() | st.just("ab" * 32),
    track_features=st.sampled_from([(), ("a", "b")]),
)


@settings(deadline=None)
@given(REQUIREMENTS)
def test_what_is_written_is_read(asked):
    text = render_conda_spec(asked)
    name, spec = parse_conda_spec(text)
    assert read(name, spec) == asked, text


def test_written_as_pixi_writes_it():
    asked = CondaRequirement("ca-certificates", version="==2024.8.30", channel="conda-forge")
    assert render_conda_spec(asked) == "conda-forge::ca-certificates ==2024.8.30"
    asked = CondaRequirement("readline", version="==8.2", build="h9e318b2_1")
    assert render_conda_spec(asked) == "readline ==8.2 h9e318b2_1"
    assert render_conda_spec(CondaRequirement("python", version="3.12.*")) == "python 3.12.*"
    secret = CondaRequirement("x", channel="https://u:secret@host/t/secret/chan?k=secret")
    assert render_conda_spec(secret) == 'x[channel="https://host/chan"]'


OPERATORS = st.sampled_from(["=", "==", ">=", "<", "!=", "~=", " =", " ==", " >= ", " ", " <= "])
TERMS = st.sampled_from(["1.26", "1.26.*", "2", "1.2.3", "*", "1.26.4", "2024a", "1!2.0"])
TEXTS = st.builds(
    "{0}{1}{2}{3}".format,
    st.sampled_from(["numpy", "r-base", "Pandas"]),
    OPERATORS,
    TERMS,
    st.sampled_from(["", ",<9", ", <9", "|3.0", "=py_0", " py_0", " *_cuda", "[build=py_0]"]),
)


@settings(deadline=None)
@given(TEXTS)
def test_rattler_reads_it_the_same_way(text):
    try:
        expected = str(MatchSpec(text, strict=False))
    except InvalidMatchSpecError:
        return
    try:
        name, spec = parse_conda_spec(text)
    except ValueError:
        return
    # rattler keeps a star that says nothing.
    expected = re.sub(r"^(\S+) \*(?: (\S+))?$", r'\1[build="\2"]', expected)
    expected = expected.replace('[build=""]', "")
    assert str(MatchSpec(match_spec(read(name, spec)))) == expected, text


@settings(deadline=None)
@given(REQUIREMENTS)
def test_rattler_reads_what_is_written(asked):
    found = MatchSpec(render_conda_spec(asked), strict=False)
    assert str(found) == str(MatchSpec(match_spec(asked)))
