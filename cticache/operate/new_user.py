"""`cticache user`: the section of a user, to paste into config.ini."""

import argparse
import getpass
import re
import sys

from cticache.access import passwords
from cticache.access.users import token_digest
from cticache.errors import UserError
from cticache.options import NAME, words

_FOR_X, _FOR_Y, _WATCH = "lease", "read, take", "watch"
_ROLES_OF = {"x": _FOR_X, "y": _FOR_Y, "w": _WATCH}
"""What is answered to the question what the user is for -> the roles that takes."""
MOST_BYTES = 1024
"""Of a password, in UTF-8. With the longest name it is 1.5 KB of base64 in the header Authorization, of the 16 KB that
all headers may have here, and of the 8 KB that one line may have in proxies (nginx large_client_header_buffers)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What no password has that HTTP Basic authentication carries (RFC 7617 section 2; CTL in RFC 5234 appendix B.1)."""
_MOST_READ = 1 << 20
"""Bytes of standard input: a password, and that it is not the only line."""
_NO_ROLES = ";  none yet: lease for System X; read, take for System Y; watch for monitoring; admin to end calls"
_NO_POOLS = ";  none yet: names of pools, a comma between two, or * for all"


def describe(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    command.add_argument("name", metavar="NAME", help="1 to 64 of A-Z a-z 0-9 _ . -")
    command.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    command.add_argument("--token", action="store_true", help="invent a token, for a machine, instead of a password")
    command.add_argument("--for-x", action="store_true", help="may lease numbers, as System X does")
    command.add_argument("--for-y", action="store_true", help="may read and take calls, as System Y does")
    command.add_argument("--watch", action="store_true", help="may see figures, as a monitoring does")
    command.add_argument("--pools", metavar="NAMES", help="of which pools, a comma between two; * for all")


def run(arguments: argparse.Namespace) -> int:
    """Print the section; on a terminal ask for what is not given, else leave it empty: such a user may do nothing."""
    if not NAME.fullmatch(arguments.name):
        raise UserError(f"{arguments.name!r} cannot be a user's name: use 1 to 64 of A-Z a-z 0-9 _ . -")
    section = [f"[user:{arguments.name}]"]
    pools = None if arguments.pools is None else _pools(arguments.pools)
    if arguments.password_stdin or not arguments.token:
        section.append(f"password = {passwords.hashed(_password(arguments))}")
    if arguments.token:
        token = passwords.invent_token()
        print(f"The token is {token}", file=sys.stderr)
        section.append(f"token = sha256:{token_digest(token)}")
    chosen = (arguments.for_x and _FOR_X, arguments.for_y and _FOR_Y, arguments.watch and _WATCH)
    roles = ", ".join(each for each in chosen if each)
    if not arguments.password_stdin and sys.stdin and sys.stdin.isatty():
        roles = roles or _asked_roles()
        pools = pools or _pools(_answer("Its pools (a comma between two, * for all): "))
    section.append(f"pools = {pools or _NO_POOLS}")
    section.append(f"roles = {roles or _NO_ROLES}")
    print("\n".join(section))
    return 0


def _password(arguments: argparse.Namespace) -> str:
    try:
        return _usable(piped() if arguments.password_stdin else _asked())
    except UnicodeError:
        raise UserError("the password is not UTF-8 text: encode it as UTF-8") from None
    except EOFError:
        print(file=sys.stderr)
        raise UserError("no password was given: press Enter for an invented one") from None
    except OSError as error:
        raise UserError(f"the password cannot be read: {error.strerror or error}") from None


def piped() -> str:
    """The password on standard input, which is UTF-8 whatever the code page; UnicodeError if it is not."""
    given = b""
    if sys.stdin:
        given = sys.stdin.buffer.readline() if sys.stdin.isatty() else sys.stdin.buffer.read(_MOST_READ)
    line, _, others = given.partition(b"\n")
    if others.strip(b"\r\n"):
        raise UserError("standard input has several lines: a password is one line, and the only one")
    if len(given) == _MOST_READ:
        raise UserError(f"standard input is no password: use at most {MOST_BYTES:,} bytes in UTF-8")
    password = line.decode("utf-8-sig").rstrip("\r")
    if not password:
        raise UserError("no password on standard input: echo it into the command")
    return password


def _usable(password: str) -> str:
    """A password that clients can send; UserError if they cannot."""
    if (size := len(password.encode("utf-8"))) > MOST_BYTES:
        raise UserError(
            f"the password has {size:,} bytes in UTF-8: use at most {MOST_BYTES:,}, or the header is too long"
        )
    if found := _CONTROL.search(password):
        raise UserError(
            f"character {found.start() + 1} of the password is a control character (U+{ord(found[0]):04X}), which HTTP "
            "Basic authentication does not carry: use letters, digits, signs and spaces"
        )
    return password


def _asked() -> str:
    """A password that was typed twice, or an invented one, which is shown; UnicodeError if it is no text."""
    password = getpass.getpass("Password (empty: invent one): ") if sys.stdin and sys.stdin.isatty() else ""
    if not password:
        password = passwords.invent()
        print(f"The password is {password}", file=sys.stderr)
    elif getpass.getpass("Once more: ") != password:
        raise UserError("the two passwords differ: run the command again")
    # A Windows console gives a character beyond 16 bits in two halves; a byte that is no text is half of such a pair.
    return password.encode("utf-16", "surrogatepass").decode("utf-16")


def _asked_roles() -> str:
    answer = _answer("Is it for System X (x), System Y (y), watching (w), or several of them: ")
    kinds = [kind for kind in answer.lower() if kind not in ", \t"]
    if unknown := [kind for kind in kinds if kind not in _ROLES_OF]:
        raise UserError(f"{unknown[0]!r} is none of x, y and w: run the command again")
    return ", ".join(roles for kind, roles in _ROLES_OF.items() if kind in kinds)


def _pools(text: str) -> str:
    """The names as they stand in the file."""
    names = words(text)
    for name in names:
        if name != "*" and not NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be a pool's name: use 1 to 64 of A-Z a-z 0-9 _ . -, or * for all")
    return "*" if "*" in names else ", ".join(names)


def _answer(question: str) -> str:
    """What is typed, or nothing; standard output has the section alone."""
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        raise UserError("the input has ended: run the command again, or give --for-x, --for-y, --watch and --pools")
    return line.strip()
