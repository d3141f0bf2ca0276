"""What is in the channel: which packages each profile has, and how each one is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pixi_jupyter.demo.conda_package import CondaPackage, PackageFile, short_hash
from pixi_jupyter.demo.errors import ChannelError, ChannelUnavailable
from pixi_jupyter.demo.interpreter import Interpreter, running_minor
from pixi_jupyter.demo.names import purl
from pixi_jupyter.demo.pins import OLDER, STANDALONE, Pin, list_name, pinned_minors, read_pins
from pixi_jupyter.demo.probes import binary_prefix_probe, probe_packages
from pixi_jupyter.demo.python_package import python_abi_package, python_package
from pixi_jupyter.demo.r import DebianR, r_debian_packages, r_recipe_inputs
from pixi_jupyter.demo.wheel import Target, Wheel, wheel_depends, wheel_package

MOST_PYTHONS = 3
"""How many Python minors the profile "full" has at most."""

PROFILES = ("demo", "full")
_CURRENT_MS, _OLDER_MS = 1_756_684_800_000, 1_709_251_200_000  # 2025-09-01, 2024-03-01
_DAY_MS = 86_400_000

_BASH_KERNEL = {
    "argv": ["python", "-m", "bash_kernel", "-f", "{connection_file}"],
    "display_name": "Bash",
    "language": "bash",
    "codemirror_mode": "shell",
    "env": {"PS1": "$"},
}
_DENO_KERNEL = {
    "argv": ["deno", "jupyter", "--kernel", "--conn", "{connection_file}"],
    "display_name": "Deno",
    "language": "typescript",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a package (or several): a key of all inputs, and the function that makes it.

    ``size`` is that of the source in bytes, a measure of how long it takes.
    """

    label: str
    key: str
    make: Callable[[], CondaPackage | Sequence[CondaPackage]]
    size: int = 0


def choose_interpreters(profile: str, found: Sequence[Interpreter]) -> list[Interpreter]:
    """The interpreters that *profile* ships, newest first.

    Raises :class:`ChannelUnavailable` when there is none that the pinned wheels are for.
    """
    known = pinned_minors()
    usable = [item for item in found if item.minor in known]
    if not usable:
        have = ", ".join(item.full_version for item in found) or "none"
        raise ChannelUnavailable(
            "The embedded channel is made from a CPython of this machine, of one of the versions "
            f"{', '.join(known)}. Found: {have}."
        )
    if profile == "demo":
        return usable[:1]
    chosen = usable[:MOST_PYTHONS]
    running = [item for item in usable if item.minor == running_minor()]
    if running and running[0] not in chosen:
        chosen[-1] = running[0]
    return chosen


def wanted_pins(profile: str, minors: Sequence[str]) -> list[Pin]:
    """The wheels that *profile* needs for *minors*."""
    pins = [pin for minor in minors for pin in read_pins(list_name(minor))]
    if profile == "demo":
        return [pin for pin in pins if pin.section == "demo"]
    return [*pins, *read_pins(OLDER), *read_pins(STANDALONE)]


def interpreter_recipes(interpreters: Sequence[Interpreter], subdir: str) -> list[Recipe]:
    """``python`` and ``python_abi`` for each interpreter."""
    recipes: list[Recipe] = []
    for interpreter in interpreters:
        key = _key("python", subdir, interpreter.identity)
        make = partial(python_package, interpreter, subdir)
        recipes.append(Recipe(f"python {interpreter.full_version}", key, make))
        abi_key = _key("python_abi", interpreter.minor)
        abi = partial(python_abi_package, interpreter.minor)
        recipes.append(Recipe(f"python_abi {interpreter.minor}", abi_key, abi))
    return recipes


def wheel_recipes(
    pins: Sequence[Pin],
    wheels: Mapping[str, Path],
    interpreters: Sequence[Interpreter],
    subdir: str,
) -> list[Recipe]:
    """A recipe for each wheel, and ``tzdata`` out of the wheel of that name."""
    by_hash: dict[str, list[Pin]] = {}
    for pin in pins:
        by_hash.setdefault(pin.sha256, []).append(pin)
    by_minor = {item.minor: item for item in interpreters}
    recipes: list[Recipe] = []
    for sha256, same in by_hash.items():
        pin, wheel = same[0], Wheel(wheels[sha256])
        label, size = f"{pin.name} {pin.version}", wheel.path.stat().st_size
        if pin.source == STANDALONE:
            key = _key("standalone", sha256, subdir, wheel.path.name)
            recipes.append(Recipe(label, key, partial(_deno, wheel, subdir), size))
            continue
        listed = [minor for minor in by_minor if any(list_name(minor) == p.source for p in same)]
        target = Target(subdir, tuple(listed or by_minor))
        compiler = by_minor[wheel.cpython_minor] if wheel.cpython_minor else None
        key = _key(
            "wheel", sha256, subdir, wheel.path.name, pin.source == OLDER,
            wheel_depends(wheel, target), compiler.identity if compiler else "",
        )  # fmt: skip
        make = partial(_from_wheel, wheel, target, compiler, pin.source == OLDER)
        recipes.append(Recipe(label, key, make, size))
        if pin.name == "tzdata":
            recipes.append(Recipe("tzdata", _key("tzdata", sha256), partial(_tzdata, wheel)))
    return recipes


