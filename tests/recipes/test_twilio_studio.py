"""docs/recipes/twilio-studio.md, gone through as Studio goes through a flow."""

import json

from kit.recipes import GENERAL, AsBoth, Printed
from kit.studio import ran


class TestTwilioStudio(AsBoth):
    general = f"+1{GENERAL}"
    repeats = False

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        flow = json.loads(Printed.of("twilio-studio", url, pool).block("System X", "json"))
        ended = ran(flow, {"From": ani, "To": "+15551110000", "CallSid": call}, {"value": value})
        return str(ended["to"])

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        """Twilio shows each number with its plus and the calling code."""
        flow = json.loads(Printed.of("twilio-studio", url).block("System Y", "json"))
        ended = ran(flow, {"From": ani, "To": f"+1{dnis}", "CallSid": call}, {})
        return ended["variables"]["data"] or None
