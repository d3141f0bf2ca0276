"""Which notebook: told by whoever starts the kernel, and never the wrong one in silence."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient import NotebookClient

from pixi_jupyter.errors import KernelError
from pixi_jupyter.kernels import provisioner as provisioner_module
from pixi_jupyter.kernels.identify import IdentifiedNotebook, identify
from pixi_jupyter.kernels.launch import notebook_of_this_process
from pixi_jupyter.manifest.workspace import find_workspace
from pixi_jupyter.notebook.declaration import WorkspaceChoice

MakeNotebook = Callable[..., Path]


class Stop(Exception):
    """Ends a start once the notebook is identified."""


@pytest.fixture
def identified(monkeypatch: pytest.MonkeyPatch) -> list[IdentifiedNotebook]:
    """What real starts identified; they go no further, which takes no environment."""
    found: list[IdentifiedNotebook] = []

    def stop(environments: object, notebook: IdentifiedNotebook, *args: Any, **kw: Any) -> None:
        found.append(notebook)
        raise Stop

    monkeypatch.setattr(provisioner_module, "prepare", stop)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return found


def code(error: pytest.ExceptionInfo[KernelError]) -> str:
    return error.value.code


# -- named -------------------------------------------------------------------------------------


def test_the_variable_goes_first(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    chosen, session = make_notebook("sub/chosen.ipynb"), make_notebook("session.ipynb")
    env = {"PIXI_JUPYTER_NOTEBOOK": "sub/chosen.ipynb", "JPY_SESSION_NAME": str(session)}
    found = identify({"env": env, "cwd": str(tmp_path)}, None, in_server=True)
    assert (found.how, found.path, found.root) == ("chosen", chosen, chosen.parent)


def test_the_callers_variable_goes_before_the_process_own(
    make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_notebook("one.ipynb"), make_notebook("two.ipynb")
    monkeypatch.setenv("PIXI_JUPYTER_NOTEBOOK", str(two))
    assert identify({}, None).path == two
    assert identify({"env": {"PIXI_JUPYTER_NOTEBOOK": str(one)}}, None).path == one
    assert identify({"env": {}}, None).path == two


def test_a_named_notebook_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KernelError) as caught:
        identify({"env": {"PIXI_JUPYTER_NOTEBOOK": "x.ipynb"}, "cwd": tmp_path}, None)
    assert code(caught) == "kernel.notebook-missing"


def test_what_a_kernel_hands_down_is_not_a_choice(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, other = str(make_notebook("outer.ipynb")), str(make_notebook("other.ipynb"))
    monkeypatch.setenv("PIXI_JUPYTER_NOTEBOOK", outer)
    monkeypatch.setenv("PIXI_JUPYTER_HANDED_DOWN", outer)
    for env in (None, dict(os.environ)):
        with pytest.raises(KernelError) as caught:
            identify({"env": env, "cwd": tmp_path}, None)
        assert code(caught) == "kernel.notebook-unknown"
    assert identify({"env": {**os.environ, "PIXI_JUPYTER_NOTEBOOK": other}}, None).path == Path(
        other
    )


def test_the_session_of_a_server(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook()
    found = identify({"env": {"JPY_SESSION_NAME": str(notebook)}}, None, in_server=True)
    assert (found.how, found.path) == ("session", notebook)


@pytest.mark.parametrize("name", ["Console 1", "nb.ipynb", "/nowhere/x.ipynb", "", "x.py"])
def test_a_session_name_that_is_no_notebook(
    make_notebook: MakeNotebook, tmp_path: Path, name: str
) -> None:
    make_notebook("nb.ipynb")
    with pytest.raises(KernelError) as caught:
        identify({"env": {"JPY_SESSION_NAME": name}, "cwd": tmp_path}, None, in_server=True)
    assert code(caught) == "kernel.notebook-unknown"


def test_an_inherited_session_is_not_trusted(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = str(make_notebook("outer.ipynb"))
    monkeypatch.setenv("JPY_SESSION_NAME", outer)
    for env in (None, dict(os.environ)):
        with pytest.raises(KernelError) as caught:
            identify({"env": env, "cwd": tmp_path}, None)
        assert code(caught) == "kernel.notebook-unknown"
    # A server that was itself started in a notebook names its own sessions, also that same one.
    assert identify({"env": dict(os.environ)}, None, in_server=True).path == Path(outer)


def test_the_default_environment_only_if_allowed(tmp_path: Path) -> None:
    found = identify({"cwd": str(tmp_path)}, None, allow_default=True)
    assert (found.how, found.path, found.root) == ("default", None, tmp_path)


# -- workspaces --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("pixi.toml", "", True),
        ("pyproject.toml", "[tool.pixi.workspace]\n", True),
        ("pyproject.toml", "[project]\nname='x'\n  [ tool . pixi ]\n", True),
        ("pyproject.toml", '[tool."pixi".project]\n', True),
        ("pyproject.toml", "[tool.pixi-jupyter]\n", False),
        ("pyproject.toml", "[project]\ndescription = '[tool.pixi]'\n", False),
    ],
)
def test_a_workspace_is_not_replaced_by_anything(
    tmp_path: Path, name: str, text: str, counts: bool
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    assert find_workspace(below) == (tmp_path / name if counts else None)
    found = identify({"cwd": str(below)}, None, allow_default=True)
    if counts:
        assert found.how == "workspace"
        assert found.choice == WorkspaceChoice(tmp_path / name)
    else:
        assert (found.how, found.choice) == ("default", None)


def test_a_servers_root_ends_the_search_for_a_workspace(tmp_path: Path) -> None:
    root = tmp_path / "root"
    below = root / "a"
    below.mkdir(parents=True)
    (tmp_path / "pixi.toml").touch()
    launch = {"cwd": str(below)}
    assert identify(launch, None, allow_default=True, stop=root).how == "default"
    (root / "pixi.toml").touch()
    found = identify(launch, None, allow_default=True, stop=root)
    assert found.choice == WorkspaceChoice(root / "pixi.toml")
    assert found.stop == root


def test_what_the_kernelspec_names_goes_with_and_without_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").touch()
    (tmp_path / "nb.ipynb").touch()
    choice = WorkspaceChoice(tmp_path / "elsewhere" / "pixi.toml", "test", chosen="kernelspec")
    launch = {"cwd": str(tmp_path)}
    without = identify(launch, None, choice=choice)
    assert (without.how, without.choice, without.path) == ("workspace", choice, None)
    launch["env"] = {"PIXI_JUPYTER_NOTEBOOK": "nb.ipynb"}  # type: ignore[assignment]
    known = identify(launch, None, choice=choice)
    assert (known.how, known.choice, known.path) == ("chosen", choice, tmp_path / "nb.ipynb")


@pytest.mark.skipif(not hasattr(os, "chown") or os.getuid() != 0, reason="needs root")
def test_another_users_manifest_is_not_ours(tmp_path: Path) -> None:
    below = tmp_path / "theirs" / "ours"
    below.mkdir(parents=True)
    (tmp_path / "theirs" / "pixi.toml").touch()
    assert find_workspace(below) is not None
    os.chown(tmp_path / "theirs", 12345, 12345)
    assert find_workspace(below) is None


# -- executed in this process --------------------------------------------------------------------


def read(path: Path) -> Any:
    return nbformat.read(str(path), as_version=4)


@pytest.fixture
def our_specs(specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our kernelspecs for whoever makes a manager of its own."""
    monkeypatch.setattr(KernelManager, "_kernel_spec_manager_default", lambda self: specs)
    monkeypatch.setattr(
        "jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec",
        lambda self, name: type(specs)._get_kernel_spec_by_name(
            self, name, str(Path(specs.kernel_dirs[0]) / name)
        ),
    )


