"""A private certificate authority and a certificate of it, made by `openssl`."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Certificates:
    """Paths of the authority's certificate and of a folder that holds it under its hash, as
    OpenSSL looks for it; and the settings of a server with a certificate of that authority."""

    authority: str
    folder: str
    server: ssl.SSLContext


def make_certificates(home: Path, name: str = "IP:127.0.0.1") -> Certificates:
    """Make them below *home*, for a server called *name*; they are valid for two days."""

    def openssl(*arguments: str) -> str:
        return subprocess.run(
            ["openssl", *arguments], cwd=home, check=True, capture_output=True, text=True
        ).stdout

    (home / "extensions").write_text(
        f"subjectAltName={name}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    openssl(
        *["req", "-x509", *_EC, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2"],
        *["-subj", "/CN=Private authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    )
    openssl(*["req", "-new", *_EC, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=server"])
    openssl(
        *["x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
        *["-days", "2", "-extfile", "extensions", "-out", "cert.pem"],
    )
    folder = home / "folder"
    folder.mkdir()
    digest = openssl("x509", "-hash", "-noout", "-in", "ca.pem").strip()
    shutil.copy(home / "ca.pem", folder / f"{digest}.0")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(home / "cert.pem", home / "key.pem")
    return Certificates(authority=str(home / "ca.pem"), folder=str(folder), server=server)
