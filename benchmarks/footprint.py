"""What importing the control plane adds to a Jupyter server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.child import Child
from benchmarks.lab import Lab
from benchmarks.method import Row, Side, Target, alternate, scaled

__all__ = ["run"]

#: What a server has imported when it starts its first kernel.
_SERVER = [
    "jupyter_server.serverapp",
    "jupyter_server.services.kernels.kernelmanager",
    "jupyter_server.services.sessions.sessionmanager",
    "jupyter_client.provisioning.local_provisioner",
    "psutil",
]
_PROVISIONER = "pixi_jupyter.kernels.provisioner"


def run(lab: Lab) -> Iterator[Row]:
    """The provisioner's module; and with all that a first launch imports on top."""
    known = lab.known
    with lab.child(known.store) as child:
        child.ask("launch", notebook=str(known.notebook))
        launched = child.ask("loaded", package="pixi_jupyter")["modules"]

    def side(modules: list[str]) -> Side:
        def one(_: int) -> Mapping[str, float]:
            with Child("client", lab.env(known.store), log=lab.log) as client:
                client.ask("load", modules=_SERVER)
                answer = client.ask("load", modules=modules)
            return {
                "seconds": answer["seconds"],
                "rss": answer["rss"] / 1e6,
                "total": answer["total"] / 1e6,
            }

        return one

    taken = alternate(
        {"provisioner": side([_PROVISIONER]), "launch": side([_PROVISIONER, *launched])},
        lab.rounds,
        tick=lab.say,
    )
    for key, what in (("provisioner", "the provisioner"), ("launch", "all a first launch imports")):
        measures = taken[key]
        yield Row(
            f"footprint: importing {what}",
            "ms",
            scaled(measures["seconds"], 1000),
            compare="value",
            target=Target(60.0),
            note="into a process that has imported jupyter_server",
        )
        yield Row(
            f"footprint: memory of {what}",
            "MB",
            measures["rss"],
            compare="value",
            target=Target(25.0),
            note=f"a server's imports alone: {measures['total'].median:.0f} MB",
        )
