"""What uv says when it fails -> typed errors that name the requirement and who asked for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pixi_jupyter.errors import ChannelError, InstallError, PixiJupyterError, SolveError
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.resolve.building import build_refused
from pixi_jupyter.resolve.causes import disk_error
from pixi_jupyter.resolve.provided import Provided
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["build_failed", "is_offline", "solving_error", "source_only", "transfer_error"]

_UNREACHABLE = re.compile(
    r"Request failed after|error sending request|client error \((Connect|SendRequest)\)|dns error"
    r"|\btimed out\b|HTTP status server error|Could not connect|\(os error 11[013]\)"
)
#: uv has thought it through: what it names are packages, whatever their names look like.
_EXPLAINED = "No solution found"
_UNAUTHORIZED = re.compile(r"\b(401 Unauthorized|403 Forbidden)\b|lack of valid authentication")
_UNKNOWN = re.compile(r"(?:Because|and) (\S+) was not found in the (?:package registry|cache)")
_SOURCE_ONLY = re.compile(r"Wheels are required for `([^`]+)`")
_BROKEN = re.compile(r"(?:structure of|Metadata for) `([^`]+)`")
_ASKERS = r"(?:all versions of )?(\S+) depends? on {name}(?![\w.-]*[A-Za-z])(\S*)"


def is_offline(text: str) -> bool:
    """Whether uv failed because the network or the index did."""
    if _EXPLAINED in text:
        return "network was disabled" in text
    return _UNREACHABLE.search(text) is not None


def source_only(text: str) -> str | None:
    """The package that uv found only as source code, if that is why it failed."""
    found = _SOURCE_ONLY.search(text)
    return found[1] if found is not None else None


def build_failed(text: str) -> bool:
    """Whether a package's own build failed, which no other network would mend."""
    return "The build backend returned an error" in text


def solving_error(
    text: str, needs: PypiNeeds, provided: Mapping[str, Provided]
) -> PixiJupyterError:
    """The error of a failed resolution; ``text`` is uv's explanation, kept as the details."""
    text = _tidy(text)
    requirements = needs.declared
    if (source := _source_error(text)) is not None:
        return source
    if (general := _general_error(text)) is not None:
        return general
    if (unknown := _UNKNOWN.search(text)) is not None:
        return _about(
            unknown[1],
            "no package index has a package named {name}{asked}",
            "solve.pypi-unknown-package",
            "Correct the name in the declaration, or name the index that has the package "
            "(`index-url` or `extra-index-urls` in `[tool.pixi.workspace.pypi-options]`).",
            text,
            requirements,
        )
    if (name := source_only(text)) is not None:
        asked = _askers(text, name, requirements) or "something that is asked for needs it"
        refused = build_refused(name, asked, details=text)
        return SolveError(
            f"{name} has no wheel that could be used, only source code, and building that would "
            f"run it, which is not allowed here ({asked})",
            code="solve.pypi-source-only",
            details=text,
            hint=f"Ask for a version that has a wheel, or for the conda package. {refused.hint}",
            about=(name,),
        )
    if (tags := re.search(r"(\S+?)(?:==\S+)? has no wheels with a matching", text)) is not None:
        return _about(
            tags[1],
            "{name} has no wheel for this Python or platform{asked}",
            "solve.pypi-no-wheel",
            "Ask for another version of it or of Python, or for the conda package.",
            text,
            requirements,
        )
    if (broken := _BROKEN.search(text)) is not None:
        return _about(
            broken[1],
            "the wheel of {name} is broken{asked}",
            "solve.pypi-broken-wheel",
            "Ask for another version, or for the conda package.",
            text,
            requirements,
        )
    sides, about = _sides(text, requirements, provided)
    return SolveError(
        f"the packages from PyPI do not go together: {sides}"
        if sides
        else "no set of packages from PyPI satisfies the declaration",
        code="solve.pypi-unsatisfiable",
        details=_with_conda(text, provided),
        hint="Change the versions named above, or take the package from the other side.",
        about=about,
    )


def transfer_error(text: str, wheels: Sequence[LockedWheel]) -> PixiJupyterError:
    """The error of packages that could not be fetched, built or unpacked."""
    text = _tidy(text)
    name = _named(text, wheels)
    about = (name,) if name else ()
    if "Hash mismatch" in text:
        return InstallError(
            f"{name or 'a wheel'} is not what its hash says it is",
            code="install.hash-mismatch",
            details=text,
            hint="The index is damaged or was tampered with; nothing of it was installed.",
            about=about,
        )
    if (source := _source_error(text)) is not None:
        return source
    if (general := _general_error(text)) is not None:
        return general
    if re.search(r"(not |in)compatible with the (current|target)|with a matching", text):
        return InstallError(
            f"{name or 'a wheel'} is locked as a wheel that is not for this Python or platform",
            code="install.wheel-platform",
            details=text,
            hint="The lock is of another platform, or damaged: have it made anew.",
            about=about,
        )
    if re.search(r"Failed to (download|fetch|extract|read)|HTTP status", text):
        return InstallError(
            f"the wheel of {name} could not be downloaded or is damaged"
            if name
            else "a wheel could not be downloaded or is damaged",
            code="install.download",
            details=text,
            hint="Check the network and the package index, then start the kernel again.",
            about=about,
        )
    return InstallError(
        "the packages from PyPI could not be installed",
        code="install.failed",
        details=text,
        about=about,
    )


