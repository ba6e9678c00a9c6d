from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from tests.api.world import World, make_world


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged, as entries."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = make_world()
    async with made.client:
        yield made
    await made.app.state.context.watch.close()
    await made.log.close()
