"""Contact-centre suites on the customer's own machines: the blocks for a web request in their designers."""

from dataclasses import replace

from platforms.asking import (
    BOTH,
    LEASE,
    OVERRIDE,
    asks,
    form,
    json_typed_by_hand,
    json_utf8,
    percent,
    single_quoted,
    twice,
    xml,
)
from platforms.library import APACHE_4, APACHE_5, COMMONS_3, JAVA_URL, OKHTTP, WINHTTP
from platforms.platform import AFTER_401, API_KEY, BEARER, Platform, e164
from platforms.reading import json_always, json_by_status, json_on_success, pairs_on_success, xml_always, xml_on_success

SUITES = (
    Platform(
        "Genesys IRD",
        "after the author's posts, with Commons HttpClient assumed; the strategy sees the key error",
        COMMONS_3,
        asks("POST", "/", json_typed_by_hand, LEASE),
        asks("POST", "/{dnis}:{ani}/take", json_utf8),
        json_always,
    ),
    Platform(
        "Genesys IRD, single quotes",
        "after the author's posts, where the sample has single quotes",
        COMMONS_3,
        asks("POST", "/", single_quoted, LEASE),
        asks("POST", "/{dnis}:{ani}/take", json_utf8),
        json_always,
        value="0012 J\u00f6rg & S\u00f6hne <100% + x>=1; \u00dcber",
        needs_leniency=True,
    ),
    Platform(
        "Genesys Composer, Web Request",
        "after its manual, with Apache HttpClient assumed; its conversion of XML drops leading zeros, so JSON",
        APACHE_4,
        asks("POST", "?status=200", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}?status=200"),
        json_on_success,
    ),
    Platform(
        "Genesys Designer, HTTP REST",
        "after its manual, with Apache HttpClient assumed; get, post, put and delete",
        APACHE_4,
        asks("POST", "?status=200", form(percent), LEASE),
        asks("DELETE", "/{dnis}/{ani}?status=200"),
        json_on_success,
        ani=e164,
        withheld="undefined",
    ),
    Platform(
        "PureConnect handler, XML",
        "assumed, WinHTTP: the tools for HTTP and XML on Windows",
        WINHTTP,
        asks("POST", "", xml("request", "text/xml"), LEASE, accept="text/xml"),
        asks("POST", "/take.xml", xml("request", "text/xml"), BOTH, accept="text/xml"),
        xml_always,
        reads_lease=lambda answer, wanted: (
            xml_always(answer, wanted) if answer.status == 201 else json_by_status(answer, wanted)
        ),
        withheld="private",
    ),
    Platform(
        "Cisco UCCX, Make REST Call",
        "after its manual, with Apache HttpClient assumed; the status and the response's text",
        APACHE_4,
        asks("POST", "", json_typed_by_hand, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
        withheld="unavailable",
    ),
    Platform(
        "Cisco UCCX, Create URL Document",
        "after its manual: a Java document of GET or POST, read by Get XML Document Data",
        JAVA_URL,
        asks("POST", ".xml?status=200", form(), LEASE),
        asks("POST", "/take.xml?status=200", form(), BOTH),
        xml_always,
    ),
    Platform(
        "Cisco CVP, Rest_Client",
        "after its manual, with Apache HttpClient assumed; authentication is not preemptive unless it is chosen",
        APACHE_4,
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
        credentials=AFTER_401,
    ),
    Platform(
        "Avaya Orchestration Designer behind IIS",
        "assumed, Apache HttpClient 4; the proxy on the way escapes the path once more",
        APACHE_4,
        asks("POST", "", json_utf8, LEASE),
        asks("POST", "/{dnis}/{ani}/take", json_utf8, escape=twice),
        json_by_status,
        ani=e164,
        dnis=e164,
    ),
    Platform(
        "Avaya Experience Platform",
        "after its manual, with OkHttp assumed; JSON by default, headers of one's own",
        OKHTTP,
        asks("POST", "?status=200", json_utf8, LEASE),
        asks("POST", "/{dnis}:{ani}?status=200", json_utf8, headers=(OVERRIDE,)),
        json_on_success,
        credentials=API_KEY,
    ),
    Platform(
        "Enghouse, script",
        "assumed, WinHTTP; its script splits k=v pairs",
        WINHTTP,
        asks("POST", "?format=form&status=200", form(percent), LEASE),
        asks("POST", "/take?format=form&status=200", form(percent), BOTH),
        pairs_on_success,
        credentials=AFTER_401,
    ),
    Platform(
        "Aspect CXP, web service",
        "assumed, Apache HttpClient 5",
        replace(APACHE_5, lines=("Accept: {accept}", *APACHE_5.lines), accept="text/xml;q=1.0"),
        asks("POST", "?status=200", xml("lease", "text/xml"), LEASE),
        asks("POST", "/{dnis}:{ani}/take?status=200&format=xml", xml("take"), BOTH),
        xml_on_success,
        credentials=BEARER,
    ),
)
