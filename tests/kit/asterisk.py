"""A reader of a dialplan: what Asterisk does with the applications and functions that the recipe has.

It goes by Asterisk's own source (func_curl, func_strings, func_json); anything else that stands there is a KeyError.
"""

import base64
import json
import re
from collections.abc import Callable
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

_STEP = re.compile(r"^(?:exten => s,1| same => n),(\w+)\((.*)\)$", re.MULTILINE)


class Channel:
    """One call, in the dialplan."""

    def __init__(self, ani: str, variables: dict[str, str]) -> None:
        self.variables = variables
        self._functions: dict[str, Callable[[str], str]] = {
            "CALLERID": lambda _: ani,
            "URIENCODE": lambda text: quote(text, safe="-._~!*'()"),
            "LEN": lambda text: str(len(text.encode())),
            "CURL": self._curl,
            "JSON_DECODE": self._json,
            "HASH": lambda text: self.variables.get(f"HASH({text})", ""),
        }

    def run(self, dialplan: str, context: str) -> None:
        """One context, from its first step to Return."""
        (steps,) = re.findall(rf"^\[{context}\]\n(.*?)(?=^\[|\Z)", dialplan, re.MULTILINE | re.DOTALL)
        for application, text in _STEP.findall(steps):
            if application == "Return":
                return
            self._apply(application, self._filled(text))
        raise AssertionError("it does not return")

    def _apply(self, application: str, text: str) -> None:
        if application == "ExecIf":
            true, _, then = text.partition("?")
            if true == "1":
                found = re.fullmatch(r"(\w+)\((.*)\)", then, re.DOTALL)
                assert found, then
                self._apply(found[1], found[2])
            return
        assert application == "Set", application
        name, _, value = text.partition("=")
        if name.startswith("HASH("):
            fields = self.variables["~ODBCFIELDS~"].split(",")
            for field, each in zip(fields, _arguments(value), strict=False):
                self.variables[f"{name[:-1]},{field})"] = each
        else:
            self.variables[name] = value

    def _filled(self, text: str) -> str:
        """The text with its variables, functions and expressions replaced, the innermost first."""
        out, at = "", 0
        while at < len(text):
            if text[at : at + 2] in ("${", "$["):
                end = _closing(text, at + 1)
                inner = self._filled(text[at + 2 : end])
                out += self._value(inner) if text[at + 1] == "{" else self._expression(inner)
                at = end + 1
            else:
                out += text[at]
                at += 1
        return out

    def _value(self, name: str) -> str:
        function = re.fullmatch(r"([A-Z_]+)\((.*)\)", name, re.DOTALL)
        return self._functions[function[1]](function[2]) if function else self.variables.get(name, "")

    @staticmethod
    def _expression(text: str) -> str:
        left, right = text.split(" = ")
        return str(int(left == right))

    def _curl(self, text: str) -> str:
        """The body, whatever the status; empty without one. libcurl knows of no other Content-Type here."""
        url, data = text.split(",")
        login = base64.b64encode(self.variables["CURLOPT(userpwd)"].encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
        try:
            with urlopen(Request(url, data.encode(), headers), timeout=int(self._option("httptimeout"))) as answer:
                body = answer.read().decode()
        except HTTPError as error:
            with error:
                body = error.read().decode()
        except (URLError, OSError):
            body = ""
        if self.variables.get("CURLOPT(hashcompat)") != "yes":
            return body.rstrip("\r\n")
        pairs = [pair.partition("=") for pair in body.split("&")]
        self.variables["~ODBCFIELDS~"] = ",".join(unquote(name) for name, _, _ in pairs)
        return ",".join(re.sub(r"([\\,])", r"\\\1", unquote(value)) for _, _, value in pairs)

    def _option(self, name: str) -> str:
        return self.variables[f"CURLOPT({name})"]

    def _json(self, text: str) -> str:
        variable, name = text.split(",")
        try:
            found = json.loads(self.variables.get(variable, ""))
        except ValueError:
            return ""
        return str(found.get(name, ""))


def _closing(text: str, at: int) -> int:
    """Where the bracket ends that begins here."""
    opened, closed = text[at], {"{": "}", "[": "]"}[text[at]]
    depth = 0
    for place in range(at, len(text)):
        depth += (text[place] == opened) - (text[place] == closed)
        if not depth:
            return place
    raise AssertionError(text)


def _arguments(text: str) -> list[str]:
    """As AST_STANDARD_APP_ARGS parts them: at commas, but for those in quotation marks or after a backslash."""
    found, quoted, at = [""], False, 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            found[-1] += text[at + 1]
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == "," and not quoted:
            found.append("")
        else:
            found[-1] += text[at]
        at += 1
    return found
