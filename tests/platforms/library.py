"""HTTP libraries as they look on the wire: each header line in its place and spelling.

What is captured was sent by that version to a socket here. The others are written from what is known of their source
or documentation, and nobody here has seen the order of their lines on a wire.
"""

import re
from dataclasses import dataclass, replace

HOST = "cti.example.com"
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Request:
    """What a platform wants sent, before its library makes bytes of it."""

    method: str
    target: str
    kind: str = ""
    """The Content-Type."""
    body: bytes = b""
    accept: str = ""
    headers: tuple[str, ...] = ()
    """Lines that the platform adds."""


@dataclass(frozen=True)
class Library:
    """The header lines of a client. A line is left out where nothing is known for its slot in braces.

    The slots: ``host``, ``auth``, ``accept``, ``kind``, ``length``, ``coding``, ``expect``, and ``more`` for the lines
    that the platform adds.
    """

    lines: tuple[str, ...]
    accept: str = "*/*"
    version: str = "1.1"
    without_length: tuple[str, ...] = ("GET", "DELETE")
    """Methods that tell no length where there is no body."""
    chunks: bool = False
    """Whether a body goes in chunks."""

    def sent(self, request: Request, auth: str = "", key: str = "") -> bytes:
        """The request as it stands on the wire; ``auth`` is the value of Authorization, ``key`` that of X-Api-Key."""
        body = request.body
        slots = {
            "host": HOST,
            "auth": auth,
            "accept": request.accept or self.accept,
            "kind": request.kind,
            "length": "",
            "coding": "",
            "expect": "100-continue" if body else "",
        }
        if body and self.chunks:
            slots["coding"] = "chunked"
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        elif body or request.method not in self.without_length:
            slots["length"] = str(len(body))
        added = (*request.headers, *([f"X-Api-Key: {key}"] if key else []))
        lines = [f"{request.method} {request.target} HTTP/{self.version}"]
        for line in self.lines:
            slot = _SLOT.search(line)
            if slot and slot[1] == "more":
                lines += added
            elif not slot or slots[slot[1]]:
                lines.append(line.format(**slots))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body

    def named(self, agent: str) -> "Library":
        """The same library under another User-Agent, in the spelling of its own line."""
        lines = tuple(
            f"{line.partition(':')[0]}: {agent}" if line.lower().startswith("user-agent:") else line
            for line in self.lines
        )
        return replace(self, lines=lines)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.strip().splitlines())


