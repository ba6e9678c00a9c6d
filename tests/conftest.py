"""The session's Kafka and MongoDB: real ones, started when a test first asks. A test whose server is missing fails."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tools.servers import ServerError, source
from tools.servers.shared import SharedServers

SHARED = pytest.StashKey[SharedServers]()
EXIT_STATUS = pytest.StashKey[int]()
INTEGRATION = Path(__file__).parent / "integration"
SUCCESS = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of pytest-xdist's processes, not the one that leads the session."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if is_worker(config):
        told = getattr(config, "workerinput")["servers"]  # noqa: B009 - only pytest-xdist's processes have it
        config.stash[SHARED] = SharedServers(Path(told["directory"]), told["owner"])
    else:
        name = f"headrace-test-servers-{os.getpid()}-{secrets.token_hex(4)}"
        config.stash[SHARED] = SharedServers(Path(tempfile.gettempdir()) / name, os.getpid())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    servers = node.config.stash[SHARED]
    node.workerinput["servers"] = {"directory": str(servers.directory), "owner": servers.owner}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start servers of their own take turns on one worker: two houses at once starve a small machine."""
    for item in items:
        if INTEGRATION in item.path.parents and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("servers"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    servers = config.stash[SHARED]
    if exitstatus not in SUCCESS and servers.directory.exists():
        terminalreporter.write_line(f"What Kafka and MongoDB said is kept in {servers.directory}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = exitstatus


def pytest_unconfigure(config: pytest.Config) -> None:
    if is_worker(config):
        return
    servers = config.stash[SHARED]
    servers.stop()
    if config.stash.get(EXIT_STATUS, pytest.ExitCode.OK) in SUCCESS:
        servers.remove_logs()


def address_of(kind: source.Kind, config: pytest.Config) -> str:
    """Where the session's server is; the test fails when there is none."""
    try:
        return config.stash[SHARED].address(kind)
    except ServerError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def kafka_bootstrap_servers(pytestconfig: pytest.Config) -> str:
    """The session's Kafka, as `host:port`. Topics are not created by themselves."""
    return address_of(source.KAFKA, pytestconfig)


@pytest.fixture(scope="session")
def mongodb_uri(pytestconfig: pytest.Config) -> str:
    """The session's MongoDB, a replica set of one node. Choose a database of your own."""
    return address_of(source.MONGO, pytestconfig)
