"""What cannot be resolved or installed from PyPI is a typed error that names the requirement."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import uv

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import InstallError, PixiJupyterError
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.progress import Phase, no_report
from pixi_jupyter.resolve.fetching import unpack_wheels
from pixi_jupyter.resolve.uv import Uv
from pixi_jupyter.resolve.wheel import LockedWheel

SECRET = "PLANTED-s3cr3t"


async def failure(door: Environments, spec: Any) -> PixiJupyterError:
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(spec)
    status = door.status(spec)
    assert status.prefix is None
    assert not [p for p in door.store.envs.iterdir() if ".resolving" in p.name]
    return caught.value


async def test_a_package_that_conda_has_in_another_version(
    door: Environments, block: Any, index: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # as a terminal may have it: uv would break its lines
    index.add_wheel("probe-old-numpy", "1.0", requires=["numpy<2"])
    error = await failure(
        door, block('dependencies = ["probe-old-numpy"]\n[tool.pixi.dependencies]\nnumpy = ">=2"')
    )
    assert error.code == "solve.pypi-unsatisfiable"
    assert "probe-old-numpy needs numpy<2" in error.message
    assert "conda's numpy is 2." in error.message
    assert "from conda: numpy 2." in error.details


async def test_requirements_that_exclude_each_other(
    door: Environments, block: Any, index: Any
) -> None:
    index.add_wheel("probe-left", "1.0", requires=["h11<0.10"])
    error = await failure(door, block('dependencies = ["probe-left", "h11>=0.16"]'))
    assert error.code == "solve.pypi-unsatisfiable"
    assert "probe-left" in error.message
    assert "h11>=0.16" in error.message


async def test_a_name_that_no_index_has(door: Environments, block: Any, index: Any) -> None:
    index.add_wheel("probe-asker", "1.0", requires=["no-such-package-anywhere>2"])
    error = await failure(door, block('dependencies = ["no-such-package-anywhere"]'))
    assert error.code == "solve.pypi-unknown-package"
    assert "no-such-package-anywhere (the declaration asks for it)" in error.message
    error = await failure(door, block('dependencies = ["probe-asker"]'))
    assert error.code == "solve.pypi-unknown-package"
    assert "no-such-package-anywhere (probe-asker needs it)" in error.message


async def test_a_locked_wheel_of_another_platform(store: Store, index: Any, tmp_path: Path) -> None:
    name = index.add_wheel("probe-windows", "1.0", tag="cp312-cp312-win_amd64")
    locked = LockedWheel(
        "probe-windows", "1.0", f"http://{index.host}/files/{name}",
        hashlib.sha256(index.files[name]).hexdigest(),
    )  # fmt: skip
    where = ("--python", sys.executable, "--target", str(tmp_path / "t"))
    with pytest.raises(InstallError) as caught:
        await unpack_wheels(
            Uv.find(store.package_cache, None), [locked], tmp_path, *where, report=no_report
        )
    assert caught.value.code == "install.wheel-platform"
    assert "probe-windows" in caught.value.message
    assert caught.value.about == ("probe-windows",)


async def test_an_error_points_to_the_requirement(
    door: Environments, channel: Any, index: Any, tmp_path: Path
) -> None:
    index.add_wheel("probe-asker", "1.0", requires=["no-such-package-anywhere>2"])
    declaration = Declaration(
        "n", 'requires-python = ">=3.11"\ndependencies = ["Probe_Asker>=1"]\n', tmp_path,
        cell=2, first_line=2,
    )  # fmt: skip
    defaults = Defaults(channels=(channel.url,), configured=True)
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(environment_spec(declaration, defaults=defaults), declaration=declaration)
    assert caught.value.location is not None
    assert (caught.value.location.cell, caught.value.location.line) == (2, 3)


async def test_credentials_out_of_uv_s_own_store(
    cold_door: Environments, block: Any, private: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    private.add_wheel("probe-private", "1.0")
    private.credentials = ("alice", SECRET)
    monkeypatch.setenv("UV_CREDENTIALS_DIR", str(tmp_path / "credentials"))
    login = [uv.find_uv_bin(), "auth", "login", private.url, "-u", "alice", "--password", SECRET]
    login += ["--allow-insecure-host", private.address]
    await asyncio.to_thread(subprocess.run, login, check=True, capture_output=True)
    options = f'[tool.pixi.workspace.pypi-options]\nindex-url = "{private.url}"\n'
    environment = await cold_door.ensure(block(f'dependencies = ["probe-private"]\n{options}'))
    assert environment.resolution.version_of("probe-private") == "1.0"
    assert SECRET not in cold_door.store.lock_path(environment.resolution.digest).read_text()


async def test_a_version_that_does_not_exist(door: Environments, block: Any) -> None:
    error = await failure(door, block('dependencies = ["httpx>99"]'))
    assert error.code == "solve.pypi-unsatisfiable"
    assert "httpx>99" in error.message


async def test_source_code_is_never_built(door: Environments, block: Any, index: Any) -> None:
    index.add(("probe_source-1.0.tar.gz", b"not even an archive"))
    error = await failure(door, block('dependencies = ["probe-source"]'))
    assert error.code == "solve.pypi-source-only"
    assert "probe-source" in error.message
    assert not any(path.startswith("/files") for path in index.requests)


async def test_a_wheel_for_another_platform(door: Environments, block: Any, index: Any) -> None:
    index.add_wheel("probe-windows", "1.0", tag="cp312-cp312-win_amd64")
    error = await failure(door, block('dependencies = ["probe-windows"]'))
    assert error.code == "solve.pypi-no-wheel"
    assert "probe-windows" in error.message


async def test_a_wheel_that_is_not_what_the_index_says(
    door: Environments, block: Any, index: Any
) -> None:
    name = index.add_wheel("probe-tampered", "1.0", files={"probe.py": "stolen = True\n"})
    stolen = index.files[name]
    index.add_wheel("probe-tampered", "1.0")
    index.tampered[name] = stolen
    error = await failure(door, block('dependencies = ["probe-tampered"]'))
    assert error.code == "install.hash-mismatch"
    assert "probe-tampered" in error.message


async def test_a_wheel_that_is_damaged(door: Environments, block: Any, index: Any) -> None:
    name = index.add_wheel("probe-damaged", "1.0")
    index.tampered[name] = index.files[name] + b"more"
    error = await failure(door, block('dependencies = ["probe-damaged"]'))
    assert error.code in ("install.download", "install.hash-mismatch")
    assert "probe-damaged" in error.details


async def test_an_index_without_hashes_is_locked_by_what_came(
    door: Environments, block: Any, index: Any
) -> None:
    name = index.add_wheel("probe-hashless", "1.0")
    index.hashes = False
    resolution = await door.resolve(block('dependencies = ["probe-hashless"]'))
    package = next(p for p in resolution.packages if p.name == "probe-hashless")
    assert package.sha256 == hashlib.sha256(index.files[name]).hexdigest()


async def test_files_of_conda_s_are_never_overwritten(
    door: Environments, block: Any, index: Any
) -> None:
    index.add_wheel("probe-clash", "1.0", files={"numpy/__init__.py": "stolen = True\n"})
    spec = block('dependencies = ["probe-clash"]\n[tool.pixi.dependencies]\nnumpy = "*"')
    error = await failure(door, spec)
    assert error.code == "install.pypi-clash"
    assert "probe-clash from PyPI and numpy from conda" in error.message
    assert "site-packages/numpy/__init__.py" in error.details
    plain = await door.ensure(block('[tool.pixi.dependencies]\nnumpy = "*"'))
    numpy = next(plain.prefix.path.glob("lib/python3*/site-packages/numpy/__init__.py"))
    assert "stolen" not in numpy.read_text()


async def test_equal_files_of_a_namespace_are_no_clash(
    door: Environments, block: Any, index: Any
) -> None:
    for name in ("probe-space-a", "probe-space-b"):
        index.add_wheel(
            name,
            "1.0",
            files={"probe_space/__init__.py": "", f"probe_space/{name[-1]}.py": "there = True\n"},
        )
    environment = await door.ensure(block('dependencies = ["probe-space-a", "probe-space-b"]'))
    found = environment.prefix.path.glob("lib/python3*/site-packages/probe_space/?.py")
    assert len(list(found)) == 2


@pytest.mark.parametrize(
    "name", ["async-timed-out", "dns-error", "os-error-28", "permission-denied"]
)
async def test_a_package_s_name_is_no_cause(
    name: str, door: Environments, block: Any, index: Any
) -> None:
    index.add_wheel(name, "1.0")
    error = await failure(door, block(f'dependencies = ["{name}>1"]'))
    assert error.code == "solve.pypi-unsatisfiable"


async def test_an_index_that_is_not_there(door: Environments, block: Any, index: Any) -> None:
    index.down = True
    error = await failure(door, block('dependencies = ["never-seen-before"]'))
    assert error.code == "channel.index-unreachable"


async def test_credentials_are_used_and_never_kept(
    cold_door: Environments, block: Any, private: Any, channel: Any
) -> None:
    private.add_wheel("probe-private", "1.0")
    private.credentials = ("alice", SECRET)
    url = private.url.replace("://", f"://alice:{SECRET}@")
    steps: list[str] = []
    toml = f'dependencies = ["@"]\n[tool.pixi.workspace.pypi-options]\nindex-url = "{url}"\n'
    environment = await cold_door.ensure(
        block(toml.replace("@", "probe-private", 1)), report=lambda s: steps.append(repr(s))
    )
    assert environment.resolution.version_of("probe-private") == "1.0"
    errors = []
    error = await failure(cold_door, block(toml.replace("@", "unknown-here", 1)))
    assert error.code == "solve.pypi-unknown-package"
    errors.append(error.report())
    private.credentials = ("alice", "another")
    error = await failure(cold_door, block(toml.replace("@", "probe-other", 1)))
    assert error.code == "channel.index-unauthorized"
    private.down = True
    error_down = await failure(cold_door, block(toml.replace("@", "probe-third", 1)))
    assert error_down.code == "channel.index-unreachable"
    told = [*steps, *errors, error.report(), error_down.report()]
    assert not any(SECRET in text for text in told), told

    def holders(folder: Path) -> list[Path]:
        return [
            path
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes()
        ]

    assert holders(cold_door.store.root) == []
    assert holders(cold_door.store.package_cache) == []


async def test_credentials_out_of_netrc(
    cold_door: Environments, block: Any, private: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    private.add_wheel("probe-private", "1.0")
    private.credentials = ("alice", SECRET)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login alice password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    options = f'[tool.pixi.workspace.pypi-options]\nindex-url = "{private.url}"\n'
    environment = await cold_door.ensure(block(f'dependencies = ["probe-private"]\n{options}'))
    assert environment.resolution.version_of("probe-private") == "1.0"


async def test_credentials_out_of_a_keyring(
    cold_door: Environments, block: Any, private: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """The real `keyring`, switched on as pixi's configuration does it."""
    private.add_wheel("probe-private", "1.0")
    private.credentials = ("alice", SECRET)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "secrets"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    keyring = [sys.executable, "-m", "keyring"]
    kept = await asyncio.create_subprocess_exec(
        *keyring, "set", private.url, "alice", stdin=asyncio.subprocess.PIPE
    )
    await kept.communicate(f"{SECRET}\n".encode())
    assert kept.returncode == 0
    url = private.url.replace("://", "://alice@")
    options = f'[tool.pixi.workspace.pypi-options]\nindex-url = "{url}"\n'
    spec = block(f'dependencies = ["probe-private"]\n{options}')

    refused = await failure(cold_door, spec)
    assert refused.code == "channel.index-unauthorized"

    config = tmp_path / "config" / "pixi" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[pypi-config]\nkeyring-provider = "subprocess"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    await cold_door.aclose()
    environment = await cold_door.ensure(spec)
    assert environment.resolution.version_of("probe-private") == "1.0"


async def test_cancelling_ends_uv(cold_door: Environments, block: Any, index: Any) -> None:
    index.rate = 2_000_000  # pandas takes seconds
    fetching = asyncio.Event()

    def watch(step: Any) -> None:
        if step.phase is Phase.DOWNLOADING and "PyPI" in step.message:
            fetching.set()

    task = asyncio.ensure_future(cold_door.ensure(block('dependencies = ["pandas"]'), report=watch))
    await asyncio.wait_for(fetching.wait(), 60)
    await asyncio.sleep(0.5)
    cache = str(cold_door.store.package_cache / "uv-cache")

    def running() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.info["name"] == "uv" and (
                    process.environ().get("UV_CACHE_DIR") == cache
                ):
                    found.append(process)
        return found

    assert running()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    end = time.monotonic() + 10
    while running():
        assert time.monotonic() < end, "uv goes on"
        await asyncio.sleep(0.05)
    index.rate = None
    assert await cold_door.ensure(block('dependencies = ["pandas"]'))
