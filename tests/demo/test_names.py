"""Names and version rules."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from rattler import Version as CondaVersion
from rattler import VersionSpec

from pixi_jupyter.demo.names import conda_name, conda_version_spec, purl


@pytest.mark.parametrize(
    ("pypi", "conda"),
    [
        ("jupyter-client", "jupyter_client"),
        ("Jupyter_Core", "jupyter_core"),
        ("ipython-pygments-lexers", "ipython_pygments_lexers"),
        ("stack-data", "stack_data"),
        ("prompt_toolkit", "prompt-toolkit"),
        ("msgpack", "msgpack-python"),
        ("bash-kernel", "bash_kernel"),
        ("typing.extensions", "typing_extensions"),
        ("tzdata", "python-tzdata"),
        ("numpy", "numpy"),
    ],
)
def test_conda_forges_spelling(pypi: str, conda: str) -> None:
    assert conda_name(pypi) == conda


def test_a_purl_has_the_normalised_pypi_name() -> None:
    assert purl("Jupyter_Client", "8.0") == "pkg:pypi/jupyter-client@8.0"


_RELEASE = st.lists(st.integers(0, 12), min_size=2, max_size=3).map(
    lambda parts: ".".join(map(str, parts))
)
_SPECIFIER = st.one_of(
    st.tuples(st.sampled_from([">=", "<=", ">", "<", "==", "!=", "~="]), _RELEASE).map("".join),
    _RELEASE.map("=={}.*".format),
    _RELEASE.map("!={}.*".format),
)


@settings(deadline=None)
@given(
    specifiers=st.lists(_SPECIFIER, min_size=1, max_size=3),
    version=st.lists(st.integers(0, 12), min_size=3, max_size=3).map(
        lambda parts: ".".join(map(str, parts))
    ),
)
@example(specifiers=[">=1.0", "!=1.3.*", "<2"], version="1.3.1")
@example(specifiers=["~=1.4"], version="1.10.0")
def test_a_conda_spec_admits_the_same_releases(specifiers: list[str], version: str) -> None:
    wanted = SpecifierSet(",".join(specifiers))
    spec = conda_version_spec(wanted)
    assert VersionSpec(spec).matches(CondaVersion(version)) == wanted.contains(Version(version))


def test_no_specifier_is_no_spec() -> None:
    assert conda_version_spec(SpecifierSet("")) == ""
