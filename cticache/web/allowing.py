"""A resource that says which methods it has."""

from typing import Any

from falcon import COMBINED_METHODS, Request, Response


class Allowing:
    """Answers OPTIONS."""

    def on_options(self, _req: Request, resp: Response, **_parameters: Any) -> None:
        """Answer without content, the methods in Allow (RFC 9110 sections 9.3.7 and 10.2.1)."""
        resp.status = 204
        resp.set_header(
            "Allow", ", ".join(method for method in COMBINED_METHODS if hasattr(self, f"on_{method.lower()}"))
        )
