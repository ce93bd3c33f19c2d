"""``cticache service``: the service as one of Windows'."""

import argparse
import getpass
import importlib.util
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cticache import config, logs, server
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.failure import TOLD, Failure
from cticache.commands.serve import begin_log, log_path
from cticache.config.sections import Config
from cticache.errors import ConfigError, UserError
from cticache.loop.listen import reserve
from cticache.options import NAME

if TYPE_CHECKING:
    from cticache.service.registered import Registered
    from cticache.service.session import Session

_log = logging.getLogger(__name__)

_ACTIONS = {
    "install": "have Windows start it with itself, and again if it dies",
    "start": "start it now",
    "stop": "end it in good order",
    "remove": "stop it, and have Windows forget it",
    "status": "whether it runs, as what, on which configuration; the exit code is 0 if it does",
}
_NAME = "cticache"
_LOG = Path("log", "cticache.log")
_DATA = "data"
_LATER_S = 15
"""How long an end may take beyond `drain` and `stop_timeout`: workers that hang are killed, the last lines written."""
_HOSTED = " -m cticache.hosted "
"""What stands before the name and the configuration in the command that Windows runs."""
_NOT_STARTED = "the service could not start: "


def _declare(parser: argparse.ArgumentParser) -> None:
    does = "; ".join(f"{action}: {what}" for action, what in _ACTIONS.items())
    parser.add_argument("action", metavar="ACTION", choices=list(_ACTIONS), help=does)
    parser.add_argument("--name", default=_NAME, help=f"the name of the service, for a second one; else {_NAME}")
    parser.add_argument(
        "--account",
        default="",
        help="of install: the account it runs under, else one of its own; its password is asked for",
    )
    parser.add_argument("--manual", action="store_true", help="of install: it is started by hand, and not with Windows")


def _run(arguments: argparse.Namespace) -> int:
    if sys.platform != "win32":
        raise UserError("`cticache service` is for Windows: elsewhere let systemd or the like run `cticache serve`")
    if not importlib.util.find_spec("servicemanager"):
        raise UserError("the package pywin32 is missing: install cticache with it, `pip install cticache[windows]`")
    if not NAME.fullmatch(arguments.name):
        raise UserError(f"--name {arguments.name}: cannot be the name of a service: use 1 to 64 of A-Z a-z 0-9 _ . -")
    from cticache.service.registered import Registered  # noqa: PLC0415 - on Windows alone

    return _ordered(arguments, Registered(arguments.name))


def _ordered(arguments: argparse.Namespace, registered: "Registered") -> int:
    name = arguments.name
    match arguments.action:
        case "install":
            _install(arguments, registered)
        case "start":
            return _start(name, registered)
        case "stop":
            registered.stop()
            print(f"the service {name} has stopped")
        case "remove":
            registered.remove()
            print(f"the service {name} is removed; its configuration, data and log are left where they are")
        case _:
            found = registered.found()
            process = f", process {found.process}" if found.process else f", its last exit code was {found.code}"
            print(f"the service {name} is {found.state}{process}; account {found.account}\n  {found.command}")
            return WELL if found.state == "running" else TROUBLE
    return WELL


def _install(arguments: argparse.Namespace, registered: "Registered") -> None:
    path = _path(arguments)
    settings = at_home(config.read(path, {}))
    for other, command in registered.others().items():
        if _config_in(command) == path:
            raise UserError(
                f"the service {other} runs on {path} already: give this one a file of its own, with another port"
            )
    reserve(settings.server.host, settings.server.port).close()
    account = registered.install(
        f'{_HOSTED}{arguments.name} "{path}"',
        arguments.account,
        _password(arguments.account),
        _stop_s(settings),
        manual=arguments.manual,
    )
    print(f"the service {arguments.name} is installed, with the account {account}")
    print(f"  configuration: {path}\n  log: {log_path(settings)}, and the Event Log, source {arguments.name}")
    for place in (path, Path(sys.base_prefix), Path(sys.prefix)):
        if place.is_relative_to(Path.home()) and account != "LocalSystem":
            print(f"  {place} is in the folder of a user: {account} may have no right to read it")
    if not settings.redis.url:
        print("  [redis] url is empty: an imitation holds the calls in memory, and all are lost when the service ends")
    how = "it is not started with Windows" if arguments.manual else "Windows starts it with itself"
    print(f"{how}; start it now: cticache service start")


