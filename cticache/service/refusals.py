"""What Windows answers where it does not do what it was asked about a service, as a sentence that says what to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cticache.errors import UserError

ACCESS_DENIED, WRONG_LEVEL = 5, 124
LOCKED, RUNS_ALREADY, WRONG_ACCOUNT, DISABLED, NO_SERVICE, NOT_RUNNING = 1055, 1056, 1057, 1058, 1060, 1062
NOT_BY_WINDOWS, OWN_CODE, NO_LOGON, GOES, IS_THERE, NO_SUCH_NAME = 1063, 1066, 1069, 1072, 1073, 1332
_SAID: dict[int, Callable[[str, str], str]] = {
    ACCESS_DENIED: lambda _name, _account: (
        "Windows denies it: run the command in a terminal that was opened with Run as administrator"
    ),
    LOCKED: lambda _name, _account: "Windows is starting other services and takes no order: try again in a minute",
    RUNS_ALREADY: lambda name, _account: f"the service {name} runs already",
    WRONG_ACCOUNT: lambda _name, account: _no_account(account),
    DISABLED: lambda name, _account: f"the service {name} is disabled: `sc config {name} start= auto` enables it",
    NO_SERVICE: lambda name, _account: (
        f"there is no service {name}: `cticache service install` makes it, and --name names another"
    ),
    NOT_RUNNING: lambda name, _account: f"the service {name} does not run",
    NOT_BY_WINDOWS: lambda _name, _account: (
        "Windows alone runs this, for its service: `cticache service start` starts that, and `cticache serve` "
        "runs in a terminal"
    ),
    NO_LOGON: lambda name, account: (
        f"the service {name} cannot log on as {account or 'its account'}: its password is wrong, or it has not "
        "the right to log on as a service (secpol.msc, Local Policies, User Rights Assignment)"
    ),
    GOES: lambda name, _account: (
        f"the service {name} is removed as soon as nobody looks at it: close the window of the services "
        "(services.msc) and try again"
    ),
    IS_THERE: lambda name, _account: (
        f"there is a service {name} already: `cticache service remove` removes it, or give this one another --name"
    ),
    NO_SUCH_NAME: lambda _name, account: _no_account(account),
}


def _no_account(account: str) -> str:
    return (
        f"--account {account}: there is no such account here, or its password is wrong; write it as DOMAIN\\NAME, "
        ".\\NAME for one of this machine, DOMAIN\\NAME$ for a managed one, or leave it out"
    )


def said(code: int, text: str, name: str, account: str) -> str:
    """The sentence for an error of Windows, of which ``text`` is its own word; about this service."""
    if code in _SAID:
        return _SAID[code](name, account)
    return f"Windows does not do that for the service {name}: {text.rstrip('. ')} (error {code})"


@contextmanager
def told(refused: type[Exception], name: str, account: str = "") -> Iterator[None]:
    """Within it such an exception, which has the code and the words of Windows, is a UserError in its place."""
    try:
        yield
    except refused as error:
        raise UserError(said(error.winerror, str(error.strerror), name, account)) from None  # type: ignore[attr-defined]
