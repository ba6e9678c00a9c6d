"""What the tests of the trigger share."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.services.trigger.lookout import Lookout


@pytest.fixture
async def lookout() -> AsyncIterator[Lookout]:
    made = Lookout()
    yield made
    await made.evaluator.port.close()
