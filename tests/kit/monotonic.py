"""A clock of seconds that a test moves on."""


class Monotonic:
    """In place of time.monotonic."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
