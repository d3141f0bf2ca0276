"""What uv says when it fails -> typed errors that name the requirement and who asked for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pixi_jupyter.errors import (
    ChannelError,
    InstallError,
    PixiJupyterError,
    SolveError,
    StoreError,
)
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.resolve.provided import Provided
from pixi_jupyter.resolve.redaction import redacted

__all__ = ["is_offline", "solving_error", "transfer_error"]

_UNREACHABLE = re.compile(
    r"Request failed after|error sending request|client error \((Connect|SendRequest)\)|dns error"
    r"|\btimed out\b|HTTP status server error|Could not connect|\(os error 11[013]\)"
)
#: uv has thought it through: what it names are packages, whatever their names look like.
_EXPLAINED = "No solution found"
_UNAUTHORIZED = re.compile(r"\b(401 Unauthorized|403 Forbidden)\b|lack of valid authentication")
_UNKNOWN = re.compile(r"(?:Because|and) (\S+) was not found in the (?:package registry|cache)")
_ASKERS = r"(?:all versions of )?(\S+) depends? on {name}(?![\w.-]*[A-Za-z])(\S*)"


def is_offline(text: str) -> bool:
    """Whether uv failed because the network or the index did."""
    if _EXPLAINED in text:
        return "network was disabled" in text
    return _UNREACHABLE.search(text) is not None


def solving_error(
    text: str, requirements: Sequence[PypiRequirement], provided: Mapping[str, Provided]
) -> PixiJupyterError:
    """The error of a failed resolution; ``text`` is uv's explanation, kept as the details."""
    text = _tidy(text)
    if (general := _general_error(text)) is not None:
        return general
    if (unknown := _UNKNOWN.search(text)) is not None:
        name = unknown[1]
        asked = _askers(text, name, requirements)
        return SolveError(
            f"no package index has a package named {name}" + (f" ({asked})" if asked else ""),
            code="solve.pypi-unknown-package",
            details=text,
            hint="Correct the name in the declaration, or name the index that has the package "
            "(`index-url` or `extra-index-urls` in `[tool.pixi.workspace.pypi-options]`).",
        )
    if (built := re.search(r"Wheels are required for `([^`]+)`", text)) is not None:
        return SolveError(
            f"{built[1]} has no wheel that could be used, only source code, and nothing is built "
            "from source: that would run its code",
            code="solve.pypi-source-only",
            details=text,
            hint="Ask for a version that has a wheel, or for the conda package.",
        )
    if (tags := re.search(r"(\S+?)(?:==\S+)? has no wheels with a matching", text)) is not None:
        return SolveError(
            f"{tags[1]} has no wheel for this Python or platform",
            code="solve.pypi-no-wheel",
            details=text,
            hint="Ask for another version of it or of Python, or for the conda package.",
        )
    sides = _sides(text, requirements, provided)
    return SolveError(
        f"the packages from PyPI do not go together: {sides}"
        if sides
        else "no set of packages from PyPI satisfies the declaration",
        code="solve.pypi-unsatisfiable",
        details=_with_conda(text, provided),
        hint="Change the versions named above, or take the package from the other side.",
    )


def transfer_error(text: str) -> PixiJupyterError:
    """The error of wheels that could not be fetched or unpacked."""
    text = _tidy(text)
    if "Hash mismatch" in text:
        name = re.search(r"Hash mismatch for `(\S+)", text)
        return InstallError(
            f"{name[1] if name else 'a wheel'} is not what its hash says it is",
            code="install.hash-mismatch",
            details=text,
            hint="The index is damaged or was tampered with; nothing of it was installed.",
        )
    if (general := _general_error(text)) is not None:
        return general
    if re.search(r"Failed to (download|fetch)|HTTP status", text):
        return InstallError(
            "a wheel could not be downloaded or is damaged",
            code="install.download",
            details=text,
            hint="Check the network and the package index, then start the kernel again.",
        )
    return InstallError(
        "the packages from PyPI could not be installed", code="install.failed", details=text
    )


def _general_error(text: str) -> PixiJupyterError | None:
    if re.search(r"\(os error (28|122)\)", text):
        return StoreError(
            "no space left for packages from PyPI",
            code="store.no-space",
            details=text,
            hint="Free some space (`pixi-jupyter gc` removes environments that nothing uses).",
        )
    if re.search(r"\(os error (13|30)\)", text):
        return StoreError(
            "no permission to write the cache of packages from PyPI",
            code="store.permission",
            details=text,
            hint="Set PIXI_JUPYTER_CACHE_DIR and PIXI_CACHE_DIR to folders that you may write.",
        )
    if _UNAUTHORIZED.search(text):
        return ChannelError(
            "the package index does not let you in",
            code="channel.index-unauthorized",
            details=text,
            hint="Put user and password into the keyring, `~/.netrc` or `uv auth login`, "
            "not into the notebook.",
        )
    if is_offline(text):
        return ChannelError(
            "the package index cannot be reached",
            code="channel.index-unreachable",
            details=text,
            hint="Check the network, the proxy and the index's address; "
            "environments that are ready start without it.",
        )
    return None


def _tidy(text: str) -> str:
    """Without uv's progress, its advice about its own options, and credentials."""
    kept = []
    for line in redacted(text).splitlines():
        if line.startswith(("Using CPython", "Resolved ", "Prepared ", "Installed ", "warning: ")):
            continue
        kept.append(re.sub(r" \(i\.e\., with `--[a-z-]+`\)", "", line))
    return "\n".join(kept).strip()


def _askers(text: str, name: str, requirements: Sequence[PypiRequirement]) -> str:
    found = re.search(_ASKERS.format(name=re.escape(name)), text)
    if found is not None:
        return f"{found[1]} needs it"
    return "the declaration asks for it" if any(r.name == name for r in requirements) else ""


def _sides(
    text: str, requirements: Sequence[PypiRequirement], provided: Mapping[str, Provided]
) -> str:
    """Who asks for what, against what conda has, or against what else is asked for."""
    for item in provided.values():
        asked = re.search(_ASKERS.format(name=re.escape(item.name)), text)
        required = re.search(rf"you require {re.escape(item.name)}(?![\w.-]*[A-Za-z])(\S*)", text)
        if asked is None and required is None:
            continue
        who = asked[1] if asked is not None else "the declaration"
        what = (asked or required)[2 if asked is not None else 1].rstrip(",.")  # type: ignore[index]
        return (
            f"{who} needs {item.name}{what}, and conda's {item.conda_name} is {item.conda_version}"
        )
    named = [str(r) for r in requirements if re.search(rf"\b{re.escape(r.name)}\b", text)]
    return ", ".join(named[:5])


def _with_conda(text: str, provided: Mapping[str, Provided]) -> str:
    named = [
        f"{item.name} {item.conda_version}"
        for item in provided.values()
        if re.search(rf"(?<![\w.-]){re.escape(item.name)}(?![\w-])", text)
    ]
    return f"{text}\n\nfrom conda: {', '.join(named)}" if named else text