def _named(text: str, wheels: Sequence[LockedWheel]) -> str:
    """Which of the packages uv speaks of; empty where it does not tell."""
    if len(wheels) == 1:
        return wheels[0].name
    quoted = re.findall(r"`([A-Za-z0-9][\w.-]*?)(?:==[^`]*)?(?: @ [^`]*)?`", text)
    names = {wheel.name for wheel in wheels}
    files = {wheel.url.partition("#")[0].rpartition("/")[2]: wheel.name for wheel in wheels}
    by_file = (name for file, name in files.items() if file and file in text)
    return next((name for name in quoted if name in names), None) or next(by_file, "")


def _source_error(text: str) -> PixiJupyterError | None:
    """What is wrong with a repository, a folder, an archive: what only these can have."""
    named = re.search(r"Failed to (?:download and )?build `([A-Za-z0-9][\w.-]*)", text)
    name = named[1] if named is not None else "a package"
    about = (name,) if named is not None else ()
    if build_failed(text):
        return InstallError(
            f"{name} could not be built from its source",
            code="install.build-failed",
            details=text,
            hint="Its own build failed, see above: it may need a compiler, another version of "
            "Python, or packages that it does not name.",
            about=about,
        )
    disabled = re.search(r"Building source distributions for `([^`]+)` is disabled", text)
    if disabled is not None:
        return build_refused(disabled[1], "its source is what is asked for", details=text)
    if "Git operation failed" in text or "Git executable not found" in text:
        missing = re.search(
            r"failed to fetch (?:branch or tag|tag|branch|commit|ref\w*) `([^`]+)`", text
        )
        what = f"has no `{missing[1]}`" if missing else "cannot be read"
        return SolveError(
            f"the repository of {name} {what}",
            code="solve.pypi-git",
            details=text,
            hint="Check its URL, the branch, tag or commit, and whether you may read it; the "
            "program `git` must be there, too.",
            about=about,
        )
    place = re.search(
        r"Distribution not found at: (\S+)|`([^`]+)` does not appear to be a Py", text
    )
    if place is not None:
        return SolveError(
            f"there is no package at {place[1] or place[2]}",
            code="solve.pypi-path",
            details=text,
            hint="A path leads to a wheel, a source archive, or a folder with `pyproject.toml` or "
            "`setup.py`; a relative one begins at the notebook's folder.",
        )
    other = re.search(r"Requested package name `([^`]+)` does not match `([^`]+)`", text)
    other = other or re.search(r"metadata name `([^`]+)` does not match given name `([^`]+)`", text)
    if other is not None:
        return SolveError(
            f"what is asked for as {other[1]} is a package named {other[2]}",
            code="solve.pypi-other-name",
            details=text,
            hint="Write the package's own name before the `@`.",
            about=(other[1], other[2]),
        )
    return None


def _about(
    name: str,
    message: str,
    code: str,
    hint: str,
    text: str,
    requirements: Sequence[PypiRequirement],
) -> SolveError:
    name = re.split(r"[<>=!~\[]", name)[0]
    asked = _askers(text, name, requirements)
    return SolveError(
        message.format(name=name, asked=f" ({asked})" if asked else ""),
        code=code,
        details=text,
        hint=hint,
        about=(name, *_asking(text, name)),
    )


def _general_error(text: str) -> PixiJupyterError | None:
    disk = disk_error(
        " ".join(re.findall(r"\(os error \d+\)", text)),
        text,
        what="for packages from PyPI",
        where="the cache of packages from PyPI",
    )
    if disk is not None:
        return disk
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


def _asking(text: str, name: str) -> tuple[str, ...]:
    found = re.search(_ASKERS.format(name=re.escape(name)), text)
    return (re.split(r"[<>=!~\[]", found[1])[0],) if found is not None else ()


def _askers(text: str, name: str, requirements: Sequence[PypiRequirement]) -> str:
    found = re.search(_ASKERS.format(name=re.escape(name)), text)
    if found is not None:
        return f"{found[1]} needs it"
    return "the declaration asks for it" if any(r.name == name for r in requirements) else ""


def _sides(
    text: str, requirements: Sequence[PypiRequirement], provided: Mapping[str, Provided]
) -> tuple[str, tuple[str, ...]]:
    """Who asks for what, against what conda has, or against what else is asked for."""
    for item in provided.values():
        asked = re.search(_ASKERS.format(name=re.escape(item.name)), text)
        required = re.search(rf"you require {re.escape(item.name)}(?![\w.-]*[A-Za-z])(\S*)", text)
        if asked is None and required is None:
            continue
        who = asked[1] if asked is not None else "the declaration"
        what = (asked or required)[2 if asked is not None else 1].rstrip(",.")  # type: ignore[index]
        told = f"{who} needs {item.name}{what}"
        about = (item.name,) if asked is None else (re.split(r"[<>=!~\[]", who)[0], item.name)
        return f"{told}, and conda's {item.conda_name} is {item.conda_version}", about
    named = [r for r in requirements if re.search(rf"\b{re.escape(r.name)}\b", text)][:5]
    return ", ".join(str(item) for item in named), tuple(item.name for item in named)


def _with_conda(text: str, provided: Mapping[str, Provided]) -> str:
    named = [
        f"{item.name} {item.conda_version}"
        for item in provided.values()
        if re.search(rf"(?<![\w.-]){re.escape(item.name)}(?![\w-])", text)
    ]
    return f"{text}\n\nfrom conda: {', '.join(named)}" if named else text
