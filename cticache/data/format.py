"""The format of the data in Redis, by which the releases that share one know whether they may serve side by side.

A release that writes anything which the one before it did not has the next FORMAT. Only where the one before it would
give a wrong answer on that, LEAST_READER becomes that number, too. What an older release wrote is always read. Both are
kept in Redis, as the highest that any service has told; data without them are of format 1.
"""

from importlib.metadata import version

from cticache.data.outage import Outage
from cticache.data.replies import DataFormat
from cticache.link.trouble import Trouble

FORMAT = 2
"""What this release writes, and the highest it knows."""
LEAST_READER = 1
"""What a service must know at least to serve beside this one."""


NEWER = (
    "The data in this Redis are of format {format}, made by cticache {release}, and only services that know format "
    "{least_reader} may serve them; this is cticache {own}, which knows formats up to {known}: upgrade this service, "
    "or give it another Redis or [redis] prefix"
)
OLDER = (
    "Another cticache on this Redis knows formats of its data up to {known}: {who}; this is cticache {own}, whose "
    "format is for services that know {least_reader}: stop that one, and this one goes on"
)


class OtherFormat(Exception):
    """This service and the data in Redis, or a service on it, do not fit; the text says what to do."""

    @classmethod
    def newer(cls, found: DataFormat) -> "OtherFormat":
        """The data are of a release that this one knows nothing of."""
        return cls(NEWER.format(**found._asdict(), own=release(), known=FORMAT))

    @classmethod
    def older(cls, known: int, who: str) -> "OtherFormat":
        """A service lives that knows nothing of what this one would write."""
        return cls(OLDER.format(known=known, who=who, own=release(), least_reader=LEAST_READER))


class Bar:
    """What keeps this process from asking Redis; its stores share it with whoever finds that out."""

    outage: Outage | None = None

    def learn(self, outage: Outage | None) -> None:
        """This is what is wrong with Redis now, if anything is."""
        self.outage = outage if outage and outage.trouble.bars else None


def release() -> str:
    """This release, as the data keep it."""
    return version("cticache")


def trouble(error: OtherFormat) -> Trouble:
    """The same as what is wrong with Redis: nothing more is asked of it."""
    return Trouble(str(error), bars=True)


def check(found: DataFormat) -> None:
    """OtherFormat unless this release may serve such data."""
    if found.least_reader > FORMAT:
        raise OtherFormat.newer(found)
