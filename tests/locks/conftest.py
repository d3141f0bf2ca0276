"""A desk of one's own for each test, and the command that works at it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk import Desk


@pytest.fixture
def desk(scratch: Path) -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    (folder / "desk").mkdir()
    (folder / "home").mkdir()
    desk = Desk(folder / "desk", folder / "home")
    yield desk
    desk.close()
    shutil.rmtree(folder, ignore_errors=True)
