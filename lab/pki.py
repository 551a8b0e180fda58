"""The lab's own trust: one authority per purpose, so that a certificate opens one door and no other."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

# A lab is thrown away long before; starting a day early forgives a clock that is set back.
_NOT_BEFORE = timedelta(days=1)
_LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that signs certificates into one directory."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def bundle(self) -> Path:
        """The PEM file that a client trusts."""
        return self.directory / "ca.crt"

    def server(self, name: str, *, hosts: tuple[str, ...], also_client: bool = False) -> Pair:
        """Return a certificate for a server known by `hosts` (names and addresses)."""
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] + [ExtendedKeyUsageOID.CLIENT_AUTH] * also_client
        return self._issue(name, _name(name), usages, hosts)

    def client(self, name: str, *, user: str, group: str | None = None) -> Pair:
        """Return a certificate by which Kubernetes knows its bearer as `user`, member of `group`."""
        return self._issue(name, _name(user, group), [ExtendedKeyUsageOID.CLIENT_AUTH], ())

    def _issue(
        self, name: str, subject: x509.Name, usages: list[x509.ObjectIdentifier], hosts: tuple[str, ...]
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self.certificate.subject, key)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False
            )
        pair = Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        write_private(pair.certificate, _pem(builder.sign(self.key, hashes.SHA256())))
        write_private(pair.key, _key_pem(key))
        return pair


def new_authority(directory: Path, name: str) -> Authority:
    """Make a self-signed authority called `name`; its certificate is `ca.crt` in `directory`.

    Its key is never written: when the process that made the lab ends, nobody can sign in its name.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), _name(name), key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    authority = Authority(directory, builder.sign(key, hashes.SHA256()), key)
    write_private(authority.bundle, _pem(authority.certificate))
    return authority


def new_signing_key(directory: Path, name: str) -> Pair:
    """Make the key that signs service account tokens; `certificate` is its bare public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    pair = Pair(directory / f"{name}.pub", directory / f"{name}.key")
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(pair.certificate, public)
    write_private(pair.key, _key_pem(key))
    return pair


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    # The lab's certificates are judged by real clocks, the only thing in the lab that is.
    now = datetime.now(UTC)  # noqa: TID251 - see above
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _NOT_BEFORE)
        .not_valid_after(now + _LIFETIME)
    )


def _name(common: str, organisation: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC 1 form ("EC PRIVATE KEY"): the one that every Kubernetes component reads.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
