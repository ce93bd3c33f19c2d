"""The five formats of an answer, each a module: its media type, how it writes a hit, and how it writes a refusal."""
