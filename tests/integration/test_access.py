"""The services on servers that ask who one is: right credentials work, wrong ones end the start and say what to change.

A broker with SASL and TLS under a certificate authority of its own, and a MongoDB with authentication.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.e2e.house import change, line, on_change, until, webhook
from tests.e2e.receiver import Receiver
from tests.e2e.service_processes import ServiceProcess, environment, headrace, installed, one
from tests.integration.guarded import Authority, Guarded
from tools.servers import Mongo

pytestmark = pytest.mark.xdist_group("servers")

ROOT_PASSWORD = "r00t-passw0rd"
REFUSED = 2


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    with Mongo(tmp_path_factory.mktemp("mongo"), root_password=ROOT_PASSWORD) as mongo:
        yield mongo


@pytest.fixture
def settings(guarded: Guarded, database: Mongo) -> dict[str, str]:
    """All that is needed to get in: SCRAM over TLS, and a user of MongoDB who may use this one database."""
    name = f"access-{secrets.token_hex(4)}"
    password = "us3r-passw0rd"
    with MongoClient[dict[str, object]](database.uri) as client:
        client[name].command("createUser", "headrace", pwd=password, roles=["readWrite"])
    uri = f"{database.uri_of(f'headrace:{password}')}&authSource={name}"
    return environment(
        guarded.sasl_tls, uri, name, **scram("SASL_SSL"), HEADRACE_KAFKA__SSL_CA_FILE=str(guarded.authority)
    )


def scram(protocol: str, password: str = "headrace-secret") -> dict[str, str]:
    return sasl(protocol, "SCRAM-SHA-512", "headrace", password)


def sasl(protocol: str, mechanism: str, user: str, password: str) -> dict[str, str]:
    return {
        "HEADRACE_KAFKA__SECURITY_PROTOCOL": protocol,
        "HEADRACE_KAFKA__SASL_MECHANISM": mechanism,
        "HEADRACE_KAFKA__SASL_USERNAME": user,
        "HEADRACE_KAFKA__SASL_PASSWORD": password,
    }


async def said(service: ServiceProcess, *parts: str) -> bool:
    return service.said(*parts)


async def is_refused(settings: dict[str, str], *parts: str, service: str = "orchestrator") -> None:
    """Whether a service ends at once, with one line that holds all the parts, and shows no secret."""
    async with one(service, settings) as process:
        assert await process.ended(30.0) == REFUSED, process.lines
        assert process.said("service cannot start", *parts), process.lines
        for secret in ("passw0rd", "secret"):
            assert not process.said(secret), process.lines


async def test_services_work_with_scram_over_tls_and_a_user_of_the_database(settings: dict[str, str]) -> None:
    receiver = Receiver()
    await receiver.start()
    try:
        async with installed(settings) as installation:
            await installation.call("POST", "/v1/workflows", line("one", on_change(), webhook("w", receiver.url)), 201)
            event_id = (await installation.call("POST", "/v1/events", change(), 202))["eventId"]

            assert (await installation.run_of(event_id))["result"] == "SUCCESS"
    finally:
        await receiver.stop()


async def test_plain_and_scram_are_let_in_and_refused_without_tls(guarded: Guarded, settings: dict[str, str]) -> None:
    open_line = {**settings, "KAFKA_BOOTSTRAP_SERVERS": guarded.sasl, "HEADRACE_KAFKA__SSL_CA_FILE": ""}
    plain = sasl("SASL_PLAINTEXT", "PLAIN", "admin", "admin-secret")

    assert (await headrace({**open_line, **plain}, "init"))[0] == 0
    assert (await headrace({**open_line, **scram("SASL_PLAINTEXT")}, "init"))[0] == 0
    wrong = scram("SASL_PLAINTEXT", "wrong-secret")
    await is_refused({**open_line, **wrong}, "Authentication failed", "sasl_*")
    wrong = sasl("SASL_PLAINTEXT", "PLAIN", "admin", "wrong-secret")
    await is_refused({**open_line, **wrong}, "Authentication failed", "sasl_*", service="trigger")
    code, output = await headrace({**open_line, **wrong}, "init")
    assert (code, "Check the credentials" in output, "wrong-secret" in output) == (4, True, False), output


async def test_a_broker_whose_authority_is_not_trusted_is_refused(settings: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(Authority("somebody else").certificate)

    await is_refused({**settings, "HEADRACE_KAFKA__SSL_CA_FILE": str(other)}, "certificate verify failed", "ssl_*")
    missing = str(tmp_path / "missing.pem")
    await is_refused({**settings, "HEADRACE_KAFKA__SSL_CA_FILE": missing}, missing, "ssl_*", service="api")


async def test_a_security_protocol_that_the_broker_does_not_speak_is_waited_for_and_named(
    guarded: Guarded, settings: dict[str, str]
) -> None:
    """A broker hangs up then, as one does that ends; so the service waits, without haste, and says what it may be."""
    naked = {key: value for key, value in settings.items() if "SASL" not in key and "SSL" not in key}
    plain = {**naked, "HEADRACE_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT"}
    no_tls = {**naked, **scram("SASL_PLAINTEXT")}
    for wrong in (
        {**settings, "KAFKA_BOOTSTRAP_SERVERS": guarded.sasl},
        {**plain, "KAFKA_BOOTSTRAP_SERVERS": guarded.sasl},
        {**no_tls, "KAFKA_BOOTSTRAP_SERVERS": guarded.sasl_tls},
    ):
        async with one("invoker", wrong) as service:
            await service.not_ready("it is waiting for Kafka")
            await until(partial(said, service, "waiting for Kafka", "security_protocol"), "a word of it")
            assert len(service.lines) < 20, service.lines
            assert await service.terminate() == 0


async def test_mongodb_refuses_wrong_credentials_none_and_a_user_of_another_database(
    database: Mongo, settings: dict[str, str]
) -> None:
    uri = settings["MONGODB_URI"]
    remedy = "HEADRACE_MONGODB__URI"
    await is_refused({**settings, "MONGODB_URI": uri.replace("us3r", "oth3r")}, "AuthenticationFailed", remedy)
    open_uri = database.uri_of("").replace("@", "")
    await is_refused({**settings, "MONGODB_URI": open_uri}, "Unauthorized", remedy, service="invoker")
    elsewhere = {**settings, "HEADRACE_MONGODB__DATABASE": "elsewhere"}
    await is_refused(elsewhere, "Unauthorized", "elsewhere", remedy, service="trigger")
