"""Callers' and called numbers: how they are written, which set they are in, whose pool they are of. Pure: no I/O."""
