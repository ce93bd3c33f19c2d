"""docs/recipes/voicexml.md, read as a VoiceXML browser reads it."""

from collections.abc import Iterator
from typing import Any

import pytest

from kit.ecmascript import Interpreter
from kit.recipes import AsBoth, Printed
from kit.voicexml import Browser


class TestVoiceXml(AsBoth):
    @pytest.fixture(autouse=True)
    def _interpreted(self) -> Iterator[None]:
        self._interpreter = Interpreter()
        yield
        self._interpreter.close()

    def _run(self, document: str, remote: str, local: str, call: str) -> tuple[str, Any]:
        connection = {"remote": {"uri": f"sip:{remote}@sbc.example.com:5060"}, "local": {"uri": f"tel:{local}"}}
        session = {"connection": connection | {"callid": call}}
        return Browser(self._interpreter, session).run(document.encode())

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        document = Printed.of("voicexml", url, pool).block("System X", "xml")
        known = "".join(f"\\u{ord(each):04x}" for each in value)
        given = document.replace("'account 12345678'", f"'{known}'")
        assert given != document
        how, destination = self._run(given, ani, "5551110000", call)
        assert how == "transfer"
        return str(destination).removeprefix("tel:")

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        how, told = self._run(Printed.of("voicexml", url).block("System Y", "xml"), ani, f"+1{dnis}", call)
        assert how == "exit"
        return told["data"] or None
