"""A small reader of VoiceXML 2.1: what a browser does with the elements that the recipe and the answers have.

It goes by the form interpretation algorithm (VoiceXML 2.0, appendix C). A fetch fails as it does in a browser: as
error.badfetch, which the form catches by how often it has come. An element that is not known here is an error.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree

from kit.ecmascript import Interpreter

_NAMESPACE = "{http://www.w3.org/2001/vxml}"
_DOM = """
function _element(tag, children) {
  var nodes = children.map(function (each) {
    return typeof each === 'string' ? {data: each} : _element(each[0], each[1]);
  });
  return {
    tagName: tag, firstChild: nodes[0] || null, childNodes: nodes,
    getElementsByTagName: function (name) {
      var found = [];
      (function walk(some) {
        some.forEach(function (node) {
          if (node.childNodes) { if (node.tagName === name) { found.push(node); } walk(node.childNodes); }
        });
      })(nodes);
      return {length: found.length, item: function (at) { return found[at]; }};
    }
  };
}
"""


class BadFetch(Exception):
    """error.badfetch."""


class _Goto(Exception):
    def __init__(self, form: str = "", item: str = "") -> None:
        self.form, self.item = form, item


class _End(Exception):
    def __init__(self, how: str, told: Any) -> None:
        self.how, self.told = how, told


@dataclass
class Browser:
    """Runs documents for one call, whose session variables it is given."""

    interpreter: Interpreter
    session: dict[str, Any]
    depth: int = 0
    """How many dialogs have called this one."""

    def run(self, text: str | bytes) -> tuple[str, Any]:
        """How it ends, and with what: ``transfer`` with its destination, ``exit`` or ``return`` with names."""
        root = ElementTree.fromstring(text)
        assert root.tag == f"{_NAMESPACE}vxml"
        assert root.get("version") == "2.1"
        self._context = f"{id(self)}"
        self._script(f"{_DOM}\nvar session = {json.dumps(self.session)};")
        forms = {}
        for each in root:
            if _name(each) == "form":
                forms[each.get("id", "")] = each
            else:
                self._execute(each)
        form = next(iter(forms.values()))
        try:
            while True:
                try:
                    self._visit(form)
                except _Goto as jump:
                    form = forms[jump.form]
        except _End as end:
            return end.how, end.told

    def _visit(self, form: ElementTree.Element) -> None:
        """One form; it ends by a jump or the end of the dialog."""
        items, catches, counted = [], [], 0
        for each in form:
            if _name(each) == "var":
                self._execute(each)
            elif _name(each) == "catch":
                catches.append(each)
            else:
                items.append(each)
        visited: set[int] = set()
        chosen: str | None = None
        while True:
            at = next(
                (at for at, item in enumerate(items) if (item.get("name") == chosen if chosen else at not in visited)),
                None,
            )
            if at is None:
                raise _End("exit", {})
            chosen = None
            visited.add(at)
            try:
                try:
                    self._item(items[at])
                except BadFetch:
                    counted += 1
                    fits = [each for each in catches if int(each.get("count", "1")) <= counted]
                    assert fits, "nobody catches error.badfetch"
                    assert all(each.get("event") == "error.badfetch" for each in fits)
                    self._all(max(fits, key=lambda each: int(each.get("count", "1"))))
            except _Goto as jump:
                if not jump.item:
                    raise
                chosen = jump.item

    def _item(self, item: ElementTree.Element) -> None:
        name = _name(item)
        if name == "block":
            self._all(item)
        elif name == "transfer":
            raise _End("transfer", self._script(item.attrib["destexpr"]))
        elif name == "subdialog":
            how, told = Browser(self.interpreter, self.session, self.depth + 1).run(self._fetch(item))
            assert how == "return"
            self._script(f"var {item.attrib['name']} = {json.dumps(told)};")
            for each in item:
                assert _name(each) == "filled"
                self._all(each)
        else:
            raise AssertionError(name)

    def _all(self, parent: ElementTree.Element) -> None:
        for each in parent:
            self._execute(each)

    def _execute(self, element: ElementTree.Element) -> None:
        name, attributes = _name(element), element.attrib
        if name == "var":
            self._script(f"var {attributes['name']} = {attributes.get('expr', 'undefined')};")
        elif name == "assign":
            self._script(f"{attributes['name']} = {attributes['expr']};")
        elif name == "script":
            self._script(element.text or "")
        elif name == "if":
            if self._script(f"!!({attributes['cond']})"):
                self._all(element)
        elif name == "data":
            tree = json.dumps(_tree(ElementTree.fromstring(self._fetch(element))))
            self._script(f"var {attributes['name']} = {{documentElement: _element.apply(null, {tree})}};")
        elif name == "goto":
            raise _Goto(attributes.get("next", "").removeprefix("#"), attributes.get("nextitem", ""))
        elif name in ("exit", "return"):
            assert (name == "return") == bool(self.depth)
            names = attributes.get("namelist", "").split()
            raise _End(name, {each: self._script(each) for each in names})
        else:
            assert name == "property", name

    def _fetch(self, element: ElementTree.Element) -> bytes:
        """What is there; a URL's user goes before it is asked for, and the fields as a form (section 5.3.8)."""
        assert element.get("method") == "post"
        parts = urlsplit(element.attrib["src"])
        names = element.attrib["namelist"].split()
        fields = [f"{name}={quote(str(self._script(name)), safe='')}" for name in names]
        login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/voicexml+xml, text/xml, application/xml, */*;q=0.1",
        }
        url = parts._replace(netloc=f"{parts.hostname}:{parts.port}").geturl()
        try:
            with urlopen(Request(url, "&".join(fields).encode(), headers), timeout=2) as answer:
                return bytes(answer.read())
        except HTTPError as error:
            error.close()
            raise BadFetch from None
        except (URLError, OSError):
            raise BadFetch from None

    def _script(self, code: str) -> Any:
        return self.interpreter.run(self._context, code)


def _name(element: ElementTree.Element) -> str:
    assert element.tag.startswith(_NAMESPACE)
    return element.tag.removeprefix(_NAMESPACE)


def _tree(element: ElementTree.Element) -> list[Any]:
    """A name, and the texts and elements below it."""
    below: list[Any] = [element.text] if element.text else []
    for each in element:
        below.append(_tree(each))
        below += [each.tail] if each.tail else []
    return [element.tag, below]
