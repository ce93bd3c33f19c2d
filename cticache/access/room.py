"""How many may wait at once, so that the many of one name leave room for those of another."""

from collections import Counter


class Room:
    """Places for those who wait; a name may have as many as it leaves free.

    So one name takes half of them at the most, two that come by turns a third each: who comes under another finds one.
    The rule is that of buffers that several queues share (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998).
    """

    def __init__(self, places: int | None) -> None:
        """``places``: None for any number of them."""
        self.taken = 0
        self.places = places
        """May be changed while some are taken."""
        self._of: Counter[str] = Counter()

    def enter(self, name: str) -> bool:
        """Take a place; whether there is one for this name."""
        if self.places is not None and self._of[name] >= self.places - self.taken:
            return False
        self._of[name] += 1
        self.taken += 1
        return True

    def leave(self, name: str) -> None:
        """Give it back."""
        self._of[name] -= 1
        self.taken -= 1
