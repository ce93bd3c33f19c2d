"""The services that share one Redis: which live, and which rules."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from cticache.data import format as formats
from cticache.data.replies import DataFormat, Registered, Ruler, Ruling, Standing, pairs, time_of
from cticache.data.store.asking import Asking

MOST_SERVICES = 1000
_OF_A_SERVICE = len(Registered._fields)
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Services(Asking):
    """What the services know of each other."""

    def service_look(
        self, service: str, start_ms: int, live_ms: int, *, numbers: str, rules: str, who: str, told: str = ""
    ) -> Standing:
        """Register a service for ``live_ms`` more, and learn which of those that live rules.

        ``start_ms`` is 0 for a service that is new, and else what it was told then. ``told`` is what the service tells
        of itself to whoever asks for ``services``. OtherFormat where this release must not serve there; it is asked,
        too, while that keeps all else from being asked.
        """
        ((outcome, *reply),) = self._run_anyway(
            [
                (
                    "service_look",
                    self._keys.service_look(),
                    {
                        "service": service,
                        "start_ms": start_ms,
                        "live_ms": live_ms,
                        "numbers": numbers,
                        "rules": rules,
                        "who": who,
                        "told": told,
                        "most_services": MOST_SERVICES,
                        "own_format": formats.FORMAT,
                        "least_reader": formats.LEAST_READER,
                        "release": formats.release(),
                    },
                )
            ]
        )
        if outcome == "newer":
            raise formats.OtherFormat.newer(DataFormat(*reply))
        if outcome == "older":
            raise formats.OtherFormat.older(*reply)
        start, was_there, ruler, ruling, former, asked = reply
        return Standing(start, bool(was_there), Ruler(*ruler), Ruling(ruling, dict(pairs(former)), {}), asked)

    def services(self) -> list[Registered]:
        """The services that live on this Redis, the one that was started last first."""
        reply = iter(self._run("services", self._keys.services(), most_services=MOST_SERVICES))
        return [
            Registered(service, time_of(start), *rest)
            for service, start, *rest in zip(*[reply] * _OF_A_SERVICE, strict=True)
        ]

    def service_leave(self, service: str) -> bool:
        """Register a service no longer; whether it was registered. It may leave in whatever format the data are."""
        (was_there,) = self._run_anyway([("service_leave", self._keys.service_leave(), {"service": service})])
        return bool(was_there)

    def data_format(self) -> DataFormat:
        """The format of the data."""
        return DataFormat(*self._run("data_format", self._keys.data_format()))

    def service_ask(self, asked: str) -> dict[str, str]:
        """Ask all services that live to read their configuration again; each with who it is, in words.

        ``asked`` is unique, and what ``service_answers`` is told.
        """
        return dict(pairs(self._run("service_ask", self._keys.service_ask(), asked=asked, most_services=MOST_SERVICES)))

    def service_answer(self, service: str, asked: str, answer: str) -> bool:
        """Tell whoever has asked what became of it; whether the service is registered, and can be heard."""
        keys = self._keys.service_answer()
        return bool(self._run("service_answer", keys, service=service, asked=asked, answer=answer))

    def service_answers(self, asked: str) -> dict[str, str]:
        """What each service that lives and was asked has answered by now; empty for nothing yet."""
        keys = self._keys.service_answers()
        return dict(pairs(self._run("service_answers", keys, asked=asked, most_services=MOST_SERVICES)))

    def pool_claim(
        self,
        step: Literal["take_over", "claim", "forget", "ask", "list"],
        numbers: str = "",
        claims: Mapping[str, str] = _NOTHING,
    ) -> Ruling:
        """Say which pools there are: name -> fingerprint of its numbers; returns what is valid from now on.

        That is not what was said where another service rules. lua/pool_claim.lua lists the steps.
        """
        ruling, former, pools = self._run(
            "pool_claim",
            self._keys.pool_claim(),
            step=step,
            numbers=numbers,
            most_services=MOST_SERVICES,
            claims=[text for claim in claims.items() for text in claim],
        )
        return Ruling(ruling, dict(pairs(former)), dict(pairs(pools)))
