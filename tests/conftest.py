"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, weights and golden values that LCFCN_SHARED names."""
    folder = os.environ.get("LCFCN_SHARED")
    if not folder:
        pytest.skip("needs the folder of real data: set LCFCN_SHARED to it")
    assert Path(folder).is_dir(), f"LCFCN_SHARED names {folder}, which is no folder"
    return Path(folder)


@pytest.fixture
def hang_up_counts():
    """SIGHUP is not ignored, as it would be where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
