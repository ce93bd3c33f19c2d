"""A reader of the one function that a PowerShell recipe has: what its Invoke-RestMethod sends, and what it returns.

It knows the shapes that stand in the recipe and no others; anything else is an AssertionError.
"""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

_LITERAL = re.compile(r"'([^']*)'")
_LOGIN = re.compile(r"'Basic ' \+ \[Convert\]::ToBase64String\(\[Text\.Encoding\]::UTF8\.GetBytes\('([^']*)'\)\)")
_BODY = "[Text.Encoding]::UTF8.GetBytes((ConvertTo-Json $fields -Compress))"


def called(script: str, arguments: Sequence[str]) -> str | None:
    """What the script's function returns for these arguments."""
    (function,) = re.findall(r"^function [\w-]+\((.*?)\) \{\n(.*?)^\}$", script, re.MULTILINE | re.DOTALL)
    parameters = re.findall(r"\[string\]\$(\w+)", function[0])
    assert len(parameters) == len(arguments)
    variables = dict(zip((name.lower() for name in parameters), arguments, strict=True))
    for name, text in re.findall(r"^\$(\w+) = (.+?)(?: # .*)?$", script, re.MULTILINE):
        variables[name.lower()] = _read(text, variables)
    body = function[1]
    (fields_text,) = re.findall(r"^    \$fields = @\{ (.*) \}$", body, re.MULTILINE)
    fields = {name: _read(text, variables) for name, text in _pairs(fields_text.split("; "))}
    (request_text,) = re.findall(r"^    \$request = @\{\n(.*?)^    \}$", body, re.MULTILINE | re.DOTALL)
    request = dict(_pairs(request_text.strip().splitlines()))
    assert request.pop("Method") == "'Post'"
    assert request.pop("Body") == _BODY
    assert request.pop("Headers") == "@{ Authorization = $login }"
    headers = {"Authorization": variables["login"], "Content-Type": _read(request.pop("ContentType"), variables)}
    seconds = int(request.pop("TimeoutSec"))
    sent = Request(_read(request.pop("Uri"), variables), json.dumps(fields).encode(), headers)
    assert not request
    (tries,) = re.findall(r"foreach \(\$try in ([\d, ]+)\) \{", body)
    for _ in tries.split(", "):
        try:
            with urlopen(sent, timeout=seconds) as answer:
                return _returned(body, json.load(answer), variables)
        except (URLError, OSError):  # Invoke-RestMethod throws for these, and for each status from 400 on
            continue
    last = re.findall(r"^    return \$(\w+)$", body, re.MULTILINE)
    return variables[last[0]] if last else None


def _returned(body: str, told: dict[str, Any], variables: dict[str, str]) -> str | None:
    """What the block of ``try`` returns of an answer."""
    (block,) = re.findall(r"^        try \{\n(.*?)^        \} catch", body, re.MULTILINE | re.DOTALL)
    for line in map(str.strip, block.splitlines()):
        if direct := re.fullmatch(r"return \(Invoke-RestMethod @request\)\.(\w+)", line):
            return told.get(direct[1])
        if checked := re.fullmatch(r"if \(\$told\.(\w+)\) \{ return \$told\.\1 \}", line):
            if told.get(checked[1]):
                return str(told[checked[1]])
        elif last := re.fullmatch(r"return \$(\w+)", line):
            return variables[last[1]]
        else:
            assert line == "$told = Invoke-RestMethod @request", line
    raise AssertionError(block)


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(name.strip(), text.strip()) for name, _, text in (each.partition("=") for each in texts)]


def _read(text: str, variables: dict[str, str]) -> str:
    """A literal, a variable, or the login."""
    if found := _LOGIN.fullmatch(text):
        return "Basic " + base64.b64encode(found[1].encode()).decode()
    if found := _LITERAL.fullmatch(text):
        return found[1]
    assert text.startswith("$"), text
    return variables[text[1:].lower()]
