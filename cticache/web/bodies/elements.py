"""XML (XML 1.0): one root element of any name, whose children are the fields."""

from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from cticache.errors import NotXml, WrongFields
from cticache.web.bodies.pairs import unique, with_json_value

_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
_TRUE = frozenset({"true", "1"})


def children(text: str) -> dict[str, Any]:
    """The fields: each child's text, or None under ``xsi:nil="true"``; namespaces are ignored.

    Raises NotXml for what is not well-formed, declares a document type or has an entity of its own, which is never
    expanded; WrongFields for attributes and for elements within a field.
    """
    try:
        root = fromstring(text, forbid_dtd=True)
    except ParseError as error:
        error.__traceback__ = None  # the frame that raised it refers to it: a circle
        line, column = error.position
        raise NotXml(f"The body is not XML: line {line}, column {column}.") from None
    except DefusedXmlException:
        raise NotXml("The body declares a document type or an entity, which is not read here.") from None
    except ValueError:  # a half of a surrogate pair, say
        raise NotXml("The body is not XML that can be read.") from None
    _refuse_attributes(root)
    around = [root.text, *(child.tail for child in root)]
    if any(text and text.strip() for text in around):
        raise WrongFields({_name(root): ["Text beside its elements: each field is an element."]})
    return with_json_value(unique((_name(child), _text(child)) for child in root))


def _text(field: Element) -> str | None:
    if len(field):
        raise WrongFields({_name(field): ["Elements within it: a field is text."]})
    _refuse_attributes(field)
    is_nil = field.get(_INSTANCE + "nil", "").strip() in _TRUE
    return None if is_nil else field.text or ""


def _refuse_attributes(element: Element) -> None:
    for name in element.keys():  # noqa: SIM118 - an element iterates over its children
        if not name.startswith(_INSTANCE):
            raise WrongFields({_name(element): [f"The attribute {_local(name)}: only those of xsi may be there."]})


def _name(element: Element) -> str:
    return _local(element.tag)


def _local(name: str) -> str:
    """The name without its namespace."""
    return name.rpartition("}")[2]
