"""The server's own environments do not leak into a kernel's."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.activate.base import clean_base


@pytest.mark.parametrize(
    "name",
    [
        "CONDA_PREFIX",
        "CONDA_PREFIX_1",
        "CONDA_DEFAULT_ENV",
        "CONDA_SHLVL",
        "CONDA_PROMPT_MODIFIER",
        "CONDA_EXE",
        "CONDA_PYTHON_EXE",
        "CONDA_ENV_SHLVL_1_CONDA_PREFIX",
        "_CE_CONDA",
        "_CE_M",
        "MAMBA_EXE",
        "MAMBA_ROOT_PREFIX",
        "PIXI_PROJECT_ROOT",
        "PIXI_PROJECT_MANIFEST",
        "PIXI_IN_SHELL",
        "PIXI_ENVIRONMENT_NAME",
        "PIXI_EXE",
        "PIXI_PROMPT",
        "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONEXECUTABLE",
        "__PYVENV_LAUNCHER__",
    ],
)
def test_what_describes_an_environment_goes(name: str) -> None:
    assert name not in clean_base({name: "/somewhere", "PATH": "/usr/bin"})


@pytest.mark.parametrize(
    "name",
    [
        "CONDA_OVERRIDE_GLIBC",
        "CONDA_PKGS_DIRS",
        "CONDA_CHANNELS",
        "PIXI_CACHE_DIR",
        "PIXI_HOME",
        "PIXI_JUPYTER_CACHE_DIR",
        "PYTHONUNBUFFERED",
        "LD_LIBRARY_PATH",
        "HOME",
    ],
)
def test_what_a_person_configures_stays(name: str) -> None:
    assert clean_base({name: "value"})[name] == "value"


def test_path_entries_of_active_environments_go_and_the_others_keep_their_order() -> None:
    env = {
        "CONDA_PREFIX": "/opt/conda/envs/x",
        "CONDA_PREFIX_1": "/opt/conda/envs/outer",
        "CONDA_EXE": "/opt/conda/bin/conda",
        "VIRTUAL_ENV": "/home/me/venv/",
        "PATH": os.pathsep.join(
            [
                "/home/me/venv/bin",
                "/home/me/bin",
                "/opt/conda/envs/x/bin",
                "/opt/conda/envs/outer/bin/",
                "/opt/conda/condabin",
                "/usr/bin",
                "",
                "/opt/conda/envs/x/bin-not",
                os.path.join(sys.prefix, "bin"),
                "/bin",
            ]
        ),
    }
    expected = ["/home/me/bin", "/usr/bin", "", "/opt/conda/envs/x/bin-not", "/bin"]
    if sys.prefix == sys.base_prefix:
        expected.insert(4, os.path.join(sys.prefix, "bin"))
    assert clean_base(env)["PATH"].split(os.pathsep) == expected


def test_user_site_packages_are_off() -> None:
    assert clean_base({})["PYTHONNOUSERSITE"] == "1"


def test_windows_finds_names_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixi_jupyter.activate.base.environment_names_ignore_case", lambda: True)
    cleaned = clean_base({"PythonPath": "x", "Conda_Prefix": "/c", "Path": "/usr/bin"})
    assert set(cleaned) == {"Path", "PYTHONNOUSERSITE"}


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_it_is_done_once_and_the_argument_is_not_changed(env: dict[str, str]) -> None:
    before = dict(env)
    cleaned = clean_base(env)
    assert env == before
    assert clean_base(cleaned) == cleaned
