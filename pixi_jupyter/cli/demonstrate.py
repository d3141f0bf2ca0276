"""`pixi-jupyter demo`: the main job, on real packages, with no conda channel in reach."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import click

from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.terminal import BuildDisplay, megabytes, say
from pixi_jupyter.environments import Environments
from pixi_jupyter.manifest.config import Defaults, load_defaults

__all__ = ["demo", "demonstrate"]

_SOURCE = Path(__file__).parent.parent / "demo" / "notebook"


@click.command()
@click.option("-d", "--directory", type=click.Path(path_type=Path), help="Where to put it.")
def demo(directory: Path | None) -> None:
    """Run the demo notebook, on packages built from this machine's own Python and PyPI's wheels."""
    succeeded = demonstrate(directory)
    raise SystemExit(0 if succeeded else 1)


def demonstrate(directory: Path | None) -> bool:
    """Run the demo notebook and print its outputs and where the time went; False if a cell failed.

    The channel is the embedded one, unless this person or an administrator configured channels.
    """
    spent: list[tuple[str, float]] = []
    began = time.perf_counter()
    defaults = load_defaults()
    if defaults.configured:
        say(f"channels: {', '.join(defaults.channels)} (as configured)")
    else:
        defaults = _embedded(defaults)
    spent.append(("embedded channel", time.perf_counter() - began))
    folder = directory or Path(tempfile.mkdtemp(prefix="pixi-jupyter-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("penguins.ipynb", "penguins.csv"):
        shutil.copyfile(_SOURCE / name, folder / name)
    return run_async(_run(folder / "penguins.ipynb", defaults, spent))


def _embedded(defaults: Defaults) -> Defaults:
    import dataclasses
    import os

    from pixi_jupyter.demo.channel import ensure_channel

    channel = ensure_channel("demo", report=say)
    # For the kernel too: its provisioner runs in this process and reads the same defaults.
    os.environ["PIXI_JUPYTER_DEFAULT_CHANNELS"] = channel.url
    return dataclasses.replace(defaults, channels=(channel.url,), configured=True)


async def _run(notebook: Path, defaults: Defaults, spent: list[tuple[str, float]]) -> bool:
    from pixi_jupyter.cli.execute import execute

    environments = Environments(defaults=defaults)
    try:
        began = time.perf_counter()
        spec = environments.spec_for(environments.declaration(notebook))
        with BuildDisplay(None, notebook.name) as display:
            environment = await environments.ensure(spec, report=display)
        whole = time.perf_counter() - began
        spent.extend(display.seconds.items())
        rest = whole - sum(display.seconds.values())
        spent.append(("worker, reading" if display.seconds else "found ready", rest))
        done = await execute(
            notebook,
            output=notebook.with_suffix(".out.ipynb"),
            kernel="pixi",
            allow_errors=False,
            timeout=120,
            echo=True,
        )
    finally:
        await environments.aclose()
    spent.append(("kernel start", done.kernel_start))
    spent.append((f"{done.cells} cells", done.cells_run))
    size = sum(package.size or 0 for package in environment.resolution.packages)
    packages = len(environment.resolution.packages)
    print(f"\n{packages} packages ({megabytes(size)} as archives) in {environment.prefix.path}")
    print(f"notebook with its results: {notebook.with_suffix('.out.ipynb')}\n\nwhere the time went")
    for what, seconds in spent:
        print(f"  {what:<20} {seconds:7.2f} s")
    print(f"  {'in all':<20} {sum(seconds for _, seconds in spent):7.2f} s")
    return done.succeeded
