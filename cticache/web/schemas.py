"""What a client may send, as marshmallow schemas."""

import re
from collections.abc import Mapping
from itertools import chain, combinations
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields

from cticache.errors import WrongFields
from cticache.numbering.ani import WITHHELD, Ani, read

_MOST_SECONDS_DIGITS = 9


class AniField(fields.Field[Ani]):
    """A caller's number in any of the forms of cticache.numbering.ani, or a word that its pool may know; or null."""

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Ani:
        """Null is the withheld number: marshmallow would make None of it."""
        return Ani(None, WITHHELD) if value is None else super().deserialize(value, attr, data, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Ani:
        if not isinstance(value, str):
            raise ValidationError("Not a string: put the number in quotes, or its leading zeros are lost.")
        try:
            return read(value)
        except ValueError as error:
            raise ValidationError(f"It {error}.") from None


class SecondsField(fields.Field[int]):
    """A whole number of seconds, at least 1; digits in a string too, as forms send them."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValidationError("Not a whole number of seconds.")
        if not re.fullmatch(rf"0*[1-9][0-9]{{0,{_MOST_SECONDS_DIGITS - 1}}}", str(value)):
            raise ValidationError("Not a whole number of seconds, at least 1.")
        return int(value)


class KeyField(fields.Field[str]):
    """An idempotency key: 1 to 128 visible ASCII characters, bare or as a quoted string of RFC 8941."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if isinstance(value, str):
            bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
            if re.fullmatch(r"[!-~]{1,128}", bare):
                return bare
        raise ValidationError("Not a key of 1 to 128 visible ASCII characters.")


class _Strict(Schema):
    class Meta:
        """A field that is not listed is an error, so that a misspelt one is noticed."""

        unknown = RAISE


class LeaseSchema(_Strict):
    """The body of POST /cticache/DNIS-ANI."""

    value = fields.Raw(required=True, allow_none=True)
    ani = AniField(required=True, error_messages={"required": 'Missing: send "" if it is withheld.'})
    pool = fields.String()
    ttl = SecondsField()
    idempotency_key = KeyField()


class RenewSchema(_Strict):
    """The body of a PUT; the key may be in the URL, and all else is optional."""

    value = fields.Raw(allow_none=True)
    ttl = SecondsField()
    dnis = fields.String()
    ani = AniField()


class TakeSchema(_Strict):
    """The body of POST .../take, of which all that the URL says may be left out."""

    idempotency_key = KeyField()
    dnis = fields.String()
    ani = AniField()


class ReleaseSchema(_Strict):
    """The body of POST /cticache/release: a call by its DNIS and its ANI or token, or a user; and the pool."""

    pool = fields.String(metadata={"description": "The pool; the only one that the user may use if it is left out."})
    dnis = fields.String()
    ani = AniField()
    token = fields.String()
    user = fields.String()


class ExplainSchema(_Strict):
    """The body of POST /cticache/explain: a call as System Y saw it."""

    dnis = fields.String(required=True, error_messages={"required": "Missing."})
    ani = AniField(required=True, error_messages={"required": "Missing."})


class Fields:
    """What a client may send in one place, ready to be validated.

    marshmallow spends time on every field of a schema, sent or not. So there is a schema for each combination of the
    optional fields, and what was sent is validated by the one with just those fields: the verdict is the same.
    """

    def __init__(self, schema: type[Schema]) -> None:
        self._whole = schema()
        optional = [name for name, field in self._whole.fields.items() if not field.required]
        required = self._whole.fields.keys() - set(optional)
        choices = chain.from_iterable(combinations(optional, count) for count in range(len(optional) + 1))
        self._by_sent = {sent: schema(only=sent) for sent in (frozenset(required.union(some)) for some in choices)}

    def load(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The validated fields; WrongFields names every fault."""
        schema = self._by_sent.get(frozenset(data), self._whole)
        try:
            loaded: dict[str, Any] = schema.load(data)
        except ValidationError as error:
            error.__traceback__ = None  # a frame of marshmallow's that it leads to refers to it: a circle
            raise WrongFields({str(name): list(faults) for name, faults in error.messages_dict.items()}) from None
        return loaded


LEASE, RENEW, TAKE = Fields(LeaseSchema), Fields(RenewSchema), Fields(TakeSchema)
RELEASE = Fields(ReleaseSchema)
EXPLAIN = Fields(ExplainSchema)
