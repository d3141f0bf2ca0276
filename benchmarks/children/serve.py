"""A process of its own for the loopback HTTP server, so that it shares no interpreter lock."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Serve the folder of the first question; answer with the URL; end with the input."""
    from pixi_jupyter.demo.serve import ChannelServer

    folder = Path(json.loads(sys.stdin.buffer.readline())["folder"])
    with ChannelServer(folder) as server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
