"""A Redis that speaks TLS, and the certificates on both sides."""

import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

try:
    import trustme
    from cryptography.hazmat.primitives import serialization as form
except ImportError:  # Wine lacks something that the library beneath it asks of Windows
    if sys.platform != "win32":
        raise
    pytest.skip("Wine cannot load what makes the certificates", allow_module_level=True)

HOST = "127.0.0.1"


def program() -> Path | None:
    """A server on PATH: few packages have one that speaks TLS, the system's own does."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


class Certificates:
    """Those of a server and of a client, from one authority."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority)
        self._server = _issued(authority, folder, HOST)
        self._client = _issued(authority, folder, "cticache")

    def options(self, *, client: bool) -> tuple[str, ...]:
        """What the server is started with; ``client``: whether it asks for the client's certificate."""
        files = (
            *("--tls-cert-file", str(self._server[0]), "--tls-key-file", str(self._server[1])),
            *("--tls-ca-cert-file", str(self.authority)),
        )
        return (*files, "--tls-auth-clients", "yes" if client else "no")

    def query(self, of_client: "Certificates | None" = None) -> str:
        """What stands at the end of the URL; with the certificate of a client, of this authority or of another."""
        files = {"ssl_ca_certs": self.authority}
        if of_client:
            files["ssl_certfile"], files["ssl_keyfile"] = of_client._client
        return "?" + urlencode(files)

    def files(self, others: "Certificates") -> dict[str, Path]:
        """A client's certificate, its key, that key locked, another's key, and a note that is none of it."""
        certificate, key = self._client
        locked, note = key.with_name("locked.key"), key.with_name("note")
        note.write_text("Bob has the certificate.", "utf-8")
        opened = form.load_pem_private_key(key.read_bytes(), None)
        locking = form.BestAvailableEncryption(b"passphrase")
        locked.write_bytes(opened.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locking))
        return {"certificate": certificate, "key": key, "locked": locked, "other": others._client[1], "note": note}


def _issued(authority: trustme.CA, folder: Path, name: str) -> tuple[Path, Path]:
    made = authority.issue_cert(name)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    for at, piece in enumerate(made.cert_chain_pems):
        piece.write_to_path(certificate, append=at > 0)
    made.private_key_pem.write_to_path(key)
    return certificate, key
