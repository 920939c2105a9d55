"""TLS with mutual authentication between scheduler, workers and clients.

An open Dask scheduler port is remote code execution: anyone who reaches it can run any function on every worker. So
each side presents a certificate of an authority that exists for this system alone, and refuses peers without one. The
names in certificates are not checked, as workers come and go; what counts is a certificate of this authority.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cluster.errors import SettingError
from cluster.settings import Settings, variable_of

if TYPE_CHECKING:
    from distributed import Security

PEM: Final = "-----BEGIN"
FILES: Final = {"tls_ca": "ca.pem", "tls_cert": "node.pem", "tls_key": "node-key.pem"}
"""The files that `make_certificates` writes, by setting."""


def uses_tls(settings: Settings) -> bool:
    """Returns whether connections to the scheduler use TLS."""
    return settings.scheduler.startswith("tls://")


def dask_security(settings: Settings) -> Security | None:
    """Returns the `security` argument of Dask's scheduler, workers and clients; None without TLS.

    Raises:
        SettingError: TLS_CA, TLS_CERT or TLS_KEY is missing, unreadable, expired, or does not match the others.
    """
    if not uses_tls(settings):
        return None
    texts = check_certificates(settings)
    from distributed import Security

    parts: dict[str, Any] = {"tls_ca_file": texts["tls_ca"]}
    for role in ("scheduler", "worker", "client"):
        parts[f"tls_{role}_cert"] = texts["tls_cert"]
        parts[f"tls_{role}_key"] = texts["tls_key"]
    return Security(require_encryption=True, **parts)


def check_certificates(settings: Settings) -> dict[str, str]:
    """Returns the PEM texts of the three settings, which may be paths or the texts themselves.

    Raises:
        SettingError: as for `dask_security`.
    """
    texts = {name: _pem(name, getattr(settings, name)) for name in FILES}
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    shown = {name: "(not shown)" if name == "tls_key" else _shown(getattr(settings, name)) for name in FILES}

    def wrong(name: str, expected: str) -> SettingError:
        return SettingError(variable_of(name), shown[name], expected)

    found: dict[str, Any] = {}
    for name in ("tls_ca", "tls_cert"):
        try:
            found[name] = x509.load_pem_x509_certificate(texts[name].encode())
        except ValueError as error:
            raise wrong(name, f"a certificate in PEM form ({error})") from None
        now = datetime.datetime.now(datetime.UTC)
        end = found[name].not_valid_after_utc
        if not found[name].not_valid_before_utc <= now <= end:
            raise wrong(name, f"a certificate that is valid now, not one that ends {end:%F}")
    try:
        key = load_pem_private_key(texts["tls_key"].encode(), password=None)
    except (ValueError, TypeError) as error:
        raise wrong("tls_key", f"a private key in PEM form without a password ({error})") from None
    if key.public_key() != found["tls_cert"].public_key():
        raise wrong("tls_key", "the private key of the certificate in TLS_CERT")
    try:
        found["tls_cert"].verify_directly_issued_by(found["tls_ca"])
    except (ValueError, TypeError, InvalidSignature) as error:
        raise wrong("tls_cert", f"a certificate of the authority in TLS_CA ({type(error).__name__})") from None
    return texts


def certificate_days_left(settings: Settings) -> float:
    """Days until the certificate of this node, or that of its authority, ends; negative once it has. No node starts
    after that.

    Raises:
        SettingError: TLS_CA or TLS_CERT is missing or unreadable.
    """
    from cryptography import x509

    texts = [_pem(name, getattr(settings, name)) for name in ("tls_ca", "tls_cert")]
    end = min(x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc for text in texts)
    return (end - datetime.datetime.now(datetime.UTC)) / datetime.timedelta(days=1)


def _shown(value: str) -> str:
    return "(PEM text)" if value.startswith(PEM) else value


def _pem(name: str, value: str) -> str:
    if not value:
        raise SettingError(variable_of(name), None, "a PEM file or its text, as SCHEDULER is a tls:// address")
    if value.startswith(PEM):
        return value if value.endswith("\n") else value + "\n"
    try:
        return Path(value).read_text()
    except (OSError, UnicodeDecodeError) as error:
        shown = "(not shown)" if name == "tls_key" else value
        raise SettingError(variable_of(name), shown, f"a PEM file that can be read ({type(error).__name__})") from None


def check_scheduler_address(settings: Settings) -> None:
    """Checks the address on which the scheduler listens.

    Raises:
        SettingError: it is a public address, without TLS and without ALLOW_OPEN_SCHEDULER.
    """
    host = urlsplit(settings.scheduler_bind).hostname or ""
    if not uses_tls(settings) and not is_loopback(host) and not settings.allow_open_scheduler:
        raise SettingError(
            variable_of("scheduler_listen" if settings.scheduler_listen else "scheduler"),
            settings.scheduler_bind,
            "a loopback address, or tls:// with TLS_CA, TLS_CERT and TLS_KEY: anyone who reaches an open Dask "
            "scheduler can run any code on every worker. In an isolated network, "
            "DASK_GRAPHQL_ALLOW_OPEN_SCHEDULER=true allows it",
        )


def is_loopback(host: str) -> bool:
    """Returns whether an address can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def make_certificates(folder: Path, days: float) -> dict[str, Path]:
    """Makes an authority, and one certificate for all nodes of a system. The authority's key is not kept.

    Args:
        folder: where the files are written. It may exist, but the files must not.
        days: how long the certificates are valid.

    Returns:
        The files, by setting.

    Raises:
        FileExistsError: one of the files exists already.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def certificate(subject: str, public_key: Any, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("dask-graphql authority"))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            # A node whose clock is a little slow must accept it at once.
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        )

    authority = ec.generate_private_key(ec.SECP256R1())
    root = certificate("dask-graphql authority", authority.public_key(), ca=True).sign(authority, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    node = certificate("dask-graphql node", key.public_key(), ca=False).sign(authority, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = serialization.Encoding.PEM
    contents = {"tls_ca": root.public_bytes(public), "tls_cert": node.public_bytes(public), "tls_key": private}
    paths = {setting: folder / file for setting, file in FILES.items()}
    for setting, path in paths.items():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(contents[setting])
    return paths
