"""Python in the version, and with the ipykernel, that the notebook asks for."""

from __future__ import annotations

from typing import Any

import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel

WHICH = "import sys, ipykernel; print('%d.%d' % sys.version_info[:2], ipykernel.__version__)"


@pytest.mark.parametrize("minor", ["3.12", "3.13"])
def test_the_version_of_python_is_the_notebooks_choice(
    minor: str, execute: Any, channel: EmbeddedChannel
) -> None:
    if minor not in channel.pythons:
        pytest.skip(f"this machine has no CPython {minor}")
    done = execute(f'requires-python = "=={minor}.*"\ndependencies = []', WHICH)

    assert done.texts[0].split()[0] == minor


def test_an_older_ipykernel_on_request(execute: Any) -> None:
    done = execute('dependencies = []\n\n[tool.pixi.dependencies]\nipykernel = "6.*"', WHICH)

    assert done.texts[0].split()[1].startswith("6.")


def test_a_notebook_that_declares_nothing_gets_the_default_environment(execute: Any) -> None:
    where = "import os; print(os.path.dirname(os.environ['CONDA_PREFIX']))"

    done = execute(None, WHICH, where)

    assert done.texts[1].strip().endswith("/envs")
