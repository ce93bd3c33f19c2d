"""How an option of config.ini is declared: on the attribute that it becomes, in the class made from its section.

    ttl_ms: int = declared(Whole(1, 86_400, "seconds", times=1000), 300_000, name="ttl")

That line is all it takes: the section's schema is made from the class, so no option can be read and then not kept. Each
kind of option reads its text, or raises a ValidationError that says, without a subject, what is allowed.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What the name of a pool or a user, or the keys' prefix, may be."""
_KIND, _SECRET, _AT_START = "kind", "secret", "at_start"
_T = TypeVar("_T")


def declared(
    kind: fields.Field[_T],
    default: _T | Any = dataclasses.MISSING,
    *,
    name: str = "",
    secret: bool = False,
    at_start: bool = False,
) -> Any:
    """A dataclass attribute that is also an option of the section; without a default it must be given.

    ``name`` is the option's name if it differs. A secret may be in a file of its own, and is never shown. What is read
    ``at_start`` alone does not change while the service runs.
    """
    kind.required = default is dataclasses.MISSING
    kind.data_key = name or None
    return dataclasses.field(default=default, metadata={_KIND: kind, _SECRET: secret, _AT_START: at_start})


class Section:
    """The options that a dataclass declares."""

    def __init__(self, made: type) -> None:
        """``made``: the class that a section of the file becomes."""
        found = {field.name: field.metadata for field in dataclasses.fields(made) if field.metadata}
        kinds: dict[str, fields.Field[Any]] = {attribute: told[_KIND] for attribute, told in found.items()}
        names = {attribute: kind.data_key or attribute for attribute, kind in kinds.items()}
        self._kinds = {names[attribute]: kind for attribute, kind in kinds.items()}
        self._schema = Schema.from_dict(kinds)(unknown=EXCLUDE)
        self.made = made
        self.options = {name: attribute for attribute, name in names.items()}
        """The names of the options -> their attributes."""
        self.secrets = frozenset(names[attribute] for attribute, told in found.items() if told[_SECRET])
        """The names of those that are never shown."""
        self.at_start = {names[attribute]: attribute for attribute, told in found.items() if told[_AT_START]}
        """The names of those that do not change while the service runs -> their attributes."""

    def load(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The attributes that were given; marshmallow's ValidationError lists the faults by option."""
        loaded: dict[str, Any] = self._schema.load(given)
        return loaded

    def as_given(self, option: str, value: Any) -> Any:
        """The value of an attribute in the unit of its option; any but of a whole number as it is."""
        kind = self._kinds[option]
        return kind.as_given(value) if isinstance(kind, Whole) else value


class Whole(fields.Field[int]):
    """A whole number between two bounds, in ASCII digits, kept ``times`` as large; ``empty`` is what no text means."""

    def __init__(self, least: int, most: int, unit: str = "", *, times: int = 1, empty: int | None = None) -> None:
        super().__init__()
        self._range = least, most, unit
        self._times = times
        self._empty = empty

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not value and self._empty is not None:
            return self._empty
        least, most, unit = self._range
        if re.fullmatch(r"[0-9]{1,18}", value) and least <= int(value) <= most:
            return int(value) * self._times
        raise ValidationError(f"must be a whole number{unit and ' of '}{unit}, {least} to {most}")

    def as_given(self, value: int) -> int | str:
        """What reads as this value."""
        return "" if value == self._empty else value // self._times


class Seconds(fields.Field[float]):
    """A positive number of seconds."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) and float(value) > 0:
            return float(value)
        raise ValidationError("must be a number of seconds above 0, such as 1.0")


class YesNo(fields.Field[bool]):
    """yes or no."""

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if value.lower() not in ("yes", "no"):
            raise ValidationError("must be yes or no")
        return value.lower() == "yes"


class Word(fields.Field[str]):
    """One of the given words."""

    def __init__(self, *allowed: str) -> None:
        super().__init__()
        self._allowed = allowed

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if value not in self._allowed:
            raise ValidationError(f"must be one of {', '.join(self._allowed)}")
        return value


class Text(fields.Field[_T]):
    """Whatever a function makes of the text; its ValueError says what is allowed."""

    def __init__(self, read: Callable[[str], _T], *, missing: str = "is missing") -> None:
        super().__init__(error_messages={"required": missing})
        self._read = read

    def _deserialize(self, value: str, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> _T:
        try:
            return self._read(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


def unquoted(text: str) -> str:
    """A path; without its quotes where it has some, as "Copy as path" of Windows puts around it."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if quoted else text


def words(text: str) -> list[str]:
    """Words between commas and blanks."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def named(text: str) -> str:
    """A name, as ``NAME`` has it."""
    if not NAME.fullmatch(text):
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 _ . -")
    return text
