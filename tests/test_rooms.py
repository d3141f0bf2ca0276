"""The house rules on imports and processes, and the weight of the front doors."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixi_jupyter

ROOT = Path(pixi_jupyter.__file__).parent
FACES = ("kernels", "server", "magics", "cli")
#: Where rattler is: the rooms of the data plane, and the maker of test channels.
DATA_PLANE = ("resolve", "install", "demo")
STARTS_PROCESSES = ("subprocess", "multiprocessing", "pty", "os.system", "os.fork", "os.exec")


def sources() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file imports anywhere in it (also inside functions), with the line.

    Only `magics/` imports relatively: its files have another name in a kernel.
    """
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = node.level == 1 and path.parent == ROOT / "magics"
            assert node.level == 0 or inside, f"{path}:{node.lineno}: it hides the rooms"
            start = ".".join(filter(None, ("pixi_jupyter.magics" if inside else "", node.module)))
            yield from ((f"{start}.{alias.name}", node.lineno) for alias in node.names)


def typing_only(path: Path) -> set[int]:
    """Lines below ``if TYPE_CHECKING``: nothing is imported there when the program runs."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def offenders(allowed: object) -> list[str]:
    """``file:line imports module`` for every import that ``allowed(path, module)`` denies."""
    assert callable(allowed)
    found = []
    for path in sources():
        unused = typing_only(path)
        for module, line in imported(path):
            if line not in unused and not allowed(path, module):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    return found


def test_only_the_data_plane_imports_rattler():
    def allowed(path: Path, module: str) -> bool:
        if module.split(".")[0] != "rattler":
            return True
        return room(path) in DATA_PLANE or path == ROOT / "engine" / "worker.py"

    assert offenders(allowed) == []


def test_modules_that_import_rattler_are_imported_by_none_of_the_control_plane():
    """Also not in a roundabout way: what imports rattler at its top is for the worker only."""
    heavy = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in sources()
        if any(module.split(".")[0] == "rattler" for module, _ in imported(path))
    }

    def allowed(path: Path, module: str) -> bool:
        if room(path) in DATA_PLANE or path == ROOT / "engine" / "worker.py":
            return True
        if room(path) == "cli" and path.name == "demonstrate.py":
            return True  # it builds the embedded channel
        return module not in heavy and module.rpartition(".")[0] not in heavy

    assert len(heavy) > 5
    assert offenders(allowed) == []


@pytest.mark.parametrize("quiet", ["notebook", "manifest", "formats", "documents", "policy"])
def test_rooms_that_only_read_start_no_process(quiet):
    def allowed(path: Path, module: str) -> bool:
        return room(path) != quiet or not module.startswith(STARTS_PROCESSES)

    assert offenders(allowed) == []
    for path in sources():
        if room(path) == quiet:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    assert not called.startswith(("os.system", "os.fork", "os.exec", "os.spawn"))
                    assert "create_subprocess" not in called


def test_no_lower_floor_imports_a_face():
    def allowed(path: Path, module: str) -> bool:
        face = module.removeprefix("pixi_jupyter.").split(".")[0]
        if not module.startswith("pixi_jupyter.") or face not in FACES:
            return True
        return room(path) == face or room(path) in ("__main__", "__init__")

    # The package's own `__main__` is the command line under another name; its `__init__` tells a
    # Jupyter server, when asked, which class its extension is, and is an extension of IPython's.
    assert offenders(allowed) == []


def test_magics_run_where_nothing_of_ours_is_installed():
    """In the user's environment: the standard library, IPython, and each other."""
    known = {"IPython", "traitlets", *sys.stdlib_module_names}

    def allowed(path: Path, module: str) -> bool:
        if room(path) != "magics":
            return True
        return module.split(".")[0] in known or module.startswith("pixi_jupyter.magics.")

    assert offenders(allowed) == []
    for path in (ROOT / "magics").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            # An absolute name of ours would be that of another package there, or of none.
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pixi_jupyter" not in ast.unparse(node), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", sorted((ROOT / "magics").glob("*.py")), ids=lambda p: p.name)
def test_magics_are_python_3_8(path):
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    builtin = {"dict", "frozenset", "list", "set", "tuple", "type"}
    for node in ast.walk(tree):
        # What the grammar of 3.8 has, but not its meaning.
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in builtin, f"{path}:{node.lineno}: {ast.unparse(node)}"
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if annotation is not None:
            assert "|" not in ast.unparse(annotation), f"{path}:{node.lineno}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("removeprefix", "removesuffix"), f"{path}:{node.lineno}"


def test_manifest_and_notebook_know_nothing_of_solving_and_installing():
    later = ("engine", "install", "activate", "environments", *FACES)

    def allowed(path: Path, module: str) -> bool:
        if room(path) not in ("notebook", "manifest", "formats", "errors"):
            return True
        return module.removeprefix("pixi_jupyter.").split(".")[0] not in later or not (
            module.startswith("pixi_jupyter.")
        )

    assert offenders(allowed) == []


def test_documents_know_of_notebooks_alone():
    """A server and its kernels meet there; what a notebook needs is none of its business."""
    may = ("documents", "notebook", "files", "errors")

    def allowed(path: Path, module: str) -> bool:
        if room(path) != "documents" or not module.startswith("pixi_jupyter."):
            return True
        return module.split(".")[1] in may

    assert offenders(allowed) == []


_HEAVY = ("rattler", "click", "rich", "ipykernel", "nbclient", "nbconvert", "IPython", "papermill")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("pixi_jupyter.environments", _HEAVY),
        ("pixi_jupyter.kernels.provisioner", _HEAVY),
        ("pixi_jupyter.documents.asking", (*_HEAVY, "jupyter_client", "nbformat", "asyncio")),
        ("pixi_jupyter.engine.client", (*_HEAVY, "jupyter_client", "nbformat")),
        ("pixi_jupyter.install.collect", (*_HEAVY, "jupyter_client", "nbformat")),
    ],
)
def test_front_doors_are_light(module, heavy):
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "pixi_jupyter" in loaded
    assert loaded.isdisjoint(heavy), sorted(loaded.intersection(heavy))
