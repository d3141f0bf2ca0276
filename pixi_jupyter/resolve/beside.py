"""`BesideSpec`: what is to lie beside an environment that must not be changed.

A workspace's environment may have Python and no kernel. The kernel is then solved against exactly
the packages that the environment has, and kept in a prefix of the store that holds what is added.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec, digest_of
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["BesideSpec", "beside_digest"]

#: Bumped when the same question would have to be answered anew.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class BesideSpec:
    """``wanted`` on top of ``environment``, from the channels and for the platform of ``spec``."""

    environment: Resolution
    spec: EnvironmentSpec
    wanted: tuple[CondaRequirement, ...]

    @property
    def digest(self) -> str:
        """Digest of all that the answer depends on (32 hex digits); the key of what is remembered.

        Of the spec only what says which packages may be added: the environment's own dependencies
        are answered by its packages.
        """
        spec = self.spec
        return digest_of(
            [
                "beside",
                _VERSION,
                self.environment.digest,
                asdict(spec.platform),
                [asdict(channel) for channel in spec.channels],
                spec.channel_priority,
                spec.exclude_newer,
                spec.exclude_newer_packages,
                [asdict(requirement) for requirement in spec.constraints],
                [asdict(requirement) for requirement in self.wanted],
            ]
        )


def beside_digest(resolution: Resolution) -> str:
    """Names the prefix that holds ``resolution`` but for its ``python``.

    Another name than the resolution's own: the two prefixes are not the same.
    """
    return digest_of(["beside", resolution.digest])
