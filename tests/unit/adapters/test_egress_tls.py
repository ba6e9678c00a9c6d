"""TLS: certificates are verified, for the name that was called."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace.adapters.http.policy import EgressPolicy
from tests.unit.adapters.egress_servers import (
    LOOPBACK,
    FakeResolver,
    Receiver,
    answering,
    calling,
    fail,
    receiving,
    request,
    respond,
    response,
)

NAME = "receiver.example.test"
OTHER = "other.example.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for NAME, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


async def test_a_certificate_nobody_vouches_for_is_a_tls_failure_and_nothing_was_sent(certificate: Path) -> None:
    resolver = FakeResolver({NAME: [("127.0.0.1",)]})
    async with (
        receiving(answering(response()), tls=server_side(certificate)) as receiver,
        calling(resolver=resolver) as caller,
    ):
        failure = await fail(caller, request(receiver.url(host=NAME, scheme="https")))

    assert (failure.kind, failure.sent, receiver.requests) == ("tls", False, [])
    assert f"{NAME}:{receiver.port} has a certificate that is not trusted (self-signed certificate)" in failure.message


async def test_the_name_that_was_called_is_the_one_in_sni_and_in_the_check_of_the_certificate(
    certificate: Path,
) -> None:
    asked: list[str | None] = []
    server = server_side(certificate)
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    resolver = FakeResolver({NAME: [("127.0.0.1",)], OTHER: [("127.0.0.1",)]})
    async with (
        receiving(answering(response(200, b"ok")), tls=server) as receiver,
        calling(resolver=resolver, tls=trusting(certificate)) as caller,
    ):
        answered = await respond(caller, request(receiver.url(host=NAME, scheme="https")))
        again = await respond(caller, request(receiver.url(host=NAME, scheme="https")))
        mismatch = await fail(caller, request(receiver.url(host=OTHER, scheme="https")))

    assert (answered.body, again.body, asked) == (b"ok", b"ok", [NAME, OTHER])
    assert receiver.requests[0].values("host") == [f"{NAME}:{receiver.port}"]
    assert (mismatch.kind, mismatch.sent) == ("tls", False)
    assert "Hostname mismatch" in mismatch.message


async def test_https_to_a_server_without_tls_is_a_tls_failure() -> None:
    async def talk_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        writer.write(response(400))
        await reader.read()

    async with receiving(talk_first) as receiver, calling() as caller:
        failure = await fail(caller, request(receiver.url(scheme="https")))

    assert (failure.kind, failure.sent) == ("tls", False)
    assert "does it speak https on this port?" in failure.message


async def test_a_redirect_from_https_to_http_is_never_followed(certificate: Path) -> None:
    policy = EgressPolicy(allowed_networks=LOOPBACK, max_redirects=3)
    resolver = FakeResolver({NAME: [("127.0.0.1",)]})
    async with (
        receiving(answering(response())) as plain,
        receiving(
            answering(response(302, headers={"Location": plain.url()})), tls=server_side(certificate)
        ) as receiver,
        calling(policy, resolver=resolver, tls=trusting(certificate)) as caller,
    ):
        failure = await fail(caller, request(receiver.url(host=NAME, scheme="https")))

    assert (failure.kind, failure.sent, plain.connections) == ("redirect", True, 0)
    assert "from https to http" in failure.message
