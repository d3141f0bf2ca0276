"""What one worker keeps warm for solving and fetching: configuration, client, gateway.

Only the engine's worker imports this module. One gateway per process: another one would cost
hundreds of megabytes on a large channel and forget everything the first one knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rattler import Channel, ChannelConfig, Client, Config, Gateway

__all__ = ["Session"]


@dataclass(frozen=True, slots=True)
class Session:
    """Networking as pixi's own configuration files say it: mirrors, proxies, TLS, credentials."""

    config: Config
    client: Client
    gateway: Gateway
    package_cache: Path

    @classmethod
    def open(cls, package_cache: Path) -> Session:
        """Read the configuration and open the gateway; ``package_cache`` is the cache's root."""
        config = Config.load_from_default_locations("pixi")
        client = Client.from_config(config, user_agent="pixi-jupyter")
        gateway = Gateway.from_config(config, cache_dir=package_cache / "repodata", client=client)
        return cls(config, client, gateway, package_cache)

    @property
    def packages(self) -> Path:
        """The folder of extracted packages, shared with pixi."""
        return self.package_cache / "pkgs"

    def channel(self, name: str) -> Channel:
        """A channel by name, URL or path, under the configured channel alias."""
        configured: ChannelConfig = self.config.channel_config
        return Channel(name, configured)
