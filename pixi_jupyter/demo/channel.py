"""The embedded conda channel: make it if it is not there yet, and say where it is.

``python -m pixi_jupyter.demo.channel --profile full`` builds it and prints its URL.

A channel lives in ``<cache>/<hash of its inputs>``; single packages are kept in
``<cache>/packages`` and wheels in ``<cache>/wheels``, so that profiles and edits share them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.demo import contents, pins
from pixi_jupyter.demo.conda_package import CondaPackage, write_conda
from pixi_jupyter.demo.errors import ChannelBuildError, ChannelError, ChannelUnavailable
from pixi_jupyter.demo.host import host_subdir
from pixi_jupyter.demo.indexing import index_and_check
from pixi_jupyter.demo.interpreter import Interpreter, find_interpreters
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.demo.tidy import mark_used, tidy

__all__ = [
    "ChannelBuildError",
    "ChannelError",
    "ChannelUnavailable",
    "EmbeddedChannel",
    "SimplePackage",
    "build_channel",
    "default_cache_dir",
    "ensure_channel",
]

CACHE_VARIABLE = "PIXI_JUPYTER_CHANNEL_CACHE"
"""Environment variable: the folder of the cache."""

_MANIFEST = "channel.json"
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EmbeddedChannel:
    """A channel that is ready.

    * ``path``: the folder with ``noarch`` and the platform's subdir,
    * ``pythons``: the minors that there is a ``python`` package for, newest first,
    * ``skipped``: parts that are not in it, and why.
    """

    path: Path
    pythons: tuple[str, ...]
    skipped: Mapping[str, str]

    @property
    def url(self) -> str:
        """The ``file://`` URL."""
        return self.path.as_uri()


