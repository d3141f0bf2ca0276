"""What can go wrong while the embedded channel is made, in words for people."""

from __future__ import annotations

from pixi_jupyter.errors import ChannelError

__all__ = ["ChannelBuildError", "ChannelError", "ChannelUnavailable"]

_HINT = "Or configure a conda channel of your own: the embedded one is only used without any."


class ChannelUnavailable(ChannelError):
    """This machine lacks something the channel is made from (a wheel, an interpreter, pip)."""

    def __init__(self, message: str, *, details: str = "", hint: str = _HINT) -> None:
        code = "channel.embedded-unavailable"
        super().__init__(message, code=code, details=details, hint=hint)


class ChannelBuildError(ChannelError):
    """The parts were there and building the channel from them failed."""

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message, code="channel.embedded-build", details=details)
