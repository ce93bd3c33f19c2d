"""Integration platforms and business software that stand between a telephone system and the service."""

from dataclasses import replace

from platforms.asking import (
    BOTH,
    LEASE,
    OVERRIDE,
    asks,
    data_contract,
    form,
    json_ascii,
    json_typed_by_hand,
    json_utf8,
    percent,
    typed,
    xml,
)
from platforms.library import (
    AHC,
    APACHE_5,
    AXIOS,
    COMMONS_3,
    DOTNET,
    DOTNET_FRAMEWORK,
    GOT,
    JAVA_URL,
    NODE_FETCH,
)
from platforms.platform import AFTER_401, API_KEY, BEARER, Platform, e164
from platforms.reading import json_always, json_by_status, json_on_success, xml_always, xml_on_success

_LEASE = asks("POST", "?status=200", json_utf8, LEASE)
_DELETE = asks("DELETE", "/{dnis}:{ani}?status=200")

INTEGRATIONS = (
    Platform(
        "Power Automate, HTTP",
        "after its documentation, with .NET's HttpClient assumed; it repeats a 503 four times by itself",
        replace(DOTNET, lines=(*DOTNET.lines[:2], "Accept-Language: en", *DOTNET.lines[2:])).named(
            "azure-logic-apps/1.0 (workflow 80244732be3648f59d2084fd979cdd56; version 08586611142904036539)"
        ),
        asks(
            "POST",
            "?status=200",
            typed(json_ascii, "application/json; charset=utf-8"),
            LEASE,
            headers=("Idempotency-Key: {key}",),
        ),
        _DELETE,
        json_on_success,
        ani=e164,
        withheld="null",
        repeats=True,
    ),
    Platform(
        "n8n, HTTP Request",
        "by its HTTP library, axios; with Never Error and Include Response",
        AXIOS.named("n8n"),
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
    ),
    Platform(
        "Zapier, Webhooks",
        "by its HTTP library, Node's fetch",
        NODE_FETCH.named("Zapier"),
        _LEASE,
        _DELETE,
        json_on_success,
        credentials=BEARER,
    ),
    Platform(
        "Make, HTTP",
        "assumed, got",
        GOT.named("Make/production"),
        asks("POST", "", json_typed_by_hand, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
        credentials=API_KEY,
    ),
    Platform(
        "MuleSoft, HTTP Request",
        "by its HTTP library; its success validator throws with the body",
        AHC,
        asks("POST", "", typed(json_utf8, "application/json; charset=UTF-8"), LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
    ),
    Platform(
        "MuleSoft, XML",
        "by its HTTP library; DataWeave writes and reads the XML",
        AHC,
        asks("POST", ".xml", xml("lease", "application/xml; charset=ISO-8859-1", "ISO-8859-1"), LEASE),
        asks("DELETE", "/{dnis}/{ani}.xml"),
        xml_always,
    ),
    Platform(
        "Apache Camel, http",
        "by its HTTP library, Apache HttpClient 5; throwExceptionOnFailure off",
        APACHE_5,
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
        credentials=AFTER_401,
    ),
    Platform(
        "BizTalk, WCF-WebHttp",
        "by its HTTP library, .NET Framework; an error ends the port, so status=200",
        DOTNET_FRAMEWORK,
        asks("POST", ".xml?status=200", typed(data_contract, "application/xml; charset=utf-8"), LEASE),
        asks("POST", "/take.xml?status=200", typed(data_contract, "application/xml; charset=utf-8"), BOTH),
        xml_on_success,
        credentials=AFTER_401,
    ),
    Platform(
        "Salesforce Apex, callout",
        "by its HTTP library, Java's; the response of an error is read like any",
        replace(JAVA_URL, lines=(*JAVA_URL.lines[:2], "SFDC_STACK_DEPTH: 1", *JAVA_URL.lines[2:])).named(
            "SFDC-Callout/58.0"
        ),
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
        ani=e164,
    ),
    Platform(
        "ServiceNow, RESTMessageV2",
        "by its HTTP library, Commons HttpClient 3",
        COMMONS_3,
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
    ),
    Platform(
        "UiPath, HTTP Request",
        "by its HTTP library, RestSharp on .NET's HttpClient",
        replace(
            DOTNET, accept="application/json, text/json, text/x-json, text/javascript, application/xml, text/xml"
        ).named("RestSharp/106.15.0.0"),
        asks("POST", "", json_ascii, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
    ),
    Platform(
        "Oracle UTL_HTTP",
        "after its documentation; a form, and JSON_VALUE on what comes",
        replace(COMMONS_3, lines=("Host: {host}", "Authorization: {auth}", *COMMONS_3.lines[-2:])),
        asks("POST", "", form(percent), LEASE),
        asks("POST", "/take", form(percent), BOTH),
        json_always,
    ),
    Platform(
        "Workato, HTTP",
        "assumed, Apache HttpClient 5",
        replace(APACHE_5, lines=("Accept: {accept}", *APACHE_5.lines), accept="application/json"),
        asks("POST", "?status=200", json_utf8, LEASE),
        asks("POST", "/{dnis}:{ani}?status=200", json_utf8, headers=(OVERRIDE,)),
        json_on_success,
        credentials=API_KEY,
    ),
)
