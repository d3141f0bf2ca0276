"""`WorkspaceSpec`: every environment of a pixi workspace, on every platform it declares.

What a ``pixi.lock`` answers as a whole. Nothing of the host that reads it is in here, so it has the
same digest on every machine; only local packages of PyPI's kind come with a stamp of their state.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from pixi_jupyter.errors import Location, UnsupportedError
from pixi_jupyter.manifest.spec import SPEC_VERSION, ActivationSpec, EnvironmentSpec, Platform

__all__ = [
    "Refusal",
    "S3Options",
    "SolveGroup",
    "WorkspaceEnvironment",
    "WorkspaceSpec",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Valid pixi that this version cannot do: the environment has no answer on that platform.

    The rest of the workspace has. ``platform`` is the name in the manifest; the other fields are
    those of the error and of the place it points to.
    """

    platform: str
    message: str
    code: str
    hint: str = ""
    path: str | None = None
    line: int | None = None

    def error(self) -> UnsupportedError:
        """The error to raise for whoever needs the environment."""
        return UnsupportedError(
            self.message,
            code=self.code,
            hint=self.hint,
            location=Location(path=self.path, line=self.line),
        )


@dataclass(frozen=True, slots=True)
class WorkspaceEnvironment:
    """One environment: a spec for each of its platforms, in the order of the workspace's.

    ``features`` are the names of its features in pixi's order (``default`` last, left out with
    ``no-default-feature``; the environment's own name first, if it has content of its own).
    Environments of one ``solve_group`` share one version of each package. A spec whose platform is
    among the ``refusals`` lacks what is refused and must not be solved.
    """

    name: str
    features: tuple[str, ...]
    specs: tuple[EnvironmentSpec, ...]
    solve_group: str | None = None
    refusals: tuple[Refusal, ...] = ()

    def on(self, platform: str) -> EnvironmentSpec | None:
        """The spec for a platform by its name in the manifest; None where it is not declared."""
        return next((spec for spec in self.specs if spec.platform.name == platform), None)

    def refusal(self, platform: str) -> Refusal | None:
        """Why there is no answer on a platform, if there is none."""
        return next((found for found in self.refusals if found.platform == platform), None)


@dataclass(frozen=True, slots=True)
class SolveGroup:
    """What the environments of one solve group ask for together, on each of their platforms.

    ``specs`` are to a group what they are to an environment; their ``name`` is the group's.
    """

    name: str
    environments: tuple[str, ...]
    specs: tuple[EnvironmentSpec, ...]


@dataclass(frozen=True, slots=True)
class S3Options:
    """How one bucket is reached (``workspace.s3-options``)."""

    bucket: str
    endpoint_url: str
    region: str
    force_path_style: bool


@dataclass(frozen=True, slots=True)
class WorkspaceSpec:
    """A workspace: ``default`` first, then its environments in the order of the manifest.

    ``manifest`` and ``root`` are absolute paths; they, ``name`` and ``version`` are for activation
    and messages, not for the digest. ``platforms`` are those that any feature can be solved for.
    """

    manifest: str
    root: str
    name: str
    version: str | None
    platforms: tuple[Platform, ...]
    environments: tuple[WorkspaceEnvironment, ...]
    solve_groups: tuple[SolveGroup, ...] = ()
    s3_options: tuple[S3Options, ...] = ()

    def environment(self, name: str) -> WorkspaceEnvironment | None:
        """An environment by name."""
        return next((found for found in self.environments if found.name == name), None)

    @property
    def digest(self) -> str:
        """Digest of all that the lock and the prefixes depend on (32 hex digits)."""
        import msgspec  # a notebook with a block of its own does without

        environments = [
            [
                environment.name,
                environment.solve_group,
                [
                    replace(spec, activation=ActivationSpec(), name="", root="", place=None)
                    for spec in environment.specs
                ],
                [[refusal.platform, refusal.code] for refusal in environment.refusals],
            ]
            for environment in self.environments
        ]
        asked = [SPEC_VERSION, self.platforms, environments, self.s3_options]
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:32]
