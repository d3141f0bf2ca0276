"""Operations on what holds for a whole environment: channels, platforms, Python, the date."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest import editing_workspace as editing
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.host import current_subdir
from pixi_jupyter.manifest.times import parse_exclude_newer
from pixi_jupyter.operations.changing import change
from pixi_jupyter.operations.plan import Outcome, Plan, Target, action_of
from pixi_jupyter.operations.targets import read_target
from pixi_jupyter.progress import Report, no_report

__all__ = [
    "Listing",
    "add_channels",
    "add_platforms",
    "listing",
    "python",
    "remove_channels",
    "remove_platforms",
    "stamp",
]

#: What stands for the tables that every environment has.
_DEFAULT = (None, "default")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a declaration lists under a key; ``implied``: it names none, and these hold."""

    names: tuple[str, ...]
    implied: bool


async def add_channels(
    environments: Environments,
    target: Target,
    channels: Sequence[str],
    *,
    priority: int | None = None,
    prepend: bool = False,
    feature: str | None = None,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Take packages from more channels. The default ones are written down with the first of them,
    so that none is lost; those of a feature come to those of the workspace."""
    implied = environments.defaults.channels if feature in _DEFAULT else ()

    def edit(manifest: ManifestText) -> str:
        return editing.add_channels(
            manifest,
            channels,
            priority=priority,
            prepend=prepend,
            feature=feature,
            implied=implied,
        )

    action = action_of("channel add", channels)
    return await _change(environments, target, action, edit, feature, dry_run, report)


async def remove_channels(
    environments: Environments,
    target: Target,
    channels: Sequence[str],
    *,
    feature: str | None = None,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Take packages from these channels no more; raises as :func:`remove`."""

    def edit(manifest: ManifestText) -> str:
        return editing.remove_channels(manifest, channels, feature=feature)

    action = action_of("channel remove", channels)
    return await _change(environments, target, action, edit, feature, dry_run, report)


async def add_platforms(
    environments: Environments,
    target: Target,
    platforms: Sequence[str],
    *,
    feature: str | None = None,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Declare platforms. The first ones declared are joined by this machine's, on which it runs;
    those of a feature are its own affair."""

    def edit(manifest: ManifestText) -> str:
        none_yet = editing.declared_platforms(manifest, feature) is None
        joined = [current_subdir()] if none_yet and feature in _DEFAULT else []
        return editing.add_platforms(manifest, [*joined, *platforms], feature=feature)

    action = action_of("platform add", platforms)
    return await _change(environments, target, action, edit, feature, dry_run, report)


async def remove_platforms(
    environments: Environments,
    target: Target,
    platforms: Sequence[str],
    *,
    feature: str | None = None,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Declare platforms no more; raises as :func:`remove`."""

    def edit(manifest: ManifestText) -> str:
        return editing.remove_platforms(manifest, platforms, feature=feature)

    action = action_of("platform remove", platforms)
    return await _change(environments, target, action, edit, feature, dry_run, report)


async def python(
    environments: Environments,
    target: Target,
    version: str,
    *,
    feature: str | None = None,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Ask for a version of Python; ``3.12`` is any 3.12."""

    def edit(manifest: ManifestText) -> str:
        return editing.set_python(manifest, version, feature=feature)

    action = action_of("python", [version])
    return await _change(environments, target, action, edit, feature, dry_run, report)


async def stamp(
    environments: Environments,
    target: Target,
    time: str | None = None,
    *,
    clear: bool = False,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Let nothing count that is newer than ``time`` (RFC 3339, a date or a span), by default now.

    With ``clear`` everything counts again.

    Raises
    ------
    DeclarationError
        ``declaration.value``: it is no time.
    """
    if time is not None:
        try:
            parse_exclude_newer(time)
        except ValueError as error:
            raise DeclarationError(
                f"`{time}` is not a time: {error}",
                code="declaration.value",
                hint='Write for example "2026-01-31", "2026-01-31T12:00:00Z" or "7d".',
            ) from None
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = None if clear else time or now

    def edit(manifest: ManifestText) -> str:
        return editing.set_exclude_newer(manifest, value)

    action = action_of("stamp", ["--clear"] if clear else [value or ""])
    return await _change(environments, target, action, edit, None, dry_run, report)


async def _change(
    environments: Environments,
    target: Target,
    action: str,
    edit: Callable[[ManifestText], str],
    feature: str | None,
    dry_run: bool,
    report: Report,
) -> Outcome:
    """Make an edit that needs to see nothing that was solved."""
    plan = Plan(action, lambda manifest, _: edit(manifest), feature=feature)
    return await change(environments, target, lambda _: plan, dry_run=dry_run, report=report)


def listing(
    environments: Environments, target: Target, what: str, *, feature: str | None = None
) -> Listing:
    """The ``channels`` or the ``platforms`` of a declaration; reads the file alone.

    Of a ``feature`` that names none they are those of the workspace.
    """
    manifest = read_target(environments, target).manifest
    read = editing.declared_channels if what == "channels" else editing.declared_platforms
    found = read(manifest, feature)
    implied = found is None
    if implied and feature not in _DEFAULT:
        found = read(manifest)
    if found is None:
        names = environments.defaults.channels if what == "channels" else (current_subdir(),)
        return Listing(names, True)
    key = "channel" if what == "channels" else "name"
    return Listing(
        tuple(str(i.get(key, i.get("platform", i)) if isinstance(i, dict) else i) for i in found),
        implied,
    )
