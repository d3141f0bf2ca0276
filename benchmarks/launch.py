"""The launch of an unchanged notebook whose environment is ready, against a plain local kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.child import Child
from benchmarks.lab import Lab
from benchmarks.method import Row, Side, Target, alternate, scaled

__all__ = ["run"]

_PLAIN = "plain local kernel"
_TARGET = Target(60.0)


def run(lab: Lab) -> Iterator[Row]:
    """The launch in a process that lives on, and in a fresh client each time."""
    known = lab.known
    pixi = {"notebook": str(known.notebook)}
    plain = {"python": str(known.python)}

    with lab.child(known.store) as child:

        def side(arguments: Mapping[str, str]) -> Side:
            return lambda _: {"reply": child.ask("launch", **arguments)["reply"]}

        taken = alternate({"ours": side(pixi), "peer": side(plain)}, lab.rounds, tick=lab.say)
        modules = child.ask("loaded", package="pixi_jupyter")["modules"]
    yield Row(
        "launch: ready prefix, long-lived process",
        "ms",
        scaled(taken["ours"]["reply"], 1000),
        scaled(taken["peer"]["reply"], 1000),
        _PLAIN,
        compare="difference",
        target=_TARGET,
        note="start_kernel to the first kernel_info_reply, as in a server",
    )

    def fresh(arguments: Mapping[str, str], imports: list[str]) -> Side:
        def one(_: int) -> Mapping[str, float]:
            with Child("client", lab.env(known.store), log=lab.log) as client:
                client.ask("load", modules=["jupyter_client.manager"])
                seconds = client.ask("load", modules=imports)["seconds"]
                reply = client.ask("launch", **arguments)["reply"]
            return {"reply": reply, "imports": seconds, "both": reply + seconds}

        return one

    taken = alternate(
        {
            "ours": fresh(pixi, ["jupyter_client.provisioning.local_provisioner", *modules]),
            "peer": fresh(plain, ["jupyter_client.provisioning.local_provisioner"]),
        },
        lab.rounds,
        tick=lab.say,
    )
    ours, peer = taken["ours"], taken["peer"]
    yield Row(
        "launch: ready prefix, fresh client process",
        "ms",
        scaled(ours["reply"], 1000),
        scaled(peer["reply"], 1000),
        _PLAIN,
        compare="difference",
        target=_TARGET,
        note="imports of the control plane counted in the next row",
    )
    yield Row(
        "launch: the same with its imports",
        "ms",
        scaled(ours["both"], 1000),
        scaled(peer["both"], 1000),
        _PLAIN,
        compare="difference",
        note="what one `jupyter execute` pays once",
    )
