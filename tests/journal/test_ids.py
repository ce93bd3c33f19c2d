"""A client's own id is kept unless it may hold a telephone number, whatever that stands among."""

import re
import secrets
import uuid
from urllib.parse import quote

import pytest

from cticache.journal.ids import RequestIds

NOW = 1_764_424_000.5
OWN = re.compile(r"[0-9a-f]{16}")

KEPT = {
    "a word": "req-1",
    "five digits": "12345",
    "a count": "ivr-00042",
    "a UUID": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    "a UUID with digits alone in its last group": "8e03978e-40d5-43dd-bc93-689412570324",
    "a UUID in capitals": "8E03978E-40D5-43DD-BC93-6894A57F9324",
    "a UUID in braces": "{8e03978e-40d5-43dd-bc93-689412570324}",
    "a UUID and its kind": "urn:uuid:8e03978e-40d5-43dd-bc93-689412570324",
    "a UUID and a leg": "8e03978e-40d5-43dd-bc93-689412570324#2",
    "a trace id": "4bf92f3577b34da6a312345678900736",
    "traceparent": "00-4bf92f3577b34da6a312345678900736-00f067aa0ba90217-01",
    "a span id": "00f0671234a90217",
    "a ConnID of Genesys": "00720298fb5a3001",
    "a CallSid of Twilio": "CA1234567890abcde81234567890123456",
    "a Call-ID": "a84b4c76e66710@pc33.atlanta.com",
    "a Call-ID of an address": "a84b4c76e66710@203.0.113.195",
    "a Call-ID of an address and a port": "a84b4c76e66710@203.0.113.195:5060",
    "the present in milliseconds": "A1B2-1764424000123-7",
    "a channel of Asterisk": "pbx1-1764424000.1234",
    "a ULID": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "an escape": "a=b;c/d%20",
}
NUMBERS = {
    "bare": "14440009999",
    "with a plus": "+14440009999",
    "as people write it": "(444)000-9999",
    "tel": "tel:14440009999",
    "sip": "sip:14440009999@host",
    "in angles": "<sip:14440009999@h>",
    "before a host": "14440009999@h",
    "before an address": "14440009999@10.0.0.5",
    "in escapes": "tel%3A14440009999",
    "its separators in escapes": "444%2D000%209999",
    "in escapes twice": "444%252D000%252D9999",
    "in Arabic digits in escapes": quote("\u0664\u0669\u0663\u0660\u0661\u0662\u0663"),
    "behind a word": "call-14440009999",
    "before letters": "14440009999abc",
    "between letters": "x14440009999x",
    "with underscores": "call_444_000_9999",
    "with colons and commas": "444:000,9999",
    "with slashes and points": "444/000.9999",
    "of six digits": "call-123456",
    "padded to 20 digits": "00000000014440009999",
    "behind a time": "20261128021251-14440009999",
    "behind the present": "1764424000123-14440009999",
    "joined with the present": "176442400012314440009999",
    "behind a UUID": "8e03978e-40d5-43dd-bc93-6894a57f9324-14440009999",
    "padded to a UUID": "00000000-0000-4000-8000-014440009999",
    "in groups like a UUID's": "abcdefab-abcd-0000-0000-014440009999",
    "padded to a trace id": "00000000000000000000014440009999",
    "filled up to 16 with letters": "14440009999abcde",
    "filled up to 16 with hex digits": "4440009999a1b2c3",
    "behind hex digits to 16": "a1b2c34440009999",
    "as an address": "12.34.56.78",
    "the past in milliseconds": "1664424000123",
    "the number of a mobile that is like the present": "1764424000",
    "DNIS and ANI": "5551234560:4440009999",
    "no address": "x@555.123.45.67",
}


@pytest.mark.parametrize("what", KEPT)
def test_an_id_in_which_digits_come_together_by_chance_is_kept(what: str) -> None:
    assert RequestIds(lambda: NOW).of(KEPT[what]) == KEPT[what]


@pytest.mark.parametrize("what", NUMBERS)
def test_an_id_that_may_hold_a_telephone_number_is_replaced(what: str) -> None:
    for sent in (NUMBERS[what], NUMBERS[what].upper()):
        assert OWN.fullmatch(RequestIds(lambda: NOW).of(sent))


@pytest.mark.parametrize("sent", [None, "", "a b", "x" * 65, "k\u00e4", "a\tb"])
def test_what_is_no_id_is_replaced(sent: str | None) -> None:
    assert OWN.fullmatch(RequestIds().of(sent))


def test_the_ids_of_answers_and_what_libraries_make_are_kept_when_they_are_sent() -> None:
    for _ in range(500):
        ids = RequestIds()
        for made in (ids.of(None), str(uuid.uuid4()), str(uuid.uuid1()), uuid.uuid4().hex, secrets.token_hex(16)):
            assert ids.of(made) == made
