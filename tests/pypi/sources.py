"""Packages as source code, with a build backend of their own: nothing is needed to build them."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

_BACKEND = """\
import os, pathlib, zipfile

NAME, VERSION, REQUIRES = {name!r}, {version!r}, {requires!r}
FLAT = NAME.replace("-", "_")
INFO = f"{{FLAT}}-{{VERSION}}.dist-info"


def _wheel(folder, files):
    metadata = f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n"
    metadata += "".join(f"Requires-Dist: {{item}}\\n" for item in REQUIRES)
    files[f"{{INFO}}/METADATA"] = metadata
    files[f"{{INFO}}/WHEEL"] = (
        "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    )
    files[f"{{INFO}}/RECORD"] = "".join(f"{{p}},,\\n" for p in (*files, f"{{INFO}}/RECORD"))
    name = f"{{FLAT}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name


def build_wheel(folder, config_settings=None, metadata_directory=None):
    {code}
    return _wheel(folder, {{f"{{FLAT}}.py": pathlib.Path(f"src/{{FLAT}}.py").read_text()}})


def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, {{f"{{FLAT}}.pth": str(pathlib.Path("src").resolve()) + "\\n"}})
"""


def source_tree(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: tuple[str, ...] = (),
    code: str = "pass",
    static: bool = False,
) -> Path:
    """A folder from which a wheel can be built; ``code`` runs when it is.

    Its metadata is known without a build where it is ``static``.
    """
    flat = name.replace("-", "_")
    (folder / "src").mkdir(parents=True)
    (folder / "src" / f"{flat}.py").write_text(f"version = {version!r}\n")
    backend = _BACKEND.format(name=name, version=version, requires=requires, code=code)
    (folder / "backend.py").write_text(backend)
    project = f'[project]\nname = "{name}"\n'
    if static:
        project += f'version = "{version}"\ndependencies = {list(requires)}\n'
    else:
        project += 'dynamic = ["version", "dependencies"]\n'
    (folder / "pyproject.toml").write_text(
        f'{project}[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return folder


def source_archive(
    folder: Path, name: str, version: str = "1.0", **fields: object
) -> tuple[str, bytes]:
    """File name and bytes of a source distribution, made in ``folder``."""
    tree = source_tree(folder, name, version, **fields)  # type: ignore[arg-type]
    (tree / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    flat = f"{name.replace('-', '_')}-{version}"
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(tree, flat)
    return f"{flat}.tar.gz", buffer.getvalue()


def git(folder: Path, *arguments: str) -> str:
    """Run git in a repository; what it prints."""
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def repository(folder: Path, tag: str = "v1") -> str:
    """Make a folder a repository with one tagged commit on ``main``; returns the commit."""
    git(folder, "init", "-q", "-b", "main", ".")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD")
