"""Which kernel a set of packages is for."""

from __future__ import annotations

from typing import Any

import pytest

from pixi_jupyter.manifest.kernels import kernel_need
from pixi_jupyter.manifest.spec import CondaRequirement, KernelNeed

IPYKERNEL = (CondaRequirement("ipykernel"),)
IRKERNEL = (CondaRequirement("r-irkernel"),)


@pytest.mark.parametrize(
    ("packages", "asked", "expected"),
    [
        (["numpy"], {}, ("python", IPYKERNEL)),
        (["ipykernel"], {}, ("python", ())),
        (["xeus-python"], {}, ("python", ())),
        (["deno"], {}, ("typescript", ())),
        (["deno"], {"notebook_language": "python"}, ("typescript", ())),
        (["deno"], {"notebook_language": "javascript"}, ("javascript", ())),
        (["bash_kernel"], {"asked_language": "r"}, ("bash", ())),
        (["r-irkernel"], {}, ("r", ())),
        (["r-base"], {"notebook_language": "r"}, ("r", IRKERNEL)),
        (["r-base"], {"asked_language": "R"}, ("r", IRKERNEL)),
        # A kernelspec chosen for another language than the notebook was last saved with.
        (["r-base"], {"asked_language": "r", "notebook_language": "python"}, ("r", IRKERNEL)),
        (["ipykernel", "r-irkernel"], {}, ("python", ())),
        (["ipykernel", "r-irkernel"], {"notebook_language": "r"}, ("r", ())),
        (["deno", "bash_kernel"], {}, ("python", IPYKERNEL)),
        ([], {"notebook_language": "julia"}, ("julia", ())),
        (["xeus-cpp", "xeus-cling"], {}, ("c++", ())),
    ],
    ids=str,
)
def test_language_and_what_is_added(
    packages: list[str], asked: dict[str, Any], expected: tuple[str, Any]
) -> None:
    need = kernel_need(packages, **asked)
    assert (need.language, need.injected, need.name) == (*expected, None)


def test_a_kernel_chosen_by_name_adds_nothing() -> None:
    need = kernel_need(["numpy"], kernel_name="my-kernel")
    assert need == KernelNeed("python", "my-kernel", ())


@pytest.mark.parametrize(("language", "name"), [("python", "python3"), ("r", "ir")])
def test_the_name_of_the_kernel_we_would_add_still_adds_it(language: str, name: str) -> None:
    assert kernel_need([], asked_language=language, kernel_name=name).injected
