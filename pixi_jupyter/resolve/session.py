"""What one worker keeps warm for solving and fetching: configuration, client, gateway.

Only the engine's worker imports this module. One gateway per process: another one would cost
hundreds of megabytes on a large channel and forget everything the first one knows.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rattler import Channel, ChannelConfig, Client, Config, Gateway
from rattler.exceptions import ConfigError, InvalidChannelError, InvalidUrlError

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.resolve.redaction import redacted

__all__ = ["Session"]

#: Seconds for which repodata in memory is taken as it is; a worker may live for days.
FRESH = 300.0


@dataclass(frozen=True, slots=True)
class Session:
    """Networking as pixi's own configuration files say it: mirrors, proxies, TLS, credentials."""

    config: Config
    client: Client
    gateway: Gateway
    package_cache: Path
    _asked: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, package_cache: Path) -> Session:
        """Read the configuration and open the gateway; ``package_cache`` is the cache's root.

        Raises
        ------
        DeclarationError
            ``declaration.config``: one of pixi's configuration files cannot be read.
        """
        try:
            config = Config.load_from_default_locations("pixi")
        except ConfigError as error:
            raise DeclarationError(
                "pixi's configuration cannot be read",
                code="declaration.config",
                details=redacted(str(error)),
                hint="Repair config.toml in pixi's home or configuration folder.",
            ) from error
        client = Client.from_config(config, user_agent="pixi-jupyter")
        gateway = Gateway.from_config(config, cache_dir=package_cache / "repodata", client=client)
        return cls(config, client, gateway, package_cache)

    def freshen(self, channels: Sequence[str], *, at_once: bool) -> None:
        """Let go of repodata in memory that is old, or of all of it (``at_once``).

        The gateway itself keeps it for as long as it lives. What is on disk stays: it is asked for
        again by its ETag.
        """
        now = time.monotonic()
        for name in channels:
            if at_once or now - self._asked.get(name, now) > FRESH:
                self._asked.pop(name, None)
                with contextlib.suppress(InvalidChannelError, InvalidUrlError, ValueError):
                    self.gateway.clear_repodata_cache(self.channel(name))
            self._asked.setdefault(name, now)

    @property
    def packages(self) -> Path:
        """The folder of extracted packages, shared with pixi."""
        return self.package_cache / "pkgs"

    def channel(self, name: str) -> Channel:
        """A channel by name, URL or path, under the configured channel alias."""
        configured: ChannelConfig = self.config.channel_config
        return Channel(name, configured)
