"""The gateway's own TLS certificate: self-signed, made at the first start, replaceable.

The `openssl` command makes it, so that no cryptographic package is needed at run time.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

VALID_DAYS = 3650
WAIT_S = 60.0


class NoCertificate(Exception):
    """There is no certificate and none could be made; the message says what to do."""


class Certificate(NamedTuple):
    """The PEM files that the server loads."""

    certificate: Path
    key: Path


def own_certificate(folder: Path, host: str) -> Certificate:
    """The certificate in `folder`, made there if missing (P-256, ten years). Raises NoCertificate.

    Whoever puts `server.crt` and `server.key` there replaces it. Blocks; call it in a thread.
    """
    found = Certificate(folder / "server.crt", folder / "server.key")
    if found.certificate.is_file() and found.key.is_file():
        return found
    command = shutil.which("openssl")
    if command is None:
        raise NoCertificate(
            "tls: auto needs the openssl command to make a certificate (apt install openssl);"
            f" or put server.crt and server.key into {folder}, or set tls: off"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make(command, found, host)
    return found


def _make(command: str, wanted: Certificate, host: str) -> None:
    # Written beside and renamed: a power cut leaves no half of a file.
    new = Certificate(wanted.certificate.with_suffix(".crt.new"), wanted.key.with_suffix(".key.new"))
    new.key.touch(mode=0o600)
    name = socket.gethostname()
    arguments = [
        *(command, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", str(new.key), "-out", str(new.certificate), "-days", str(VALID_DAYS)),
        *("-subj", f"/CN={name[:64]}", "-addext", f"subjectAltName={_names(name, host)}"),
    ]
    try:
        subprocess.run(arguments, capture_output=True, check=True, timeout=WAIT_S)  # noqa: S603  # no input of others
    except subprocess.TimeoutExpired as error:
        raise NoCertificate(f"openssl took longer than {WAIT_S:.0f} s to make a certificate") from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise NoCertificate(f"openssl could not make a certificate: {words[-1]}") from error
    new.key.replace(wanted.key)
    new.certificate.replace(wanted.certificate)


def _names(name: str, host: str) -> str:
    """What the certificate is valid for, besides this machine's name the address it listens on."""
    names = [f"DNS:{name}", "DNS:localhost", "IP:127.0.0.1"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names.append(f"DNS:{host}")
    else:
        if not address.is_unspecified:
            names.append(f"IP:{address}")
    return ",".join(names)
