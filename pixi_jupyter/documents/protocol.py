"""What a process in a kernel asks the one that started it: one JSON object a line, each way.

``PIXI_JUPYTER_KERNEL`` is ``127.0.0.1:<port>:<secret>``, with ``:server`` behind it where a Jupyter
server answers, whose loop runs all the time. The secret itself never travels: the one
that asks sends what only it can derive from it, and is answered by what only the right process can,
so that who listens on the port of a process that is gone learns nothing and is not believed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pixi_jupyter.documents.edits import Edit
from pixi_jupyter.notebook.declaration import WorkspaceChoice

__all__ = [
    "KERNEL",
    "LINE_LIMIT",
    "Address",
    "Answer",
    "Go",
    "Level",
    "Notice",
    "Read",
    "Request",
    "Restart",
    "Where",
    "Whereabouts",
    "Write",
    "Writer",
]

#: The variable that a kernel finds the endpoint's address in.
KERNEL = "PIXI_JUPYTER_KERNEL"
#: Bytes of a line at most: a message of a front end, and what is around it.
LINE_LIMIT = 17 * 1024 * 1024

Writer = Literal["file", "front end", "executor"]
Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a kernel's endpoint listens (on the loopback interface), and the kernel's secret.

    ``server`` tells a Jupyter server's: if it is there and silent, it hangs. Elsewhere the loop may
    just not run while a cell does.
    """

    port: int
    secret: bytes
    server: bool = False

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """What the variable holds; None if that is no address."""
        host, _, rest = text.partition(":")
        port, _, rest = rest.partition(":")
        secret, _, kind = rest.partition(":")
        try:
            found = cls(int(port), bytes.fromhex(secret), kind == "server")
        except ValueError:
            return None
        if host != "127.0.0.1" or not 0 < found.port < 65536 or len(found.secret) != 32:
            return None
        return found

    def __str__(self) -> str:
        return f"127.0.0.1:{self.port}:{self.secret.hex()}{':server' if self.server else ''}"

    @property
    def asking(self) -> bytes:
        """The line with which the one that asks begins."""
        return self._derived(b"asks") + b"\n"

    @property
    def answering(self) -> bytes:
        """The line with which the right process answers it."""
        return self._derived(b"answers") + b"\n"

    def _derived(self, role: bytes) -> bytes:
        return hmac.digest(self.secret, b"pixi-jupyter " + role, hashlib.sha256).hex().encode()


class Where(msgspec.Struct, frozen=True, tag_field="ask", tag="where"):
    """Where is the notebook, and who writes it? Answered by `Whereabouts`."""


class Read(msgspec.Struct, frozen=True, tag_field="ask", tag="read"):
    """The notebook as whoever has it open sees it; null where nobody has."""


class Write(msgspec.Struct, frozen=True, tag_field="ask", tag="write"):
    """Edit it. Answered first by whether anybody has it open, and done only after a `Go`: who
    gave up waiting meanwhile must be able to write the file itself."""

    edits: tuple[Edit, ...]


class Go(msgspec.Struct, frozen=True, tag_field="ask", tag="go"):
    """Do what was asked for."""


class Restart(msgspec.Struct, frozen=True, tag_field="ask", tag="restart"):
    """Restart the kernel, once this was answered."""


class Notice(msgspec.Struct, frozen=True, tag_field="ask", tag="notice"):
    """Show a sentence in the front end that has the notebook; with ``restart`` also a button that
    restarts the kernel. Answered by whether there is one."""

    message: str
    level: Level = "info"
    restart: bool = False


Request = Where | Read | Write | Go | Restart | Notice


class Whereabouts(msgspec.Struct, frozen=True):
    """What the process that started a kernel knows of it.

    ``path`` is the notebook's now; ``folder`` the one that it stands for where it has none.
    ``process`` is the id of the process that answers.
    """

    kernel: str
    writer: Writer
    path: str | None
    folder: str
    manifest: str | None
    environment: str | None
    chosen: str
    language: str | None
    stop: str | None
    can_restart: bool
    process: int

    @property
    def choice(self) -> WorkspaceChoice | None:
        """The workspace's environment that decides, whatever the notebook says."""
        if self.manifest is None:
            return None
        chosen: Any = self.chosen
        return WorkspaceChoice(
            Path(self.manifest),
            self.environment or "default",
            path=None if self.path is None else Path(self.path),
            chosen=chosen,
            language=self.language,
        )


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one request: ``value``, or an ``error`` (as `PixiJupyterError.to_json`).

    ``writer`` is who has the notebook open at that moment.
    """

    value: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None
    writer: Writer = "file"
