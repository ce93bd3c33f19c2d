"""Callers' and called numbers: how they are written, which set and which pool they belong to. Pure: no I/O."""
