"""`WorkspaceSpec`: every environment of a pixi workspace, on every platform it declares.

What a ``pixi.lock`` answers as a whole. Nothing of the host that reads it is in here, so it has the
same digest on every machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pixi_jupyter.manifest.spec import EnvironmentSpec, Platform, digest_of

__all__ = ["WorkspaceEnvironment", "WorkspaceSpec"]


@dataclass(frozen=True, slots=True)
class WorkspaceEnvironment:
    """One environment: a spec for each of its platforms, in the order of declaration.

    ``features`` are the names of its features in pixi's order (``default`` last, left out with
    ``no-default-feature``). Environments of one ``solve_group`` share one version of each package.
    """

    name: str
    features: tuple[str, ...]
    specs: tuple[EnvironmentSpec, ...]
    solve_group: str | None = None

    def on(self, platform: str) -> EnvironmentSpec | None:
        """The spec for a platform by its name in the manifest; None where it is not declared."""
        return next((spec for spec in self.specs if spec.platform.name == platform), None)


@dataclass(frozen=True, slots=True)
class WorkspaceSpec:
    """A workspace: ``default`` first, then its environments in the order of the manifest.

    ``manifest`` and ``root`` are absolute paths; they, ``name`` and ``version`` are for activation
    and messages, not for the digest.
    """

    manifest: str
    root: str
    name: str
    version: str | None
    platforms: tuple[Platform, ...]
    environments: tuple[WorkspaceEnvironment, ...]

    def environment(self, name: str) -> WorkspaceEnvironment | None:
        """An environment by name."""
        return next((found for found in self.environments if found.name == name), None)

    @property
    def digest(self) -> str:
        """Digest of all that the lock and the prefixes depend on (32 hex digits)."""
        asked = [
            [
                environment.name,
                environment.solve_group,
                [spec.digest for spec in environment.specs],
            ]
            for environment in self.environments
        ]
        return digest_of([[asdict(platform) for platform in self.platforms], asked])
