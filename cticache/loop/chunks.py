"""A chunked body (RFC 9112 section 7.1), read in one way only.

waitress's own reader takes a bare LF at the end of a chunk's size, blank lines before it and anything for a trailer,
where a proxy may see another end of the request; and it keeps a line of any length.
"""

import re
from collections.abc import Callable
from typing import IO, Any

from waitress.buffers import OverflowableBuffer

from cticache.errors import BadRequest, HeadersTooLarge, Refusal, TooLarge

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*")
"""A chunk's size and its extensions, which mean nothing here."""
_TRAILER = re.compile(_TOKEN + rb":[\t -~\x80-\xff]*")
"""A line of the trailer section, which means nothing here, either."""
_LONGEST_LINE = 1024
"""Bytes of a chunk's size with its extensions."""
_LONGEST_TRAILER = 16384
"""Bytes of the trailer section, as many as of the headers."""


class Chunks:
    """What waitress's parser asks of a body's reader."""

    def __init__(self, buffer: OverflowableBuffer) -> None:
        self._buffer = buffer
        self._left = 0
        """Bytes of the chunk that are still to come."""
        self._line = b""
        """What has come of a line."""
        self._read: Callable[[Chunks, bytes], None] = Chunks._size
        """What the next line is read as. Bound, it would have this refer to itself, for the collector alone to free."""
        self._trailer_bytes = 0
        self.completed = False
        self.refusal: Refusal | None = None

    @property
    def error(self) -> Refusal | None:
        """What is wrong with it."""
        return self.refusal

    def __len__(self) -> int:
        return len(self._buffer)

    def received(self, data: bytes) -> int:
        """Take what belongs to the body; how many bytes that was."""
        at = 0
        while at < len(data) and not (self.completed or self.refusal):
            if self._left:
                part = data[at : at + self._left]
                self._buffer.append(part)
                self._left -= len(part)
                at += len(part)
                continue
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or None]
            at = end or len(data)
            if end:
                line, self._line = self._line, b""
                if line[-2:] == b"\r\n" and b"\r" not in line[:-2]:
                    self._read(self, line[:-2])
                else:
                    self.refusal = BadRequest()
            elif len(self._line) > (_LONGEST_TRAILER if self._read is Chunks._trailer else _LONGEST_LINE):
                self.refusal = HeadersTooLarge() if self._read is Chunks._trailer else TooLarge()
        return at

    def getfile(self) -> IO[bytes]:
        """The body."""
        file: IO[bytes] = self._buffer.getfile()
        return file

    def getbuf(self) -> Any:
        """The buffer, to be closed."""
        return self._buffer

    def _size(self, line: bytes) -> None:
        said = _SIZE.fullmatch(line)
        if not said:
            self.refusal = BadRequest()
        elif len(line) > _LONGEST_LINE:
            self.refusal = TooLarge()
        else:
            self._left = int(said[1], 16)
            self._read = Chunks._end if self._left else Chunks._trailer

    def _end(self, line: bytes) -> None:
        """After a chunk."""
        self._read = Chunks._size
        if line:
            self.refusal = BadRequest()

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if not line:
            self.completed = True
        elif self._trailer_bytes > _LONGEST_TRAILER:
            self.refusal = HeadersTooLarge()
        elif not _TRAILER.fullmatch(line):
            self.refusal = BadRequest()
