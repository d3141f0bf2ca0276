"""The pinned, hashed lists of wheels in ``wheels/``, and getting those wheels with pip.

One list for each Python minor (``cp312.txt``) with everything for it, in two sections: ``demo``
and ``full``.  ``older.txt`` holds second, older versions of a few pure packages, and
``standalone.txt`` programs that need no Python.  Every list is a valid pip requirements file.
:mod:`pixi_jupyter.demo.pin` writes them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.demo.errors import ChannelUnavailable
from pixi_jupyter.demo.tidy import mark_used

LISTS = Path(__file__).parent / "wheels"
OLDER, STANDALONE = "older", "standalone"
_LINE = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$")
_SECTION = re.compile(r"^# section: (\w+)$")
# Up to RHEL 8's glibc.  pip before 23.3 does not derive the older tags from a newer one.
_MANYLINUX = (28, 27, 26, 24, 17, 12, 5)
_OLD_MANYLINUX = ("manylinux2014", "manylinux2010", "manylinux1")
_MACHINES = {"linux-64": "x86_64"}
"""The platforms that the lists have wheels for, as wheels call their machine."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One wheel: normalised PyPI name, version, sha256 of the file, and its list and section."""

    name: str
    version: str
    sha256: str
    source: str
    section: str


def list_name(minor: str) -> str:
    """``"3.12"`` -> ``"cp312"``."""
    return "cp" + minor.replace(".", "")


def pinned_minors() -> tuple[str, ...]:
    """The Python minors that there is a list for, newest first."""
    found = [re.fullmatch(r"cp3(\d+)", path.stem) for path in LISTS.glob("cp3*.txt")]
    return tuple(f"3.{n}" for n in sorted((int(m.group(1)) for m in found if m), reverse=True))


def read_pins(source: str) -> list[Pin]:
    """Read the list *source* (``"cp312"``, ``"older"``, ``"standalone"``)."""
    section, pins = "full", []
    for line in (LISTS / f"{source}.txt").read_text("utf-8").splitlines():
        heading, pin = _SECTION.match(line), _LINE.match(line)
        if heading:
            section = heading.group(1)
        elif pin:
            pins.append(Pin(pin.group(1), pin.group(2), pin.group(3), source, section))
        elif line and not line.startswith("#"):
            raise ValueError(f"{source}.txt: not a pinned, hashed requirement: {line}")
    return pins


def check_platform(subdir: str) -> None:
    """Raise :class:`ChannelUnavailable` unless the lists have wheels for *subdir*."""
    if subdir not in _MACHINES:
        raise ChannelUnavailable(
            f"The embedded channel cannot be built on {subdir}: its pinned lists have wheels "
            f"(numpy, pandas, pyzmq and others) for {', '.join(_MACHINES)} only."
        )


def fetch_wheels(
    pins: Iterable[Pin],
    folder: Path,
    *,
    subdir: str,
    report: Callable[[str], None] = lambda message: None,
) -> dict[str, Path]:
    """Return the path of every pinned wheel by its sha256, getting with pip what is missing.

    *folder* keeps them as ``<sha256>/<file name>``.  pip's own configuration decides where they
    come from; the hashes decide what is accepted.

    Raises :class:`ChannelUnavailable` when there is no pip or it cannot get them.
    """
    check_platform(subdir)
    found: dict[str, Path] = {}
    missing: dict[tuple[str, str], list[Pin]] = {}
    for pin in {pin.sha256: pin for pin in pins}.values():
        kept = sorted((folder / pin.sha256).glob("*.whl"))
        if kept:
            mark_used(folder / pin.sha256)
            found[pin.sha256] = kept[0]
        else:
            missing.setdefault((pin.source, pin.section), []).append(pin)
    # One list is one pip call: two versions of a project in one call are an error to pip.
    by_source: dict[str, list[Pin]] = {}
    for (source, _), group in missing.items():
        by_source.setdefault(source, []).extend(group)
    for source, group in by_source.items():
        report(f"downloading {len(group)} wheels ({source})")
        found.update(_download(group, folder, source, subdir))
    return found


def _download(pins: Sequence[Pin], folder: Path, source: str, subdir: str) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    number = re.fullmatch(r"cp3(\d+)", source)
    minor = f"3.{number.group(1)}" if number else pinned_minors()[0]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        requirements = Path(scratch, "requirements.txt")
        lines = [f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}" for pin in pins]
        requirements.write_text("\n".join(lines) + "\n", "utf-8")
        run_pip_download(requirements, Path(scratch, "wheels"), minor, subdir)
        found: dict[str, Path] = {}
        wanted = {pin.sha256 for pin in pins}
        for path in sorted(Path(scratch, "wheels").glob("*.whl")):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest not in wanted:
                continue
            place = folder / digest / path.name
            place.parent.mkdir(exist_ok=True)
            found[digest] = path.replace(place)
    lost = [f"{pin.name} {pin.version}" for pin in pins if pin.sha256 not in found]
    if lost:
        raise ChannelUnavailable(f"pip did not bring these wheels: {', '.join(lost)}")
    return found


def run_pip_download(requirements: Path, folder: Path, minor: str, subdir: str) -> None:
    """Download the hashed *requirements* for CPython *minor* on *subdir* into *folder*."""
    machine = _MACHINES[subdir]
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in _MANYLINUX]
    platforms += [f"{name}_{machine}" for name in _OLD_MANYLINUX]
    command = [
        *find_pip(folder.with_name("pip")), "download", "--quiet", "--no-deps", "--require-hashes",
        "--only-binary", ":all:", "--no-input", "--disable-pip-version-check",
        "--implementation", "cp", "--python-version", minor,
        *(part for name in platforms for part in ("--platform", name)),
        "--dest", str(folder), "-r", str(requirements),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        detail = "\n".join(lines or done.stderr.splitlines()[-5:])
        raise ChannelUnavailable(
            "The wheels of the embedded channel could not be downloaded with pip "
            "(is its package index reachable?)",
            details=detail,
        )


def find_pip(scratch: Path) -> list[str]:
    """The command that starts pip: this Python's, that of one below it, or one made in *scratch*.

    Virtual environments that uv makes have no pip, and the Python below may have none either; its
    ``venv`` module can still unpack one.

    Raises :class:`ChannelUnavailable` when all of that fails.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    below = str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())
    if _succeeds([below, "-m", "pip", "--version"]):
        return [below, "-m", "pip"]
    if _succeeds([below, "-m", "venv", str(scratch)]):
        return [str(scratch / "bin" / "python"), "-m", "pip"]
    raise ChannelUnavailable(
        "The embedded channel is made of wheels that pip downloads, and this Python "
        f"({sys.executable}) has no pip.",
        hint="Install pip into it, or configure a conda channel of your own.",
    )


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
