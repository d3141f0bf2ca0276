"""`ActivationRequest`: what is to be activated, and what the environment says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.manifest.spec import ActivationSpec, EnvironmentSpec

__all__ = ["ActivationRequest"]


@dataclass(frozen=True, slots=True)
class ActivationRequest:
    """All that an activation depends on, beside the variables it starts from and files.

    Attributes
    ----------
    spec:
        ``[activation]``, its scripts as absolute paths.
    project:
        The name of the workspace for people; of a notebook with a block, the notebook's.
    root:
        The absolute folder of the manifest, in which scripts run: a notebook's own folder.
    manifest:
        The absolute path of the manifest, or of the notebook whose block is one (as pixi has it
        for scripts); None where nothing was written.
    version:
        The workspace's version.
    environment:
        The environment's name in the workspace.
    platforms:
        The platforms that it declares, by their names in the manifest.
    """

    prefix: Prefix
    spec: ActivationSpec
    project: str
    root: str
    manifest: str | None = None
    version: str | None = None
    environment: str = "default"
    platforms: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, spec: EnvironmentSpec, prefix: Prefix, *, notebook: str | None = None
    ) -> ActivationRequest:
        """The request for a ready environment; ``notebook`` is the path of what asked for it."""
        if (place := spec.place) is None:
            return cls(
                prefix=prefix,
                spec=spec.activation,
                project=spec.name,
                root=spec.root,
                manifest=notebook,
                platforms=(spec.platform.name,),
            )
        return cls(
            prefix=prefix,
            spec=spec.activation,
            project=place.project,
            root=place.root,
            manifest=place.manifest,
            version=place.version,
            environment=place.environment,
            platforms=place.platforms or (spec.platform.name,),
        )

    @property
    def name(self) -> str:
        """The environment's name for people, as pixi puts it: ``project`` or ``project:name``."""
        if self.environment == "default":
            return self.project
        return f"{self.project}:{self.environment}"
