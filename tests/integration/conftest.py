"""A broker that asks for passwords, one for all who ask: starting it takes seconds."""

from collections.abc import Iterator

import pytest

from tests.integration.guarded import Guarded, guarded_kafka


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = guarded_kafka(tmp_path_factory.mktemp("guarded"))
    with made.kafka:
        yield made