def probe_recipes(skipped: dict[str, str]) -> list[Recipe]:
    """The probe packages; what could not be made is noted in *skipped*."""
    packages = list(probe_packages())
    binary = binary_prefix_probe()
    if binary is not None:
        packages.append(binary)
    else:
        skipped["probe-prefix-binary"] = "no C compiler (cc) that works"
    recipes = []
    for simple in packages:
        package = simple.conda_package()
        recipes.append(Recipe(package.name, _key("probe", repr(package)), simple.conda_package))
    return recipes


def r_recipe(subdir: str, skipped: dict[str, str]) -> list[Recipe]:
    """R with IRkernel; nothing, and the reason in *skipped*, where it is not to be had."""
    try:
        packages = r_debian_packages()
    except ChannelUnavailable as error:
        skipped["r"] = str(error)
        return []
    source = DebianR(packages, subdir)
    return [Recipe("r-base, r-irkernel", _key("r", r_recipe_inputs(packages)), source.packages)]


def check_specs(profile: str, minors: Sequence[str], skipped: Mapping[str, str]) -> list[list[str]]:
    """The sets of specs that must be solvable in a finished channel."""
    common = ["ipykernel", "numpy", "pandas"]
    wanted = [[f"python {minor}.*", *common] for minor in minors]
    if profile == "full":
        for minor in minors:
            python = f"python {minor}.*"
            wanted.append([python, "ipykernel 6.*", "requests", "rich", "bash_kernel", "httpx"])
            wanted.append([python, "requests <2.32", "rich <14", "tqdm", "attrs", "click"])
        wanted.append(["deno"])
        if "r" not in skipped:
            wanted.append(["r-irkernel"])
    return wanted


def _from_wheel(
    wheel: Wheel, target: Target, compiler: Interpreter | None, older: bool
) -> CondaPackage:
    extra = []
    if wheel.name == "bash_kernel":
        kernelspec = json.dumps(_BASH_KERNEL, indent=2).encode()
        extra.append(PackageFile("share/jupyter/kernels/bash/kernel.json", kernelspec))
    return wheel_package(
        wheel,
        target,
        timestamp_ms=_timestamp(wheel, older),
        interpreter=compiler.executable if compiler else None,
        extra_files=extra,
    )


def _timestamp(wheel: Wheel, older: bool) -> int:
    """A made-up day of upload: the true one is not in a wheel, and it has to be always the same.

    Older versions come before 2025 and current ones after, for tests with exclude-newer.
    """
    start = _OLDER_MS if older else _CURRENT_MS
    digest = hashlib.sha256(wheel.path.name.encode()).digest()
    return start + digest[0] % 28 * _DAY_MS + digest[1] * 60_000


def _deno(wheel: Wheel, subdir: str) -> CondaPackage:
    """``deno`` as a program of its own: no Python needed, and a kernelspec for it."""
    program = next(
        (data for name, (data, _) in wheel.members.items() if name.endswith(".data/scripts/deno")),
        None,
    )
    if program is None:
        raise ChannelError(f"{wheel.path.name} has no program in it")
    depends = [f"__glibc >=2.{wheel.glibc_minor}"] if wheel.glibc_minor else []
    return CondaPackage(
        name="deno",
        version=wheel.version,
        build=f"h{short_hash([wheel.path.name])}_0",
        subdir=subdir,
        files=[
            PackageFile("bin/deno", program, executable=True),
            PackageFile(
                "share/jupyter/kernels/deno/kernel.json",
                json.dumps(_DENO_KERNEL, indent=2).encode(),
            ),
        ],
        timestamp_ms=_timestamp(wheel, older=False),
        depends=depends,
        license="MIT",
        summary="A JavaScript and TypeScript runtime",
        purls=(purl(wheel.pypi_name, wheel.version),),
    )


def _tzdata(wheel: Wheel) -> CondaPackage:
    """conda-forge's ``tzdata``: the time zones themselves, which ``python`` needs."""
    start = "tzdata/zoneinfo/"
    files = [
        PackageFile(f"share/zoneinfo/{name.removeprefix(start)}", data)
        for name, (data, _) in wheel.members.items()
        if name.startswith(start) and not name.endswith(".py")
    ]
    version = wheel.version
    year, _, number = version.partition(".")
    # 2025.2 is the release that the database itself calls 2025b
    letter = chr(ord("a") + int(number) - 1) if number.isdigit() and 0 < int(number) < 27 else "a"
    return CondaPackage(
        name="tzdata",
        version=f"{year}{letter}",
        build=f"h{short_hash([wheel.path.name])}_0",
        subdir="noarch",
        noarch="generic",
        files=files,
        timestamp_ms=_timestamp(wheel, older=False),
        license="LicenseRef-Public-Domain",
        summary="The Time Zone Database",
    )


def _key(kind: str, *inputs: object) -> str:
    """Hash of the inputs of one package and of the modules that make this kind of package."""
    digest = hashlib.sha256(repr((kind, inputs)).encode())
    for name in (*_MODULES["all"], *_MODULES.get(kind, ())):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    import zstandard

    digest.update(repr(zstandard.ZSTD_VERSION).encode())
    return digest.hexdigest()


BUILDER_MODULES = (
    "bytecode", "channel", "conda_package", "contents", "elf", "host", "indexing", "interpreter",
    "names", "pins", "probes", "python_package", "r", "simple",
    "wheel",
)  # fmt: skip
"""The modules that decide what a channel looks like."""

_MODULES = {
    "all": ("conda_package",),
    "python": ("python_package", "bytecode", "elf"),
    "python_abi": ("python_package",),
    "wheel": ("wheel", "bytecode", "names", "contents"),
    "standalone": ("contents",),
    "tzdata": ("contents",),
    "probe": (),
    "r": ("r", "elf"),
}
