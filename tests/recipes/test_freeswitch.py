"""docs/recipes/freeswitch.md: the scripts by Lua, and what mod_curl would send by curl."""

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kit.recipes import AsBoth, Printed

_STAGE = r"""
-- What FreeSWITCH has for the scripts: the variables of one call, and mod_curl by the program curl.
local variables = {}
for name, text in io.open(os.getenv("GIVEN"), "rb"):read("*a"):gmatch("([%w_]+)=(.-)%z") do variables[name] = text end
session = {
  getVariable = function(_, name) return variables[name] end,
  setVariable = function(_, name, text) io.stdout:write(name, "=", text) end,
}
freeswitch = { API = function()
  return { execute = function(_, command, text)
    assert(command == "curl")
    -- As separate_string_blank_delim parts it; nothing in the recipe is quoted.
    local words = {}
    for word in text:gmatch("[^ ]+") do
      assert(not word:find("['\"\\]"))
      words[#words + 1] = word
    end
    assert(#words == 5 and words[2] == "timeout" and words[4] == "post")
    local decoded = words[5]:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    local body = io.open(os.getenv("BODY"), "wb")
    body:write(decoded)
    body:close()
    local curl = io.popen("curl -s --anyauth -m " .. words[3] .. " --data-binary @\"$BODY\" '" .. words[1] .. "'")
    local answer = curl:read("*a")
    curl:close()
    return answer
  end }
end }
"""


class TestFreeSwitch(AsBoth):
    @pytest.fixture(autouse=True)
    def _placed(self, tmp_path: Path) -> None:
        self._folder = tmp_path

    def _set(self, script: str, **given: str) -> tuple[str, str]:
        """The variable that the script sets for a call, and its text."""
        variables, body, stage = (self._folder / name for name in ("variables", "body", "stage.lua"))
        variables.write_bytes(b"".join(f"{name}={text}\0".encode() for name, text in given.items()))
        stage.write_text(_STAGE + script, "utf-8")
        environment = os.environ | {"GIVEN": str(variables), "BODY": str(body)}
        done = subprocess.run(["lua5.1", str(stage)], capture_output=True, check=True, env=environment)
        name, _, text = done.stdout.decode().partition("=")
        return name, text

    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        script = Printed.of("freeswitch", url, pool).block("System X", "lua")
        name, number = self._set(script, caller_id_number=ani, account=value, uuid=call)
        assert name == "number"
        return number

    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        script = Printed.of("freeswitch", url).block("System Y", "lua")
        name, data = self._set(script, destination_number=dnis, caller_id_number=ani, uuid=call)
        assert name == "data"
        return data or None


@pytest.mark.parametrize(("side", "called"), [("X", "lease"), ("Y", "take")])
def test_the_dialplan_calls_the_script_before_the_call_goes_on(side: str, called: str) -> None:
    printed = Printed.of("freeswitch", "http://127.0.0.1:8080")
    extension = ElementTree.fromstring(printed.block(f"System {side}", "xml"))
    actions = [(each.get("application"), each.get("data", "")) for each in extension.iter("action")]
    assert actions[0] == ("lua", f"{called}.lua")
    (variable,) = re.findall(r'session:setVariable\("(\w+)"', printed.block(f"System {side}", "lua"))
    assert f"${{{variable}}}" in actions[1][1]
