"""The words of a request's query, each said once or every time alike."""

from collections.abc import Collection
from typing import Any

from falcon import Request

from cticache.errors import WrongFields

OPTIONS = frozenset({"format", "status", "detail", "_method"})
"""What the query of any request may say."""


def one(req: Request, name: str) -> str | None:
    """What the query says under this name; None if nothing. WrongFields if it says two things, or not UTF-8."""
    said: Any = req.params.get(name)
    if isinstance(said, list):
        if len(set(said)) > 1:
            raise WrongFields({name: ["Given twice in the query, and not the same."]})
        said = said[0]
    if said is not None and "\ufffd" in said:
        raise WrongFields({name: ["Not UTF-8 in the query."]})
    text: str | None = said
    return text


def check_detail(req: Request) -> None:
    """WrongFields for a detail other than 0 and 1."""
    if req.env["QUERY_STRING"] and one(req, "detail") not in (None, "0", "1"):
        raise WrongFields({"detail": ["Not 0 or 1."]})


def words(req: Request, known: Collection[str], *, strict: bool) -> dict[str, str]:
    """What the query says of these words.

    Raises WrongFields, if ``strict``, for a word that is none of them nor an option. A request that changes something
    is to be strict: misspelt, ``idempotency_key`` would protect no retry. Where nothing is changed other words may be
    there, such as platforms add to get past a cache.
    """
    if not req.env["QUERY_STRING"]:
        return {}
    if strict and (unknown := [name for name in req.params if name not in known and name not in OPTIONS]):
        allowed = ", ".join(sorted({*known, *OPTIONS}))
        raise WrongFields({name: [f"Not a word of this request's query, which are {allowed}."] for name in unknown})
    return {name: text for name in known if (text := one(req, name)) is not None}