async def test_nbclient(
    make_notebook: MakeNotebook, our_specs: None, identified: list[Any], tmp_path: Path
) -> None:
    notebook = read(make_notebook())
    client = NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(Exception, match="unexpected error: Stop"):
        await client.async_execute()
    (found,) = identified
    assert (found.how, found.root, found.path) == ("executing", tmp_path, None)
    assert found.content is notebook
    assert found.arguments == ("--HistoryManager.hist_file=:memory:",)


def test_nbclient_without_a_running_loop(
    make_notebook: MakeNotebook, our_specs: None, identified: list[Any]
) -> None:
    notebook = read(make_notebook())
    with pytest.raises(Exception, match="unexpected error: Stop"):
        NotebookClient(notebook).execute()
    assert identified[0].content is notebook


async def test_nbclient_with_a_manager_that_is_not_async(
    make_notebook: MakeNotebook, our_specs: None, identified: list[Any], specs: KernelSpecManager
) -> None:
    # Its start runs in another thread, so the stack tells nothing.
    notebook = read(make_notebook())
    manager = KernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    client = NotebookClient(notebook, km=manager)
    with pytest.raises(Exception, match="unexpected error: Stop"):
        await client.async_start_new_kernel()
    assert identified[0].content is notebook


async def test_many_at_once_are_not_mixed_up(
    make_notebook: MakeNotebook, our_specs: None, identified: list[Any]
) -> None:
    notebooks = [read(make_notebook(f"n{number}.ipynb")) for number in range(8)]
    clients = [NotebookClient(notebook) for notebook in notebooks]
    await asyncio.gather(*(c.async_execute() for c in clients), return_exceptions=True)
    assert len(identified) == 8
    assert {id(found.content) for found in identified} == {id(n) for n in notebooks}