CURL = Library(
    _lines("""
Host: {host}
Authorization: {auth}
User-Agent: curl/7.88.1
Accept: {accept}
{more}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""Captured from curl 7.88.1, and so libcurl; a type of the user's own is among the added lines, not the last one."""

WGET = Library(
    _lines("""
Host: {host}
User-Agent: Wget/1.21.3
Accept: {accept}
Accept-Encoding: identity
Connection: Keep-Alive
{more}
Content-Type: {kind}
Content-Length: {length}
Authorization: {auth}
"""),
)
"""Captured from wget 1.21.3."""

LWP = Library(
    _lines("""
TE: deflate,gzip;q=0.3
Connection: TE, close
Authorization: {auth}
Host: {host}
User-Agent: libwww-perl/6.68
{more}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""Captured from LWP::UserAgent 6.68."""

REQUESTS = Library(
    _lines("""
Host: {host}
User-Agent: python-requests/2.34.2
Accept-Encoding: gzip, deflate
Accept: {accept}
Connection: keep-alive
{more}
Content-Length: {length}
Content-Type: {kind}
Authorization: {auth}
"""),
    without_length=("GET",),
)
"""Captured from requests 2.34.2."""

URLLIB = Library(
    _lines("""
Accept-Encoding: identity
Content-Type: {kind}
Content-Length: {length}
Host: {host}
User-Agent: Python-urllib/3.11
{more}
Authorization: {auth}
Connection: close
"""),
)
"""Captured from urllib.request of Python 3.11."""

HTTPX = Library(
    _lines("""
Host: {host}
Accept: {accept}
Accept-Encoding: gzip, deflate
Connection: keep-alive
User-Agent: python-httpx/0.28.1
{more}
Content-Length: {length}
Content-Type: {kind}
Authorization: {auth}
"""),
)
"""Captured from httpx 0.28.1."""

AIOHTTP = Library(
    _lines("""
Host: {host}
Accept: {accept}
Accept-Encoding: gzip, deflate
User-Agent: Python/3.11 aiohttp/3.14.5
Authorization: {auth}
{more}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""Captured from aiohttp 3.14.5."""

JAVA_URL = Library(
    _lines("""
Content-Type: {kind}
{more}
User-Agent: Java/17.0.15
Host: {host}
Accept: {accept}
Connection: keep-alive
Content-Length: {length}
Authorization: {auth}
"""),
    accept="text/html, image/gif, image/jpeg, */*; q=0.2",
)
"""Captured from HttpURLConnection of Java 17, the credentials given by an Authenticator."""

JAVA_CLIENT = Library(
    _lines("""
Authorization: {auth}
Connection: Upgrade, HTTP2-Settings
Content-Length: {length}
Host: {host}
HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA
Upgrade: h2c
User-Agent: Java-http-client/17.0.15
{more}
Content-Type: {kind}
"""),
)
"""Captured from java.net.http.HttpClient of Java 17, which offers HTTP/2 with each first request."""

APACHE_4 = Library(
    _lines("""
Accept: {accept}
{more}
Content-Length: {length}
Content-Type: {kind}
Host: {host}
Connection: Keep-Alive
User-Agent: Apache-HttpClient/4.5.13 (Java/11.0.20)
Accept-Encoding: gzip,deflate
Authorization: {auth}
"""),
    accept="application/json",
)
"""After the source of Apache HttpClient 4.5: what its interceptors add, in their order."""

APACHE_5 = Library(
    _lines("""
{more}
Accept-Encoding: gzip, x-gzip, deflate
Content-Length: {length}
Content-Type: {kind}
Host: {host}
Connection: keep-alive
User-Agent: Apache-HttpClient/5.2.1 (Java/17.0.9)
Authorization: {auth}
"""),
)
"""After the source of Apache HttpClient 5.2."""

COMMONS_3 = Library(
    _lines("""
{more}
Authorization: {auth}
User-Agent: Jakarta Commons-HttpClient/3.1
Host: {host}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""After the source of Commons HttpClient 3.1."""

SPRING = Library(
    _lines("""
Accept: {accept}
Content-Type: {kind}
Authorization: {auth}
{more}
User-Agent: Java/11.0.20
Host: {host}
Connection: keep-alive
Content-Length: {length}
"""),
    accept="application/json, text/plain, */*",
)
"""After the source of Spring 5's RestTemplate, over HttpURLConnection."""

OKHTTP = Library(
    _lines("""
Authorization: {auth}
{more}
Content-Type: {kind}
Content-Length: {length}
Host: {host}
Connection: Keep-Alive
Accept-Encoding: gzip
User-Agent: okhttp/4.12.0
"""),
)
"""After the source of OkHttp 4: what its BridgeInterceptor adds."""

AHC = Library(
    _lines("""
{more}
Authorization: {auth}
User-Agent: AHC/1.0
Connection: keep-alive
Accept: {accept}
Host: {host}
Content-Type: {kind}
Content-Length: {length}
"""),
)
"""After the source of async-http-client 1 on Grizzly, which Mule's HTTP requester is built on."""

DOTNET = Library(
    _lines("""
Host: {host}
Accept: {accept}
User-Agent: Ivr/1.0
Authorization: {auth}
{more}
Transfer-Encoding: {coding}
Content-Type: {kind}
Content-Length: {length}
"""),
)
"""After the source of .NET's HttpClient: the host first, what describes the body last."""

DOTNET_JSON = replace(DOTNET, chunks=True, accept="application/json")
"""The same with PostAsJsonAsync, whose JsonContent does not know its length."""

DOTNET_FRAMEWORK = Library(
    _lines("""
Content-Type: {kind}
{more}
User-Agent: Ivr
Authorization: {auth}
Host: {host}
Content-Length: {length}
Expect: {expect}
Connection: Keep-Alive
"""),
)
"""After the source of .NET Framework's HttpWebRequest, which waits for a 100 before it sends the body."""

NODE_FETCH = Library(
    _lines("""
host: {host}
connection: keep-alive
Authorization: {auth}
{more}
content-type: {kind}
accept: {accept}
accept-language: *
sec-fetch-mode: cors
user-agent: node
accept-encoding: gzip, deflate
content-length: {length}
"""),
)
"""Captured from fetch of Node 20."""

NODE_HTTP = Library(
    _lines("""
Content-Type: {kind}
{more}
Host: {host}
Authorization: {auth}
Connection: keep-alive
Transfer-Encoding: {coding}
"""),
    chunks=True,
)
"""Captured from http.request of Node 20 without a length: its body goes in chunks."""

AXIOS = Library(
    _lines("""
Accept: {accept}
Content-Type: {kind}
{more}
User-Agent: axios/1.21.1
Content-Length: {length}
Accept-Encoding: gzip, compress, deflate, br
Host: {host}
Authorization: {auth}
Connection: keep-alive
"""),
    accept="application/json, text/plain, */*",
)
"""Captured from axios 1.21.1 on Node 20."""

GOT = Library(
    _lines("""
user-agent: got (https://github.com/sindresorhus/got)
accept: {accept}
{more}
content-type: {kind}
content-length: {length}
accept-encoding: gzip, deflate, br
Host: {host}
Authorization: {auth}
Connection: keep-alive
"""),
    accept="application/json",
)
"""Captured from got 11 on Node 20."""

SUPERAGENT = Library(
    _lines("""
Authorization: {auth}
Content-Type: {kind}
{more}
Host: {host}
Accept-Encoding: gzip, deflate
Content-Length: {length}
Connection: close
"""),
)
"""Captured from superagent on Node 20."""

GO = Library(
    _lines("""
Host: {host}
User-Agent: Go-http-client/1.1
Content-Length: {length}
Authorization: {auth}
{more}
Content-Type: {kind}
Accept-Encoding: gzip
"""),
)
"""After the source of Go's net/http: its own lines, then those of the map in the order of their names."""

PHP_STREAM = Library(
    _lines("""
Authorization: {auth}
Host: {host}
Connection: close
Content-Length: {length}
Content-Type: {kind}
{more}
"""),
)
"""After the source of PHP 8's http:// stream wrapper."""

GUZZLE = Library(
    _lines("""
Host: {host}
Authorization: {auth}
User-Agent: GuzzleHttp/7
{more}
Content-Type: {kind}
Content-Length: {length}
"""),
)
"""After the source of Guzzle 7, over libcurl."""

RUBY = Library(
    _lines("""
Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3
Accept: {accept}
User-Agent: Ruby
Content-Type: {kind}
{more}
Authorization: {auth}
Host: {host}
Content-Length: {length}
Connection: close
"""),
)
"""After the source of Ruby's Net::HTTP."""

WINHTTP = Library(
    _lines("""
Connection: Keep-Alive
Content-Type: {kind}
Accept: {accept}
Authorization: {auth}
User-Agent: Mozilla/4.0 (compatible; Win32; WinHttp.WinHttpRequest.5)
{more}
Content-Length: {length}
Host: {host}
"""),
)
"""After Microsoft's documentation of WinHttpRequest, which scripts on older IVR have."""

INDY = Library(
    _lines("""
Connection: keep-alive
Content-Type: {kind}
Content-Length: {length}
Authorization: {auth}
{more}
Host: {host}
Accept: {accept}
Accept-Encoding: identity
User-Agent: Mozilla/3.0 (compatible; Indy Library)
"""),
    accept="text/html, */*",
)
"""After the source of Indy's TIdHTTP, Delphi's client."""

SAP = Library(
    _lines("""
content-length: {length}
content-type: {kind}
accept: {accept}
authorization: {auth}
{more}
host: {host}
user-agent: SAP NetWeaver Application Server (1.0;750)
accept-encoding: gzip
"""),
    accept="application/xml",
)
"""After the documentation of CL_HTTP_CLIENT, whose header names are in small letters."""

ASTERISK = Library(
    _lines("""
Host: {host}
Authorization: {auth}
User-Agent: asterisk-libcurl-agent/1.0
Accept: {accept}
{more}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""After the source of Asterisk's func_curl.c, over libcurl."""

KAMAILIO = Library(
    _lines("""
Host: {host}
Authorization: {auth}
User-Agent: kamailio (5.6.3 (x86_64/linux))
Accept: {accept}
{more}
Content-Type: {kind}
Content-Length: {length}
"""),
)
"""Captured from http_connect of Kamailio 5.6.3."""

KAMAILIO_QUERY = Library(
    _lines("""
Host: {host}
Authorization: {auth}
User-Agent: kamailio (5.6.3 (x86_64/linux))
Accept: {accept}
{more}
Content-Length: {length}
Content-Type: application/x-www-form-urlencoded
"""),
)
"""Captured from http_client_query of Kamailio 5.6.3: libcurl adds its type to the one among the added lines."""

BARE_LIBCURL = Library(
    _lines("""
Host: {host}
Authorization: {auth}
Accept: {accept}
{more}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""libcurl without a User-Agent: Kamailio's http_async_client and OpenSIPS's rest_client set none, by their source."""

FREESWITCH = Library(
    _lines("""
Host: {host}
Authorization: {auth}
User-Agent: freeswitch-curl/1.0
Accept: {accept}
{more}
Content-Length: {length}
Content-Type: {kind}
"""),
)
"""After the source of FreeSWITCH's mod_curl.c, over libcurl."""

BROWSER = Library(
    _lines("""
Host: {host}
User-Agent: GVP-NGI/8.5
Accept: {accept}
Authorization: {auth}
{more}
Content-Type: {kind}
Content-Length: {length}
Connection: keep-alive
"""),
    accept="application/voicexml+xml, application/xml, text/xml, application/srgs+xml, */*",
)
"""A VoiceXML browser: one list of types for documents, ``<data>`` and ``<subdialog>``. The other lines are assumed."""

DEVICE = Library(
    _lines("""
Host: {host}
Authorization: {auth}
{more}
Connection: close
"""),
    version="1.0",
)
"""A controller whose program writes the request itself, line by line, after the vendors' samples."""
