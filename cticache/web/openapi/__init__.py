"""The service described in OpenAPI 3.1: made of the schemas, the formats and the refusals that it runs with."""
