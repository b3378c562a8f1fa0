"""Certificates for the proxies of one authority, in the layout that `policies.settings.Identity` reads.

For tests, lessons and examples: the authority's key lies beside what it has signed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from policies.bad_input import BadInput
from policies.settings import Identity

AUTHORITY_DAYS = 3650
"""How long the certificate of a new authority is valid."""
_SKEW = timedelta(minutes=5)
"""Clocks of other machines may be slow: a certificate is valid from a little before it was made."""
_SERVES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Authority(NamedTuple):
    """Who signs: a certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write_certificates(folder: Path, names: Sequence[str], days: float) -> list[Path]:
    """Write ``NAME.pem`` and ``NAME.key`` for each name, signed by the authority of the folder.

    The authority is ``ca.pem`` and ``ca.key``; both are made if there is none. A name that has a certificate
    gets a new one.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    names : sequence of str
        Names of proxies, such as ``front``.
    days : float
        How long the new certificates are valid.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    BadInput
        If a name cannot be one, the folder cannot be written, or its authority cannot be used.
    """
    for name in names:
        _check_name(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority, written = _authority(folder)
        for name in names:
            written += _write_signed(authority, folder, name, name, days)
    except OSError as error:
        problem = f"cannot be written: {(error.strerror or str(error)).lower()}"
        raise BadInput(str(folder), "", problem) from None
    return written


def write_wildcard(folder: Path, file: str, zone: str, days: float) -> tuple[Path, Path]:
    """Write ``FILE.pem`` and ``FILE.key`` for all names in a zone, signed by the authority of the folder.

    As `write_certificates`, whose names are those of single proxies. Raises `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, _ = _authority(folder)
    certificate, key = _write_signed(authority, folder, file, f"*.{zone}", days)
    return certificate, key


def _write_signed(authority: Authority, folder: Path, file: str, name: str, days: float) -> list[Path]:
    """The files of a new certificate and its key."""
    certificate, key = _issue(authority, name, timedelta(days=days))
    written = [folder / f"{file}.pem", folder / f"{file}.key"]
    _write(written[0], certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(written[1], key)
    return written


def _check_name(name: str) -> None:
    if name == "ca":
        raise BadInput("NAME", name, "expected another name: ca.pem is the authority's")
    try:
        Identity(folder=".", name=name)
        if not name.isascii():
            raise ValueError
    except ValueError:
        raise BadInput(
            "NAME", name, "expected a name such as front: letters, digits, '.', '-', '_'"
        ) from None


def _authority(folder: Path) -> tuple[Authority, list[Path]]:
    """The authority of a folder, and what was written to make it."""
    cert_file, key_file = folder / "ca.pem", folder / "ca.key"
    if cert_file.exists():
        return _read_authority(cert_file, key_file), []
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject("proxytwin authority")
    public = key.public_key()
    builder = _builder(subject, subject, public, timedelta(days=AUTHORITY_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    _write(cert_file, certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(key_file, key)
    return Authority(certificate, key), [cert_file, key_file]


def _read_authority(cert_file: Path, key_file: Path) -> Authority:
    if not key_file.exists():
        raise BadInput(str(key_file), "", f"no such file: without its key, {cert_file.name} signs nothing")
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        problem = f"expected a certificate and its key without password in {cert_file.name}, {key_file.name}"
        raise BadInput(str(cert_file.parent), "", problem) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise BadInput(str(key_file), "", f"is not the key that this command made for {cert_file.name}")
    return Authority(certificate, key)


def _issue(
    authority: Authority, name: str, valid: timedelta
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate that proves a name, to clients and to servers."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(name), authority.certificate.subject, key.public_key(), valid)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    extensions: list[tuple[Any, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage(_SERVES), False),
        (signer, False),
        (x509.SubjectAlternativeName([_general_name(name)]), False),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(authority.key, hashes.SHA256()), key


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - _SKEW).not_valid_after(now + valid)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(**wanted: bool) -> x509.KeyUsage:
    kinds = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{kind: wanted.get(kind, False) for kind in kinds})


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(file, data, mode=0o600)


def _write(file: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file as a whole: a proxy that reloads finds the former one or the new one."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
        part.replace(file)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
