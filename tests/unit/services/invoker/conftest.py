"""The workshop as a fixture; it is cleared after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.services.invoker.workshop import Make, Workshop


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Workshop] = []

    def build(**settings: Any) -> Workshop:
        made.append(Workshop(**settings))
        return made[-1]

    yield build
    for workshop in made:
        await workshop.close()


@pytest.fixture
async def shop(make: Make) -> Workshop:
    return make()
