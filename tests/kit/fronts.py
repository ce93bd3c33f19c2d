"""nginx, Caddy and HAProxy as processes, each with its file of scripts/deploy, and clients that come through them.

Of a file nothing is changed but its ports and where its certificate and its logs are.
"""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from kit.checkout import ROOT
from kit.patience import PATIENCE_S
from kit.servers import free_port
from kit.serving import until

HOST = "cti.example.com"
_PORTS = ("8080", "8081")
_AROUND_NGINX = """
pid {folder}/nginx.pid;
error_log {folder}/around.log;
daemon off;
events {{}}
http {{
    client_body_temp_path {folder}/temporary-body;
    proxy_temp_path {folder}/temporary-answer;
    fastcgi_temp_path {folder}/temporary-fastcgi;
    uwsgi_temp_path {folder}/temporary-uwsgi;
    scgi_temp_path {folder}/temporary-scgi;
    include {file};
}}
"""
"""What Debian's nginx.conf has around the files in conf.d, as far as it is needed."""


@dataclass(frozen=True)
class Program:
    """A proxy: its file, how it is started with it and how it checks it, both after its own name."""

    file: str
    package: str
    start: tuple[str, ...]
    check: tuple[str, ...]


PROGRAMS = {
    "nginx": Program("nginx.conf", "nginx-light", ("-c", "{file}"), ("-t", "-q", "-c", "{file}")),
    "caddy": Program(
        "Caddyfile",
        "caddy",
        ("run", "--adapter", "caddyfile", "--config", "{file}"),
        ("validate", "--adapter", "caddyfile", "--config", "{file}"),
    ),
    "haproxy": Program("haproxy.cfg", "haproxy", ("-db", "-f", "{file}"), ("-c", "-f", "{file}")),
}


def found(name: str) -> str:
    """Where this program is; LookupError, which says how to get it, where it is not."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if not path:
        raise LookupError(f"{name} is not installed; on Debian: apt-get install {PROGRAMS[name].package}")
    return path


class Certificate:
    """One for HOST, in the files that the proxies want, and a client's trust in it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.folder, self.authority = folder, folder / "authority.pem"
        made = authority.issue_cert(HOST)
        authority.cert_pem.write_to_path(self.authority)
        self._chain = b"".join(piece.bytes() for piece in made.cert_chain_pems)
        self._key = made.private_key_pem.bytes()
        self._write(self._key)
        self.context = ssl.create_default_context(cafile=str(self.authority))

    def _write(self, key: bytes) -> None:
        for name, pieces in {"fullchain": self._chain, "privkey": key, "cticache": self._chain + key}.items():
            (self.folder / f"{name}.pem").write_bytes(pieces)

    def has_key_of(self, other: "Certificate") -> None:
        """Put a key there that does not fit."""
        self._write(other._key)

    def remove(self) -> None:
        """Take its files away."""
        for file in self.folder.glob("*.pem"):
            file.unlink()


class Front:
    """A proxy that is to run before services on these ports, in a folder of its own."""

    def __init__(
        self,
        name: str,
        folder: Path,
        certificate: Certificate,
        ports: Sequence[int],
        changes: Mapping[str, str] | None = None,
    ) -> None:
        """``changes``: what else is replaced in its file."""
        folder.mkdir()
        self.name, self.port, self.certificate = name, free_port(), certificate
        self._program, self._folder = PROGRAMS[name], folder
        file = folder / self._program.file
        written = (ROOT / "scripts" / "deploy" / file.name).read_text("utf-8")
        here = {f"127.0.0.1:{there}": f"127.0.0.1:{port}" for there, port in zip(_PORTS, ports, strict=True)}
        here |= {"localhost:2019": f"localhost:{free_port()}"} if name == "caddy" else {}
        here |= {"/var/log/nginx/": f"{folder}/"} if name == "nginx" else {}
        own = {
            "nginx": {"listen 443 ": f"listen 127.0.0.1:{self.port} "},
            "caddy": {f"{HOST}:443 {{": f"{HOST}:{self.port} {{"},
            "haproxy": {"bind :443 ": f"bind 127.0.0.1:{self.port} "},
        }[name]
        file.write_text(
            _with(written, here | own | {"/etc/cticache/": f"{certificate.folder}/"} | (changes or {})), "utf-8"
        )
        if name == "nginx":
            around = folder / "around.conf"
            around.write_text(_AROUND_NGINX.format(folder=folder, file=file), "utf-8")
            file = around
        self._file = file
        self._environment = os.environ | {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}  # Caddy's

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [found(self.name), *(each.format(file=self._file) for each in arguments)]

    def check(self) -> "subprocess.CompletedProcess[str]":
        """What the program says of its file."""
        command = self._command(self._program.check)
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment, check=False
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """It listens for as long as the context lasts."""
        with (self._folder / "said").open("wb") as said:
            process = subprocess.Popen(
                self._command(self._program.start), stdout=said, stderr=subprocess.STDOUT, env=self._environment
            )
        try:
            until(lambda: process.poll() is not None or _listens(self.port))
            assert process.poll() is None, self.logs()
            yield
        finally:
            process.kill() if self.name == "caddy" else process.terminate()  # Caddy would wait for its clients
            process.wait()

    def logs(self) -> str:
        """All that it has written."""
        files = [self._folder / "said", *self._folder.glob("*.log")]
        return "\n".join(file.read_text("utf-8") for file in files)

    def temporary(self) -> list[Path]:
        """The files in which it keeps what it does not want in memory."""
        return [file for file in self._folder.glob("temporary-*/**/*") if file.is_file()]


def _with(text: str, replaced: Mapping[str, str]) -> str:
    for there, here in replaced.items():
        assert there in text, f"{there} is not in the file"
        text = re.sub(re.escape(there) + r"(?!\d)", here.replace("\\", r"\\"), text)
    return text


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Connection(http.client.HTTPSConnection):
    """A client's, to this proxy; it trusts its certificate alone."""

    def __init__(self, front: Front) -> None:
        self._own, self._trust = front.port, front.certificate.context
        super().__init__(HOST, front.port, timeout=PATIENCE_S, context=self._trust)

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self._own), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._trust.wrap_socket(plain, server_hostname=HOST)
