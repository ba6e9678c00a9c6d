from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.e2e.house import House, open_house


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged in this process, as entries."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A running engine on a fresh file, and a receiver that it may call."""
    async with open_house(tmp_path / "data") as opened:
        yield opened
