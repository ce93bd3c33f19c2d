"""docs/recipes/amazon-connect.md: the handlers by this Python, on events as Amazon Connect sends them."""

from typing import Any

from kit.recipes import ANI, GENERAL, AsBoth, Desk, Printed


def _handled(code: str, ani: str | None, dnis: str, contact_id: str, **parameters: str) -> dict[str, str]:
    """What the handler answers, which may be texts alone (STRING_MAP)."""
    names: dict[str, Any] = {}
    exec(compile(code, "docs/recipes/amazon-connect.md", "exec"), names)
    endpoint = {"Type": "TELEPHONE_NUMBER"}
    contact = {
        "Attributes": {},
        "Channel": "VOICE",
        "ContactId": contact_id,
        "CustomerEndpoint": endpoint | {"Address": ani} if ani else None,
        "InitialContactId": contact_id,
        "InitiationMethod": "INBOUND",
        "PreviousContactId": contact_id,
        "Queue": None,
        "SystemEndpoint": endpoint | {"Address": dnis},
    }
    event = {"Name": "ContactFlowEvent", "Details": {"ContactData": contact, "Parameters": parameters}}
    told: dict[str, str] = names["lambda_handler"](event, None)
    assert all(isinstance(each, str) for each in told.values())
    return told


class TestAmazonConnect(AsBoth):
    general = f"+1{GENERAL}"

    def lease(self, url: str, pool: str, ani: str | None, value: str, call: str) -> str:
        code = Printed.of("amazon-connect", url, pool).block("System X", "python")
        return _handled(code, ani, "+15551110000", call, value=value)["number"]

    def take(self, url: str, dnis: str, ani: str | None, call: str) -> str | None:
        """Connect shows each number with its plus and the calling code."""
        code = Printed.of("amazon-connect", url).block("System Y", "python")
        told = _handled(code, ani, f"+1{dnis}", call)
        assert (told["found"] == "true") == bool(told["value"])
        return told["value"] or None

    def test_a_withheld_caller_has_no_address(self, desk: Desk) -> None:
        number = self.lease(desk.url, "hotline", None, self.value, "call-1")
        assert self.take(desk.url, number, ANI, "call-2") is None
        assert self.take(desk.url, number, None, "call-2") == self.value
