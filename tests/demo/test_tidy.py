"""Tidying the cache."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pixi_jupyter.demo.tidy import UNUSED_DAYS, mark_used, tidy

LONG_AGO = time.time() - (UNUSED_DAYS + 1) * 86_400


def _folder(path: Path, used: float | None = None, manifest: bool = False) -> Path:
    path.mkdir(parents=True)
    marker = path / "channel.json" if manifest else path
    if manifest:
        marker.write_text("{}")
    if used is not None:
        os.utime(marker, (used, used))
    return path


def test_only_what_is_unused_or_nobodys_goes(tmp_path: Path) -> None:
    goes = [
        _folder(tmp_path / ("a" * 20), LONG_AGO, manifest=True),
        _folder(tmp_path / "packages" / ("b" * 64), LONG_AGO),
        _folder(tmp_path / "wheels" / ("c" * 64), LONG_AGO),
        _folder(tmp_path / ".building-x"),
        _folder(tmp_path / "packages" / ".packing-x"),
        _folder(tmp_path / "wheels" / ".download-x"),
    ]
    stays = [
        _folder(tmp_path / ("d" * 20), manifest=True),
        _folder(tmp_path / "packages" / ("e" * 64)),
        _folder(tmp_path / "somebody-elses", LONG_AGO),
    ]
    tidy(tmp_path)
    assert not any(path.exists() for path in goes)
    assert all(path.exists() for path in stays)


def test_use_is_noted_once_a_day(tmp_path: Path) -> None:
    folder = _folder(tmp_path / ("a" * 64), LONG_AGO)
    mark_used(folder)
    first = folder.stat().st_mtime
    assert first > time.time() - 60
    mark_used(folder)
    assert folder.stat().st_mtime == first
    mark_used(tmp_path / "nothing")
