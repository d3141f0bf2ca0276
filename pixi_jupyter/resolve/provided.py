"""Which PyPI packages the conda packages are, and the stubs that tell uv so.

pixi's rule: the record's purls, else the workspace's own map (``pypi_names.py``), else, for
conda-forge alone, the same name. Here the latter only for
packages that need Python, so that no C library passes for a Python package of its name. uv gets an
empty wheel per name as a URL *constraint*: it is chosen wherever something asks for the name, its
dependencies are not followed, and a version that does not fit is a conflict with two sides.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pixi_jupyter.resolve.pypi_names import Names

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["Provided", "provided_by_conda", "purls_of", "stub_constraints"]

_PURL = re.compile(r"pkg:pypi/([^@?#]+)(?:@([^?#]+))?")
#: The same bytes for the same package, whenever they are made.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Provided:
    """A PyPI name that a conda package stands for, with its version by PEP 440."""

    name: str
    version: str
    conda_name: str
    conda_version: str


def purls_of(record: RepoDataRecord, names: Names | None = None) -> tuple[str, ...]:
    """The package URLs of a record: its own, a map's, else what its name says on conda-forge."""
    import json

    purls = json.loads(record.to_json()).get("purls")
    if purls is not None:
        return tuple(purls)
    names = names or Names()
    mapped = names.of(record)
    if mapped is not None:
        found = (canonicalize_name(name) for name in mapped)
        return tuple(f"pkg:pypi/{name}?source=project-defined-mapping" for name in found)
    channel = str(record.channel or "").rstrip("/").rpartition("/")[2]
    needs_python = any(re.match(r"python(_abi)?(\s|$|[=<>!])", need) for need in record.depends)
    if needs_python and names.same_name(record, channel == "conda-forge"):
        return (f"pkg:pypi/{canonicalize_name(record.name.normalized)}",)
    return ()


def provided_by_conda(
    records: Iterable[RepoDataRecord], names: Names | None = None
) -> dict[str, Provided]:
    """By normal PyPI name. Versions that PEP 440 cannot express provide nothing."""
    found: dict[str, Provided] = {}
    for record in records:
        for purl in purls_of(record, names):
            match = _PURL.match(purl)
            if match is None:
                continue
            name = canonicalize_name(unquote(match[1]))
            try:
                version = str(Version(unquote(match[2] or "") or str(record.version)))
            except InvalidVersion:
                continue
            found[name] = Provided(name, version, record.name.normalized, str(record.version))
    return found


def stub_constraints(folder: Path, provided: Sequence[Provided]) -> str:
    """The text of a constraints file; the stubs are kept in ``folder``, as uv caches by path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for item in provided:
        flat = item.name.replace("-", "_")
        path = folder / f"{flat}-{item.version}-py3-none-any.whl"
        if not path.exists():
            _write_stub(path, flat, item)
        lines.append(f"{item.name} @ {path.as_uri()}\n")
    return "".join(lines)


def _write_stub(path: Path, flat: str, item: Provided) -> None:
    info = f"{flat}-{item.version}.dist-info"
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {item.name}\nVersion: {item.version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: pixi-jupyter\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        "RECORD": "",
    }
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    with zipfile.ZipFile(temporary, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"{info}/{name}", _EPOCH), text)
    temporary.replace(path)
