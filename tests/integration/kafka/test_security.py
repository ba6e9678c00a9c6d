"""TLS, SASL and access rights, on a broker that asks for all three."""

import asyncio
import datetime
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka import KafkaLog, KafkaRefusedError, KafkaSettings, TopicError
from headrace.adapters.kafka.connection import connected, partition_counts
from headrace.adapters.kafka.topics import TopicSpec, create_topics
from headrace.ports.log import Message
from tests.integration.kafka.test_publishing import read
from tools.servers.kafka import Kafka
from tools.servers.process import free_port

JAAS = (
    'org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="admin-secret" user_ann="ann-secret";'
)


@dataclass(frozen=True)
class Guarded:
    """The addresses of one broker: without guards, with passwords, and with passwords over TLS."""

    plain: str
    sasl: str
    sasl_tls: str
    certificate: Path


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    certificate, key = make_certificate()
    file = tmp_path / "broker.pem"
    file.write_text(certificate)
    directory = tmp_path / "kafka"
    directory.mkdir()
    controller, plain, sasl, tls = (free_port() for _ in range(4))
    (directory / "controller.port").write_text(str(controller))
    names = {"PLAINTEXT": plain, "SASL": sasl, "TLS": tls, "CONTROLLER": controller}
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in names.items())
    server = Kafka(
        directory, plain, listeners=listeners, advertised_listeners=listeners,
        listener_security_protocol_map="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL",
        auto_create_topics_enable="true", inter_broker_listener_name="PLAINTEXT", sasl_enabled_mechanisms="PLAIN",
        listener_name_sasl_plain_sasl_jaas_config=JAAS, listener_name_tls_plain_sasl_jaas_config=JAAS,
        authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        super_users="User:ANONYMOUS;User:admin", ssl_keystore_type="PEM",
        ssl_keystore_certificate_chain=certificate.replace("\n", "\\n"),
        ssl_keystore_key=key.replace("\n", "\\n"),
    )  # fmt: skip
    async with server:
        yield Guarded(f"127.0.0.1:{plain}", f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", file)


def make_certificate() -> tuple[str, str]:
    """A certificate of the broker's own, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), secret.decode()


def as_user(server: str, user: str, password: str, **more: object) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": server, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
            "sasl_username": user, "sasl_password": password, "publish_timeout_ms": 5_000, **more,
        }
    )  # fmt: skip


async def refusal(settings: KafkaSettings) -> str:
    log = KafkaLog(settings, SystemClock())
    with pytest.raises(KafkaRefusedError) as caught:
        async with asyncio.timeout(10):
            await log.start()
    await log.close()
    return str(caught.value)


async def test_who_has_the_password_gets_in_and_who_has_not_is_told_so(guarded: Guarded) -> None:
    """One broker for all of these, because starting one takes seconds."""
    trusted = {"security_protocol": "SASL_SSL", "ssl_ca_file": guarded.certificate}
    admin = as_user(guarded.sasl_tls, "admin", "admin-secret", **trusted)
    await create_topics(admin, [TopicSpec("orders", 1)], 2)
    log = KafkaLog(admin, SystemClock())
    await log.start()
    await log.publish([Message("orders", "k", b"over TLS")])
    consumer = await log.subscribe("readers", ["orders"])
    assert [record.value for record in await read(consumer, 1)] == [b"over TLS"]
    assert sum((await log.lag("readers")).values()) == 1
    for asking in (
        log.subscribe("readers", ["missing"]),
        log.tail(["missing"]),
        log.publish([Message("missing", "", b"")]),
    ):
        with pytest.raises(TopicError, match="missing"):
            await asking
    assert await partition_counts_of(admin, "missing") == {}, "nothing of ours makes a broker create topics"
    await log.close()

    assert "credentials" in await refusal(as_user(guarded.sasl, "admin", "wrong"))
    assert "certificate" in await refusal(
        as_user(guarded.sasl_tls, "admin", "admin-secret", security_protocol="SASL_SSL")
    )
    scram = await refusal(as_user(guarded.sasl, "admin", "admin-secret", sasl_mechanism="SCRAM-SHA-256"))
    assert "SCRAM-SHA-256" in scram or "SaslMechanism" in scram

    await who_lacks_rights_is_told_so(guarded)


async def partition_counts_of(settings: KafkaSettings, topic: str) -> dict[str, int]:
    async with connected(settings) as connection:
        return await partition_counts(connection, [topic])


async def who_lacks_rights_is_told_so(guarded: Guarded) -> None:
    ann = as_user(guarded.sasl, "ann", "ann-secret")
    assert "rights" in await refusal(ann)
    log = KafkaLog(ann, SystemClock())
    with pytest.raises(KafkaRefusedError, match="orders"):
        await log.subscribe("readers", ["orders"])
    with pytest.raises(KafkaRefusedError, match="orders"):
        await log.tail(["orders"])
    await log.close()
