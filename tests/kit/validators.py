"""What tells whether a document is OpenAPI, and whether JSON is as a schema has it."""

import sys

import pytest

try:
    from jsonschema import Draft202012Validator
    from openapi_spec_validator import validate as validate_openapi
except ImportError:  # Wine lacks something that the library beneath them asks of Windows
    if sys.platform != "win32":
        raise
    pytest.skip("Wine cannot load what validates JSON", allow_module_level=True)

__all__ = ["Draft202012Validator", "validate_openapi"]
