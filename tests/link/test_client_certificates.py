"""Redis that speaks TLS and lets in who has a certificate: one server, and a Cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from cticache import cli
from cticache.access.passwords import Verifier
from cticache.link.connection import connect
from cticache.link.trouble import AWAY
from kit import clusters, servers
from kit.certificates import HOST, Certificates, program
from kit.clusters import Call, Front
from kit.samples import make_pool

POOLS = ("system-y", "other", "third", "fourth")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of another authority."""
    return Certificates(tmp_path_factory.mktemp("unknown"))


@pytest.fixture(scope="module", params=["one server", "a cluster"])
def place(request: pytest.FixtureRequest, known: Certificates) -> Iterator[str]:
    """The URL up to its query: scheme, user, servers."""
    path = program()
    if not path:
        pytest.skip("no redis-server on PATH")
    with ExitStack() as stack:
        try:
            yield stack.enter_context(_one(path, known) if request.param == "one server" else _cluster(path, known))
        except servers.Ended:
            pytest.skip("the server on PATH speaks no TLS")


@contextmanager
def _one(path: Path, known: Certificates) -> Iterator[str]:
    port = servers.free_port()
    with servers.binary(path, "--tls-port", str(port), *known.options(client=True)):
        yield f"rediss://{servers.login()}{HOST}:{port}/0"


@contextmanager
def _cluster(path: Path, known: Certificates) -> Iterator[str]:
    with clusters.cluster(*known.options(client=True), path=path, tls=True) as made:
        places = ",".join(f"{HOST}:{node.tls_port}" for node in made.nodes)
        yield f"rediss+cluster://{servers.login()}{places}"


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_a_call_is_handed_over_to_a_service_with_a_certificate(
    place: str, known: Certificates, verifier: Verifier, dispatch: str
) -> None:
    pools = [make_pool(f"{at}00-{at}09", name=name) for at, name in enumerate(POOLS, 1)]
    front = Front(place + known.query(known), dispatch, pools, verifier)
    try:
        talk = front.talk()
        for at in range(20):
            call = Call(POOLS[at % len(POOLS)], 2_345_678_900 + at)
            assert (call.post(talk), call.get(talk), call.take(talk), call.take(talk)) == (201, 200, 200, 410)
        talk.close()
    finally:
        front.stop()


@pytest.fixture
def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Checked":
    return Checked(tmp_path, capsys)


class Checked:
    """Runs ``check`` for a URL."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config, self._capsys = folder / "config.ini", capsys

    def __call__(self, url: str) -> tuple[int, str]:
        """The exit code, and all that is said."""
        pools = "".join(f"[pool:{name}]\nnumbers = {at}\n" for at, name in enumerate(POOLS, 1))
        self._config.write_text(f"[redis]\nurl = {url}\n{pools}", "utf-8")
        code = cli.main(["check", "--config", str(self._config)])
        said = self._capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out + said.err


def test_check_reaches_every_server_with_it(place: str, known: Certificates, checked: Checked) -> None:
    _, said = checked(place + known.query(known))
    assert "answers\n" in said
    assert "Redis is away" not in said
    assert "may not run" not in said


@pytest.mark.parametrize("has", ["none", "one of another authority"])
def test_without_a_certificate_that_redis_knows_nobody_is_let_in(
    place: str, known: Certificates, unknown: Certificates, checked: Checked, has: str
) -> None:
    code, said = checked(place + known.query(unknown if has != "none" else None))
    assert code == 1
    assert said.splitlines()[-1].startswith(f"cticache: {AWAY.says} (")
    assert "answers\n" not in said


def test_a_redis_whose_certificate_is_of_another_authority_is_not_trusted(
    place: str, known: Certificates, unknown: Certificates, checked: Checked
) -> None:
    code, said = checked(place + unknown.query(known))
    assert code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in said.splitlines()[-1]


PAIR = "ssl_certfile must be a file in PEM with the certificate of a client, and ssl_keyfile"
WRONG = {
    "no certificate": ("ssl_ca_certs=note", "ssl_ca_certs must be a file in PEM with certificates"),
    "a key in place of the authorities": ("ssl_ca_certs=key", "ssl_ca_certs must be a file in PEM with certificates"),
    "no certificate of a client": ("ssl_certfile=note&ssl_keyfile=key", PAIR),
    "a certificate without its key": ("ssl_certfile=certificate", PAIR),
    "a certificate in place of its key": ("ssl_certfile=certificate&ssl_keyfile=certificate", PAIR),
    "a key with a passphrase": ("ssl_certfile=certificate&ssl_keyfile=locked", PAIR),
    "a key of another certificate": ("ssl_certfile=certificate&ssl_keyfile=other", "ssl_keyfile does not fit"),
}


@pytest.mark.parametrize(("query", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_certificate_is_told_in_one_line_before_anybody_is_asked(
    known: Certificates, unknown: Certificates, checked: Checked, query: str, said: str
) -> None:
    files = known.files(unknown)
    code, told = checked(f"rediss://{HOST}/0?{urlencode([(name, files[kind]) for name, kind in parse_qsl(query)])}")
    assert code == 2
    (line,) = told.splitlines()
    assert f"config.ini: [redis] url: cannot be read: {said}" in line


def test_without_a_file_of_authorities_those_of_the_system_are_trusted(
    known: Certificates, unknown: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program()
    assert path
    port = servers.free_port()
    with servers.binary(path, "--tls-port", str(port), *known.options(client=False)):
        for certificates, trusted in ((known, True), (unknown, False)):
            monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
            with connect(f"rediss://{servers.login()}{HOST}:{port}/0", 5.0) as client:
                if trusted:
                    assert client.ping()
                else:
                    with pytest.raises(RedisConnectionError, match="certificate verify failed"):
                        client.ping()
