"""The address that a request is said to come from, as the service sees it behind a socket."""

from collections.abc import Callable

import pytest
from falcon import Request, Response

from cticache.access.networks import Networks
from cticache.web.app import create_app
from cticache.web.origin import address
from kit.running import Service, Wire
from kit.talk import Talk, request


class Where:
    """Answers with the address, asked for twice."""

    def on_get(self, req: Request, resp: Response) -> None:
        assert address(req) is address(req)
        resp.text = address(req)


@pytest.fixture
def where(service: Service, wire: Wire, connect: Callable[[], Talk]) -> Callable[..., str]:
    service.app.add_route("/where", Where())

    def asked(proxies: str, *headers: str) -> str:
        service.app.proxies = Networks.parse(proxies)
        return connect().send(request("GET /where", *headers)).answer().content.decode()

    return asked


def test_a_header_counts_only_from_a_trusted_proxy(where: Callable[..., str]) -> None:
    forged = "X-Forwarded-For: 203.0.113.9"
    assert where("") == "127.0.0.1"
    assert where("", forged) == "127.0.0.1"
    assert where("10.0.0.5", forged) == "127.0.0.1"
    assert where("127.0.0.0/8", forged) == "203.0.113.9"
    assert where("127.0.0.0/8", "X-Forwarded-For: 1.1.1.1", forged) == "203.0.113.9"  # two lines are one list
    assert where("127.0.0.0/8", "X_Forwarded_For: 1.1.1.1", forged) == "203.0.113.9"
    assert where("127.0.0.0/8", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9") == "127.0.0.1"


def test_who_is_trusted_is_nobody_unless_it_is_said(service: Service) -> None:
    assert not service.app.proxies
    assert create_app.__kwdefaults__["proxies"] == Networks()
