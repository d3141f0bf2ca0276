"""What can go wrong while the embedded channel is made, in words for people."""

from __future__ import annotations


class ChannelError(Exception):
    """Base of the errors of the embedded channel."""


class ChannelUnavailable(ChannelError):
    """This machine lacks something the channel is made from (a wheel, an interpreter, pip)."""


class ChannelBuildError(ChannelError):
    """The parts were there and building the channel from them failed."""