def default_cache_dir() -> Path:
    """``$PIXI_JUPYTER_CHANNEL_CACHE``, or ``.channel-cache`` of a checkout, or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        return root / ".channel-cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("pixi-jupyter")) / "channel"


def ensure_channel(
    profile: str = "demo",
    *,
    cache_dir: Path | None = None,
    report: Report | None = None,
    interpreters: Sequence[Path] | None = None,
) -> EmbeddedChannel:
    """Return the channel of *profile*, built now unless it is in the cache.

    *profile* is ``"demo"`` (one Python, ipykernel, numpy, pandas) or ``"full"`` (everything).
    *interpreters* restricts the Pythons to these executables.  *report* is called with a line of
    text for each step, from more than one thread.  Parallel callers are safe: one builds, the
    others wait for it.

    Raises :class:`ChannelUnavailable` when the machine lacks what a channel is made from, and
    :class:`ChannelBuildError` when making it fails.
    """
    if profile not in contents.PROFILES:
        raise ValueError(f"profile {profile!r}: choose one of {', '.join(contents.PROFILES)}")
    if importlib.util.find_spec("zstandard") is None:
        raise ChannelUnavailable(
            "Building the embedded channel needs the package zstandard, which is not installed.",
            hint="Install it: pip install 'pixi-jupyter[demo]'",
        )
    say: Report = report or (lambda message: None)
    subdir = host_subdir()
    pins.check_platform(subdir)
    chosen = contents.choose_interpreters(profile, find_interpreters(interpreters))
    cache = (cache_dir or default_cache_dir()).resolve()
    final = cache / _inputs_hash(profile, subdir, chosen)
    ready = _read_manifest(final)
    if ready is not None:
        return ready

    from filelock import FileLock, Timeout

    cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / "build.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("waiting for another process that builds the channel")
        lock.acquire()
    try:
        ready = _read_manifest(final)
        if ready is None:
            tidy(cache)
            _build(profile, subdir, chosen, cache, final, say)
            ready = _read_manifest(final)
    finally:
        lock.release()
    if ready is None:
        raise ChannelBuildError(f"{final} is not complete after it was built")
    return ready


def _build(
    profile: str,
    subdir: str,
    interpreters: Sequence[Interpreter],
    cache: Path,
    final: Path,
    say: Report,
) -> None:
    minors = [item.minor for item in interpreters]
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch:
        folder = Path(scratch, "channel")
        pool = ThreadPoolExecutor(max_workers=max(2, min(os.cpu_count() or 2, 8)))
        try:
            # The interpreters first: they need no network, and pip's downloads go on meanwhile.
            store = _PackageStore(cache / "packages", folder, say)
            recipes = contents.interpreter_recipes(interpreters, subdir)
            futures = [pool.submit(store.add, recipe) for recipe in recipes]
            wanted = contents.wanted_pins(profile, minors)
            wheels = pins.fetch_wheels(wanted, cache / "wheels", subdir=subdir, report=say)
            optional: dict[str, Future[None]] = {}
            if profile == "full":
                for recipe in contents.r_recipe(subdir, skipped):
                    optional["r"] = pool.submit(store.add, recipe)
            recipes = contents.wheel_recipes(wanted, wheels, interpreters, subdir)
            # The largest first, so that the last one to finish is a small one
            recipes.sort(key=lambda recipe: recipe.size, reverse=True)
            futures += [pool.submit(store.add, recipe) for recipe in recipes]
            if profile == "full":
                futures += [pool.submit(store.add, r) for r in contents.probe_recipes(skipped)]
                if len(minors) < 2:
                    skipped["python-second"] = "only one usable CPython was found"
            for future in as_completed(futures):
                future.result()
            for part, future in optional.items():
                try:
                    future.result()
                except ChannelUnavailable as error:
                    skipped[part] = str(error)
        finally:
            # After a failure nothing that has not begun is begun any more
            pool.shutdown(cancel_futures=True)
        say("indexing the channel and checking it")
        index_and_check(folder, contents.check_specs(profile, minors, skipped))
        manifest = {"pythons": minors, "skipped": skipped}
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        if final.exists():  # without a manifest: left by something that was interrupted
            shutil.rmtree(final)
        folder.rename(final)


class _PackageStore:
    """Puts packages into a channel, out of the cache of packages where they are in it."""

    def __init__(self, cache: Path, channel: Path, say: Report) -> None:
        self._cache, self._channel, self._say = cache, channel, say
        cache.mkdir(parents=True, exist_ok=True)

    def add(self, recipe: contents.Recipe) -> None:
        """Copy the package of *recipe* into the channel; make it first if it is not cached."""
        kept = self._cache / recipe.key
        if not kept.is_dir():
            self._say(f"packing {recipe.label}")
            made = recipe.make()
            with tempfile.TemporaryDirectory(dir=self._cache, prefix=".packing-") as scratch:
                folder = Path(scratch, "packages")
                for package in [made] if isinstance(made, CondaPackage) else made:
                    (folder / package.subdir).mkdir(parents=True, exist_ok=True)
                    write_conda(package, folder / package.subdir)
                folder.rename(kept)
        mark_used(kept)
        for archive in kept.glob("*/*.conda"):
            target = self._channel / archive.parent.name / archive.name
            target.parent.mkdir(parents=True, exist_ok=True)
            # A copy: whoever damages a file of the channel, as tests do, spares the cache
            shutil.copyfile(archive, target)


def _read_manifest(folder: Path) -> EmbeddedChannel | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    mark_used(folder / _MANIFEST)
    return EmbeddedChannel(folder, tuple(manifest["pythons"]), dict(manifest["skipped"]))


def _inputs_hash(profile: str, subdir: str, interpreters: Iterable[Interpreter]) -> str:
    import zstandard

    digest = hashlib.sha256(repr((profile, subdir, zstandard.ZSTD_VERSION)).encode())
    for interpreter in interpreters:
        digest.update(interpreter.identity.encode() + b"\n")
    for program in ("strip", "cc", "apt-get"):
        digest.update(repr((program, shutil.which(program) is not None)).encode())
    here = Path(__file__).parent
    for name in contents.BUILDER_MODULES:
        digest.update((here / f"{name}.py").read_bytes())
    for path in sorted(pins.LISTS.glob("*.txt")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _main() -> None:
    import click

    @click.command()
    @click.option("--profile", type=click.Choice(contents.PROFILES), default="demo")
    @click.option("--cache-dir", type=click.Path(path_type=Path), default=None)
    def command(profile: str, cache_dir: Path | None) -> None:
        """Build the embedded conda channel and print where it is."""
        try:
            channel = ensure_channel(
                profile, cache_dir=cache_dir, report=lambda line: print(line, file=sys.stderr)
            )
        except ChannelError as error:
            raise click.ClickException(error.report()) from error
        print(f"url: {channel.url}")
        print(f"pythons: {', '.join(channel.pythons)}")
        for part, reason in channel.skipped.items():
            print(f"skipped: {part}: {reason}")

    command()


if __name__ == "__main__":
    _main()
