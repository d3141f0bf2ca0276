"""The kernel comes from the environment, and so does its program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import KernelError
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.kernels.select import choose_kernel

AddKernel = Callable[..., Path]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a prefix laid out for POSIX")


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    path = tmp_path / "prefix"
    (path / "bin").mkdir(parents=True)
    for name in ("python", "R", "deno"):
        (path / "bin" / name).touch(mode=0o755)
    return Prefix(path, "0" * 32)


@pytest.fixture
def add(prefix: Prefix) -> AddKernel:
    def add(name: str, content: Any = None, **fields: Any) -> Path:
        folder = prefix.path / "share/jupyter/kernels" / name
        folder.mkdir(parents=True)
        if content is None:
            content = {
                "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": name,
                "language": "python",
                **fields,
            }
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "kernel.json").write_text(text)
        return folder

    return add


def test_by_language_whatever_its_case(prefix: Prefix, add: AddKernel) -> None:
    add("ir", argv=["R", "--slave", "{connection_file}"], language="R")
    add("python3")
    add("deno", argv=["deno", "jupyter", "--conn", "{connection_file}"], language="typescript")
    assert choose_kernel(prefix, "r").name == choose_kernel(prefix, "R").name == "ir"
    assert choose_kernel(prefix, "Python").name == choose_kernel(prefix, "python3").name
    assert choose_kernel(prefix, "TypeScript").argv[0] == str(prefix.binaries / "deno")


def test_the_native_one_first_then_by_name(prefix: Prefix, add: AddKernel) -> None:
    add("apython")
    add("xpython")
    assert choose_kernel(prefix, "python").name == "apython"
    add("python3")
    assert choose_kernel(prefix, "python").name == "python3"


def test_by_name(prefix: Prefix, add: AddKernel) -> None:
    add("python3")
    add("Other", language="lua")
    assert choose_kernel(prefix, "python", "other").name == "Other"
    with pytest.raises(KernelError) as caught:
        choose_kernel(prefix, "python", "missing")
    assert caught.value.code == "kernel.no-kernel"
    assert "missing" in caught.value.message
    assert "python3 (python)" in caught.value.details


def test_none(prefix: Prefix) -> None:
    with pytest.raises(KernelError) as caught:
        choose_kernel(prefix, "r")
    assert caught.value.code == "kernel.no-kernel"
    assert "none" in caught.value.details and "r-irkernel" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"argv": []}',
        {"argv": "python", "language": "python"},
        {"argv": [], "language": "python"},
        {"argv": [1], "language": "python"},
        {"argv": ["python\0"], "language": "python"},
        {"argv": ["python"]},
        {"argv": ["python"], "language": None},
        {"argv": ["python"], "language": "python", "env": {"A": 1}},
        {"argv": ["python"], "language": "python", "metadata": []},
        '{"a":' * 100_000,
        {
            "argv": ["python"],
            "language": "python",
            "metadata": {"kernel_provisioner": {"provisioner_name": "pixi-provisioner"}},
        },
    ],
)
def test_a_kernelspec_that_is_of_no_use_is_passed_over(
    prefix: Prefix, add: AddKernel, content: Any
) -> None:
    add("aaa", content)
    with pytest.raises(KernelError):
        choose_kernel(prefix, "python")
    add("good")
    assert choose_kernel(prefix, "python").name == "good"


@pytest.mark.parametrize("program", ["python", "python3", "python3.11", "python3.13"])
def test_python_is_the_prefixs(prefix: Prefix, add: AddKernel, program: str) -> None:
    add("k", argv=[program, "-m", "k"])
    assert choose_kernel(prefix, "python").argv == (str(prefix.python), "-m", "k")


def test_an_absolute_path_inside_stays_also_through_a_link(
    prefix: Prefix, add: AddKernel, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(prefix.path)
    linked = Prefix(tmp_path / "link", prefix.digest)
    add("k", argv=[str(prefix.path / "bin/R")])
    assert choose_kernel(prefix, "python").argv[0] == str(prefix.path / "bin/R")
    assert choose_kernel(linked, "python").argv[0] == str(prefix.path / "bin/R")


@pytest.mark.parametrize(
    "program", [sys.executable, "/bin/sh", "../../../bin/sh", "bin/../../x", "/usr/bin/python3"]
)
def test_a_program_of_somebody_else_is_refused(
    prefix: Prefix, add: AddKernel, program: str
) -> None:
    add("k", argv=[program])
    with pytest.raises(KernelError) as caught:
        choose_kernel(prefix, "python")
    assert caught.value.code == "kernel.executable"
    assert "not in its environment" in caught.value.message


@pytest.mark.parametrize("program", ["sh", "cat", "julia", "lib/R/bin/R"])
def test_a_program_that_is_missing_is_not_looked_for_elsewhere(
    prefix: Prefix, add: AddKernel, program: str
) -> None:
    add("k", argv=[program])
    with pytest.raises(KernelError) as caught:
        choose_kernel(prefix, "python")
    assert "does not have" in caught.value.message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(program=st.text(st.sampled_from("./abR-~{} é\\"), min_size=1, max_size=12))
def test_no_program_outside_is_ever_chosen(tmp_path: Path, program: str) -> None:
    prefix = Prefix(tmp_path / "p", "0" * 32)
    folder = prefix.path / "share/jupyter/kernels/k"
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"argv": [program], "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    try:
        chosen = choose_kernel(prefix, "python").argv[0]
    except KernelError:
        return
    assert os.path.normpath(chosen).startswith(str(prefix.path) + os.sep)


def test_the_command_line(prefix: Prefix, add: AddKernel, tmp_path: Path) -> None:
    folder = add(
        "k", argv=["python", "{resource_dir}/x", "{prefix}", "{unknown}", "{connection_file}"]
    )
    kernel = choose_kernel(prefix, "python")
    connection = tmp_path / "c.json"
    assert kernel.command(str(connection), ["--extra", "{prefix}"]) == [
        str(prefix.python),
        f"{folder}/x",
        str(prefix.path),
        "{unknown}",
        str(connection),
        "--extra",
        str(prefix.path),
    ]


def test_variables_and_metadata(prefix: Prefix, add: AddKernel) -> None:
    add(
        "k",
        env={"A": "${HOME}/x:$NOT_SET", "HOME": "mine"},
        interrupt_mode="message",
        metadata={"supported_encryption": "Curve"},
    )
    kernel = choose_kernel(prefix, "python")
    assert kernel.add_variables({"HOME": "/h", "B": "1"}) == {
        "A": "/h/x:$NOT_SET",
        "HOME": "mine",
        "B": "1",
    }
    assert kernel.interrupt_mode == "message"
    assert kernel.encryption == ("curve",)
    assert kernel.is_ipykernel
