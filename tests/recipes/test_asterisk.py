"""docs/recipes/asterisk.md, by a reader of the dialplan and real HTTP."""

from kit.asterisk import Channel
from kit.recipes import VALUE, AsBoth, Printed


def _ran(dialplan: str, context: str, ani: str, call: str, **variables: str) -> dict[str, str]:
    channel = Channel(ani, {"UNIQUEID": call, **variables})
    channel.run(dialplan, context)
    return channel.variables


class TestJsonDecode(AsBoth):
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        dialplan = Printed.of("asterisk", url, pool).block("System X", "asterisk")
        return _ran(dialplan, "lease", ani, call, VALUE=value)["NUMBER"]

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        dialplan = Printed.of("asterisk", url).block("System Y", "asterisk")
        return _ran(dialplan, "take", ani, call, ARG1=dnis)["DATA"] or None


class TestHash(TestJsonDecode):
    value = VALUE.replace('"', "")

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        dialplan = Printed.of("asterisk", url, pool).block("System X", "asterisk", 1)
        return _ran(dialplan, "lease", ani, call, VALUE=value)["NUMBER"]

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        dialplan = Printed.of("asterisk", url).block("System Y", "asterisk", 1)
        return _ran(dialplan, "take", ani, call, ARG1=dnis)["DATA"] or None
