"""Clients that are gone at any moment, and clients that send rubbish."""

import json
import re
import socket
import time
from contextlib import closing
from random import Random

from kit.faults.clients import PATIENCE_S, USER
from kit.faults.fault import Fault, Form
from kit.faults.history import CLOSED, HUNG, Course, Entry
from kit.faults.on_redis import Single
from kit.talk import CALLS, Talk, request

_ANI = "493099999"


def _sound(random: Random) -> bytes:
    """A request that would be answered."""
    body = json.dumps({"pool": "one", "ani": _ANI, "value": "v", "ttl": 1}).encode()
    call = f"{CALLS}/5550{random.randrange(2000):04}:{_ANI}"
    posted = request(f"POST {CALLS}", f"Content-Length: {len(body)}", body=body, user=USER)
    return random.choice([posted, *(request(f"{verb} {call}", user=USER) for verb in ("GET", "PUT", "DELETE"))])


def _gone(scene: Single, form: Form) -> Course:
    """After any part of a request, of an answer, or of the next request."""
    random, begin = Random(2), time.monotonic()
    for _ in range(form.disconnects):
        talk = Talk(scene.service.port)
        sent = _sound(random) * random.choice((1, 1, 2, 5))
        talk.send(sent[: random.choice((0, random.randrange(len(sent)), len(sent)))])
        if random.random() < 0.5:
            time.sleep(random.choice((0, 0.0005, 0.002)))
        getattr(talk, random.choice(("close", "vanish", "vanish")))()
    return Course(begin, time.monotonic(), spared=scene.service.pools)


def _rubbish(random: Random) -> bytes:
    """Something that must be refused, or closed upon."""
    sound = _sound(random)
    at = random.randrange(len(sound))
    lines = sound.split(b"\r\n")
    return random.choice(
        [
            random.randbytes(random.randrange(1, 2000)) + b"\r\n\r\n",
            sound[:at] + random.randbytes(3) + sound[at + 3 :],
            sound.replace(b"Authorization: Basic ", b"Authorization: Basic =" + random.randbytes(2)),
            b"\r\n".join([lines[0], b"Transfer-Encoding: chunked", b"Content-Length: 5", *lines[1:]]),
            b"\r\n".join([lines[0], b"X: " + b"x" * random.randrange(70_000), *lines[1:]]),
            request(f"POST {CALLS}", "Content-Length: " + "9" * random.randrange(1, 30), user=USER),
            request(f"POST {CALLS}", "Content-Length: 20000", body=b"[" * 20_000, user=USER),
            request(f"POST {CALLS}", "Content-Length: 9", "Content-Type: \xff", body=b'{"a":"\xff"}', user=USER),
            request(f"GET {CALLS}/%00%ff:%e2%28", user=USER),
            request(f"GET {CALLS}/" + "1" * random.randrange(8_000) + ":", user=USER),
        ]
    )


def _answers(port: int, sent: bytes) -> list[Entry]:
    """What comes for it until the connection is closed, each answer by its status and code."""
    begin = time.monotonic()
    heard, code = b"", CLOSED
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as client:
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                heard += data
        except TimeoutError:
            code = HUNG
        except OSError:
            pass
    end = time.monotonic()
    entry = Entry(begin, end, "garbage", "", "", "", "", code=code)
    if not heard or code == HUNG:
        return [entry]
    told = []
    for answer in re.split(rb"HTTP/1\.[01] (?=\d{3} )", heard)[1:]:  # what is said in one may name HTTP/1.1, too
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head.split()[0])
        is_json = body.startswith(b"{")
        told.append(
            entry._replace(status=status, code=json.loads(body).get("error", "") if is_json else body.decode()[:80])
        )
    return told


def _garbage(scene: Single, form: Form) -> Course:
    random, begin, told = Random(3), time.monotonic(), list[Entry]()
    for _ in range(max(form.disconnects // 10, 1)):
        told += _answers(scene.service.port, _rubbish(random))
    return Course(begin, time.monotonic(), spared=scene.service.pools, extra=told)


CLIENTS: list[Fault[Single]] = [
    Fault("clients disconnect at any moment", _gone),
    Fault("clients send rubbish", _garbage),
]
