"""The data layer: one method per script of lua/, under the script's name, in the module of what it is about.

Every method takes one round trip, unless it says otherwise. A script is run again only where Redis has proved that it
ran nothing.
"""

from cticache.data.store.calls import Calls
from cticache.data.store.events import Events
from cticache.data.store.figures import Figures
from cticache.data.store.logins import Logins
from cticache.data.store.numbers import Numbers
from cticache.data.store.server import Server
from cticache.data.store.services import Services


class Store(Calls, Numbers, Figures, Services, Events, Logins, Server):
    """The calls kept in one Redis."""