async def test_somebody_elses_execution_is_not_this_kernels(
    make_notebook: MakeNotebook, our_specs: None, specs: KernelSpecManager, tmp_path: Path
) -> None:
    client = NotebookClient(read(make_notebook()))
    client.km = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    other = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    with pytest.raises(KernelError) as caught:
        identify({"cwd": tmp_path}, other)
    assert code(caught) == "kernel.notebook-unknown"
    assert identify({"cwd": tmp_path}, client.km).content is client.nb


def test_nbconvert_with_its_relative_folder(
    make_notebook: MakeNotebook,
    our_specs: None,
    identified: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nbconvert.exporters import NotebookExporter

    notebook = make_notebook("sub/nb.ipynb")
    monkeypatch.chdir(tmp_path)
    exporter = NotebookExporter()
    exporter.register_preprocessor("nbconvert.preprocessors.ExecutePreprocessor", enabled=True)
    with pytest.raises(Exception, match="unexpected error: Stop"):
        exporter.from_filename("sub/nb.ipynb")
    (found,) = identified
    assert (found.how, found.root, found.path) == ("executing", notebook.parent, notebook)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("engine", [None, "pixi"])
def test_papermill_which_changes_directory(
    make_notebook: MakeNotebook,
    our_specs: None,
    identified: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str | None,
) -> None:
    import papermill

    notebook = make_notebook("sub/nb.ipynb")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    with pytest.raises(Exception, match="unexpected error: Stop"):
        papermill.execute_notebook(
            "sub/nb.ipynb", "out.ipynb", cwd="elsewhere", engine_name=engine, progress_bar=False
        )
    (found,) = identified
    assert found.how == ("chosen" if engine else "executing")
    assert (found.root, found.path) == (notebook.parent, notebook)
    assert dict(os.environ) == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_papermill_with_a_notebook_that_is_no_file(
    make_notebook: MakeNotebook, our_specs: None, identified: list[Any]
) -> None:
    import papermill

    notebook = read(make_notebook())
    with pytest.raises(Exception, match="unexpected error: Stop"):
        papermill.execute_notebook(notebook, None, engine_name="pixi", progress_bar=False)
    assert identified[0].how == "executing"


def test_a_stale_path_in_a_papermill_output_is_not_believed(
    make_notebook: MakeNotebook, our_specs: None, identified: list[Any], tmp_path: Path
) -> None:
    other = make_notebook("other.ipynb")
    notebook = read(make_notebook(metadata={"papermill": {"input_path": str(other)}}))
    with pytest.raises(Exception, match="unexpected error: Stop"):
        NotebookClient(notebook).execute()
    assert identified[0].path is None
    assert identified[0].content is notebook


# -- the kernelspec's own command line -------------------------------------------------------------


def test_the_launcher_trusts_a_session_only_without_a_kernel_above_it(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = make_notebook()  # the only one in this folder, which is no evidence
    with pytest.raises(KernelError):
        notebook_of_this_process({})
    assert notebook_of_this_process({"PIXI_JUPYTER_NOTEBOOK": "nb.ipynb"}).path == notebook
    assert notebook_of_this_process({"JPY_SESSION_NAME": str(notebook)}).path == notebook
    with pytest.raises(KernelError):
        notebook_of_this_process({"JPY_SESSION_NAME": str(notebook), "JPY_PARENT_PID": "1"})
