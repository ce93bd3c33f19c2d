"""The files of certificates that the URL of Redis names: whether they can be used."""

import ssl
from collections.abc import Mapping


def complaint(options: Mapping[str, str]) -> str:
    """What is wrong with those of ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile`` that are there; or nothing.

    They are looked at before Redis is asked, which would seem to be away: the connection would fail without a name.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if authorities := options.get("ssl_ca_certs"):
            context.load_verify_locations(authorities)
    except OSError:
        return "ssl_ca_certs must be a file in PEM with certificates, which this user may read"
    try:
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"), password="")  # or it asks at the terminal
    except OSError as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            return "ssl_keyfile does not fit ssl_certfile: it is the key of another certificate"
        return (
            "ssl_certfile must be a file in PEM with the certificate of a client, and ssl_keyfile, or that same file, "
            "have its key without a passphrase, which this user may read"
        )
    return ""
