"""docs/recipes/genesys-ird.md: the requests of its tables."""

import json
import re
from typing import Any

from kit.properties import answered, table
from kit.recipes import GENERAL, AsBoth, Printed


def _asked(part: str, **variables: str) -> dict[str, Any] | None:
    """The list that IRD makes of the answer. It puts its variables into the body as they are."""
    properties = table(part)
    assert properties["Method"] == "POST"
    answer = answered(
        properties["URL"],
        f"{properties['User']}:{properties['Password']}",
        properties["Content type"],
        re.sub(r"\{(\w+)\}", lambda found: variables[found[1]], properties["Body"]),
        float(properties["Timeout, seconds"]),
    )
    return None if answer is None else dict(json.loads(answer))


class TestGenesysIrd(AsBoth):
    value = "0012345678 Jürgen <O'Neil> & Co, 100%41 +1 $x {y}"
    repeats = False

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        told = _asked(Printed.of("genesys-ird", url, pool).part("System X"), ani=ani, value=value, connid=call)
        return GENERAL if told is None else str(told.get("dnis") or told["transfer_to"])

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        told = _asked(Printed.of("genesys-ird", url).part("System Y"), dnis=dnis, ani=ani, connid=call)
        return told.get("value") if told else None
