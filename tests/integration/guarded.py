"""A broker that asks who one is: without guards, with passwords, and with passwords over TLS, each on a port."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tools.servers import Kafka
from tools.servers.process import HOST, free_port

PLAIN_USERS = {"admin": "admin-secret", "ann": "ann-secret"}
"""Who may sign in by PLAIN. Ann has no rights."""
SCRAM_USERS = {"headrace": "headrace-secret"}
"""Who may sign in by SCRAM-SHA-512."""

_MODULES = "org.apache.kafka.common.security"
_JAAS = {
    "plain": f"{_MODULES}.plain.PlainLoginModule required "
    + " ".join(f'user_{name}="{password}"' for name, password in PLAIN_USERS.items())
    + ";",
    "scram-sha-512": f"{_MODULES}.scram.ScramLoginModule required;",
}


@dataclass(frozen=True)
class Guarded:
    """A broker, its three addresses, and the certificate of the authority that speaks for it."""

    kafka: Kafka
    plain: str
    sasl: str
    sasl_tls: str
    authority: Path


def guarded_kafka(folder: Path) -> Guarded:
    """Not started yet."""
    authority = Authority("Headrace's tests")
    file = folder / "authority.pem"
    file.write_text(authority.certificate)
    certificate, key = authority.issue()
    directory = folder / "kafka"
    directory.mkdir()
    controller, plain, sasl, tls = (free_port() for _ in range(4))
    (directory / "controller.port").write_text(str(controller))
    names = {"PLAINTEXT": plain, "SASL": sasl, "TLS": tls, "CONTROLLER": controller}
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in names.items())
    sasl_settings: dict[str, Any] = {
        f"listener.name.{listener}.{mechanism}.sasl.jaas.config": jaas
        for listener in ("sasl", "tls")
        for mechanism, jaas in _JAAS.items()
    }
    kafka = Kafka(
        directory, plain, scram_users=SCRAM_USERS, listeners=listeners, advertised_listeners=listeners,
        listener_security_protocol_map="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL",
        auto_create_topics_enable="true", inter_broker_listener_name="PLAINTEXT",
        sasl_enabled_mechanisms="PLAIN,SCRAM-SHA-512",
        authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        super_users="User:ANONYMOUS;User:admin;User:headrace", ssl_keystore_type="PEM",
        ssl_keystore_certificate_chain=certificate.replace("\n", "\\n"), ssl_keystore_key=key.replace("\n", "\\n"),
        **sasl_settings,
    )  # fmt: skip
    return Guarded(kafka, f"{HOST}:{plain}", f"{HOST}:{sasl}", f"{HOST}:{tls}", file)


class Authority:
    """A certificate authority that nobody trusts who was not told to; everything as PEM."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        signed = _unsigned(self._name, self._key.public_key()).add_extension(constraints, critical=True)
        self.certificate = _pem(signed.issuer_name(self._name).sign(self._key, hashes.SHA256()))

    def issue(self) -> tuple[str, str]:
        """A certificate for a server on this machine, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
        signed = _unsigned(_name("a server"), key.public_key()).add_extension(address, critical=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _pem(signed.issuer_name(self._name).sign(self._key, hashes.SHA256())), secret.decode()


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _unsigned(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    begun = x509.CertificateBuilder().subject_name(subject).public_key(key)
    return begun.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