def _start(name: str, registered: "Registered") -> int:
    path = _log_of(registered.found().command)
    seen = path.stat().st_size if path.is_file() else 0
    found = registered.start()
    if found.state == "running":
        print(f"the service {name} runs, process {found.process}")
        return WELL
    said = _said_since(path, seen) or f"see {path}, and the Event Log, source {name}"
    raise UserError(f"the service {name} has ended with {found.code} before it could serve: {said}")


def _log_of(command: str) -> Path:
    """Where a service logs that Windows starts so."""
    path = _config_in(command)
    try:
        return log_path(at_home(config.read(path, {})))
    except ConfigError:
        return path.parent / _LOG


def _config_in(command: str) -> Path:
    """The configuration of a service that Windows starts so; of another one, none that there can be."""
    return Path(command.partition(_HOSTED)[2].partition(" ")[2].strip('"'))


def _said_since(path: Path, seen: int) -> str:
    """The reason in the log, beyond what it had before; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(seen if path.stat().st_size >= seen else 0)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(_NOT_STARTED)[2].strip(' "}') for line in lines if _NOT_STARTED in line), "")


def serve(session: "Session", name: str, path: Path) -> int:
    """Be the service of this name: what Windows is told, the log has, and the Event Log. The exit code."""
    from cticache.service import event_log  # noqa: PLC0415 - on Windows alone

    events = event_log.EventLog(name)
    os.chdir(path.parent)
    serves = False

    def tell(line: str) -> None:
        nonlocal serves
        if not serves:
            serves = True
            session.runs(_stop_s(settings))
            events.write(event_log.STARTED, "information", line)

    code = WELL
    try:
        settings = _with_log(path)
        logging.getLogger().addHandler(events)
        server.serve(settings, tell, session.reloads)
    except TOLD as error:
        failure = Failure.of(error)
        code, said = failure.code, "; ".join(failure.detail.splitlines())
        _log.critical("the service could not start: %s", said, extra=logs.NO_NUMBERS)
        events.write(event_log.FAILED, "error", f"{_NOT_STARTED}{said}")
    except SystemExit:  # told to stop before it could serve
        events.write(event_log.STOPPED, "information", "stopped before it could serve")
    except BaseException:  # noqa: BLE001 - whatever it is, Windows is to start it again
        _log.critical("the service ends by a fault in it, please report it", exc_info=True)
        logging.shutdown()
        os._exit(TROUBLE)  # and no word to Windows, which starts it again as after a crash
    else:
        events.write(event_log.STOPPED, "information", "stopped in good order")
    logging.shutdown()
    session.ended(code)
    return code


def _with_log(path: Path) -> Config:
    """The configuration; the log is begun as it says, or by default where it cannot be read."""
    try:
        settings = at_home(config.read(path, os.environ))
    except ConfigError:
        begin_log(at_home(Config.empty(path)))
        raise
    # So that these are no change where the file is read again.
    os.environ.update(CTICACHE_LOG_FILE=settings.log.file, CTICACHE_REDIS_DATA=settings.redis.data)
    begin_log(settings)
    return settings


def at_home(settings: Config) -> Config:
    """The same, with the log and the data of the embedded server beside the configuration unless it says where.

    A service has no console, and the folder of its account's profile is nobody's place to look.
    """
    folder = settings.source.absolute().parent
    return replace(
        settings,
        log=replace(settings.log, file=settings.log.file or str(_LOG)),
        redis=replace(settings.redis, data=settings.redis.data or str(folder / _DATA)),
    )


def _path(arguments: argparse.Namespace) -> Path:
    return config.find(arguments.config or config.of_the_machine(), {}).absolute()


def _stop_s(settings: Config) -> float:
    """In how many seconds it has ended after the order to stop."""
    return settings.server.drain + settings.server.stop_timeout + _LATER_S


def _password(account: str) -> str | None:
    """The password of an account that has one; it is asked for, or read as a line of standard input."""
    if "\\" not in account or account.endswith("$") or account.upper().startswith(("NT SERVICE\\", "NT AUTHORITY\\")):
        return None
    if sys.stdin and sys.stdin.isatty():
        return getpass.getpass(f"Password of {account}: ")
    return sys.stdin.readline().rstrip("\r\n") if sys.stdin else ""


SERVICE = Command("service", "run it as a service of Windows", _run, _declare, ended=WELL)
