"""Test the running server with raw bytes on a socket: request smuggling, limits, response headers and CORS."""

import json
import re
import socket
from typing import NamedTuple

import pytest
from django.db import connection, transaction

from api.defaults import MAX_BODY_SIZE
from tests.factories import PASSWORD
from tests.servers import Server, environment

HEAD = b"Host: localhost\r\nConnection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
PREFLIGHT = b"Origin: http://localhost:8081\r\nAccess-Control-Request-Method: POST\r\n\r\n"
CONTENT = b"Public Content."


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("http")
    server = Server(environment(folder, django_db_blocker, AUTH_ACCOUNT_LIMIT=""), folder / "log")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("tls")
    settings = environment(
        folder, django_db_blocker, PUBLIC_URL="https://localhost", ALLOWED_HOSTS="localhost,127.0.0.1"
    )
    server = Server(settings, folder / "log")
    yield server
    assert server.stop() == 0


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes  # what follows the body on the connection

    @property
    def code(self):
        return json.loads(self.body)["code"]


def exchange(server, *sent, half_close=False):
    """Send bytes, and return everything that the server sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"".join(sent))
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()


def send(server, *sent, **options):
    """Send bytes, and return the response that the server sends first."""
    head, _, rest = exchange(server, *sent, **options).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    return Response(int(first.split()[1]), headers, rest[:length], rest[length:])


def get(server, path=b"/api/test/all", *headers, version=b"1.1"):
    return send(server, b"GET " + path + b" HTTP/" + version + b"\r\n", HEAD, *headers, b"\r\n")


def post(server, *headers_and_body, path=b"/api/auth/signin", **options):
    return send(server, b"POST " + path + b" HTTP/1.1\r\n", HEAD, *headers_and_body, **options)


def sign_up(server, name):
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    assert server.post("/api/auth/signup", body)[0] in (201, 400)
    return body


# Request smuggling: a proxy and the server must agree on where each request ends.


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length : 2\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X-A: a\r\n Transfer-Encoding: chunked\r\n",
        b"X-A: a\x00\r\n",
        b"X-A: a\rb\r\n",
    ],
)
def test_a_request_with_ambiguous_framing_is_refused(server, framing):
    response = post(
        server, JSON, framing, b"\r\n2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )

    assert (response.status, response.rest) == (400, b"")


@pytest.mark.parametrize(("number", "status"), [(b"0", 400), (b"2", 400), (b"9000000", 413)])
def test_leading_zeros_do_not_change_a_content_length(server, number, status):
    assert post(server, JSON, b"Content-Length: " + b"0" * 5000 + number + b"\r\n\r\n{}").status == status


def test_a_content_length_beside_chunked_encoding_hides_no_second_request(server):
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    received = exchange(
        server, b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\n", JSON, CHUNKED, b"Content-Length: 5\r\n\r\n",
        b"2\r\n{}\r\n0\r\n\r\n" + hidden,
    )  # fmt: skip

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in received


def test_the_body_of_a_get_is_not_read_as_a_second_request(server):
    second = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    length = f"Content-Length: {len(second)}\r\n\r\n".encode()

    received = exchange(
        server,
        b"GET /api/test/all HTTP/1.1\r\nHost: localhost\r\n",
        length,
        second,
        b"GET /healthz HTTP/1.1\r\n",
        HEAD,
        b"\r\n",
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200"]


@pytest.mark.parametrize(
    "chunks",
    [b"ZZ\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFFF\r\n{}", b"2\n{}\n0\n\n", b"2{}\r\n0\r\n\r\n",
     b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"],
)  # fmt: skip
def test_malformed_chunks_are_refused(server, chunks):
    response = post(server, JSON, CHUNKED, b"\r\n", chunks)

    assert (response.status, response.code) == (400, "invalid_request")
    assert "malformed" in response.body.decode()


def test_a_truncated_chunked_body_is_refused(server):
    sign_up(server, "cut")
    form = f"username=cut&password={PASSWORD.replace(' ', '+')}".encode()
    chunk = f"{len(form):x}\r\n".encode() + form + b"\r\n"

    assert post(server, FORM, CHUNKED, b"\r\n", chunk, half_close=True).status == 400
    assert post(server, FORM, CHUNKED, b"\r\n", chunk, b"0\r\n\r\n").status == 200


# Hosts, methods, paths and protocols.


@pytest.mark.parametrize(
    ("request_line", "hosts", "status"),
    [
        (b"GET /api/test/all HTTP/1.1", b"", 400),
        (b"GET /api/test/all HTTP/1.1", b"Host: \r\n", 400),
        (b"GET /api/test/all HTTP/1.1", b"Host: evil.example\r\n", 400),
        (b"GET /api/test/all HTTP/1.1", b"Host: localhost\r\nHost: evil.example\r\n", 400),
        (b"GET /api/test/all HTTP/1.1", b"Host: localhost@evil.example\r\n", 400),
        (b"GET /api/test/all HTTP/1.1", b"Host: localhost:80:80\r\n", 400),
        (b"GET /api/test/all HTTP/1.1", b"Host: localhost\r\nX-Forwarded-Host: evil.example\r\n", 200),
        # A request target with a host overrides the Host header (RFC 9112 section 3.2.2).
        (b"GET http://localhost/api/test/all HTTP/1.1", b"Host: evil.example\r\n", 200),
        (b"GET http://evil.example/api/test/all HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"CONNECT evil.example:443 HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"GET /api/test/all HTTP/1.0", b"", 200),
        (b"GET /api/test/all HTTP/1.0", b"Host: evil.example\r\n", 400),
        (b"GET api/test/all HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"get /api/test/all HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"G(T /api/test/all HTTP/1.1", b"Host: localhost\r\n", 400),
    ],
)
def test_an_unknown_host_or_a_malformed_request_line_is_refused(server, request_line, hosts, status):
    assert send(server, request_line, b"\r\n", hosts, b"Connection: close\r\n\r\n").status == status


@pytest.mark.parametrize("method", [b"TRACE", b"PUT", b"OPTIONS", b"PROPFIND"])
def test_an_unsupported_method_is_refused_without_echoing_the_request(server, method):
    response = send(server, method + b" /api/test/all HTTP/1.1\r\n", HEAD, b"x-access-token: secret\r\n\r\n")

    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    assert b"secret" not in response.body


@pytest.mark.parametrize("header", [b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"])
def test_no_header_overrides_the_method(server, header):
    assert post(server, header, b": GET\r\nContent-Length: 0\r\n\r\n", path=b"/api/test/all").status == 405


@pytest.mark.parametrize("header", [b"X-Original-URL", b"X-Rewrite-URL", b"X-Forwarded-Prefix", b"X-Script-Name"])
def test_no_header_overrides_the_path(server, header):
    assert get(server, b"/api/test/user", header, b": /api/test/all\r\n").status == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/api/test/all/", 200),
        (b"/api/test/%61ll", 200),
        (b"/api/test/all#x", 200),
        (b"/api/test/all//", 404),
        (b"//api/test/all", 404),
        (b"/api//test/all", 404),
        (b"/api/test/user/../all", 404),
        (b"/api/test/./all", 404),
        (b"/api/test/all;x=1", 404),
        (b"/api/test/all%00", 404),
        (b"/api/test/all%0a", 404),
        (b"/api/test/all%20", 404),
        (b"/API/test/all", 404),
        (b"/static/../manage.py", 404),
        (b"/static/%2e%2e/manage.py", 404),
        (b"/static/..%2f..%2fetc/passwd", 404),
        (b"//evil.example/admin", 404),
        (b"/\\evil.example", 404),
    ],
)
def test_a_path_matches_exactly_except_for_one_trailing_slash(server, path, status):
    assert get(server, path).status == status


def test_no_redirect_leads_to_another_host(server):
    for path in (b"/?next=//evil.example", b"/admin?next=//evil.example", b"/admin/login/?next=//evil.example"):
        assert "evil.example" not in get(server, path).headers.get("location", "").partition("?")[0]


@pytest.mark.parametrize(
    "opening",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /api/test/all\r\n\r\n",
        b"GET /api/test/all HTTP/3.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_bytes_of_another_protocol_get_a_400_or_no_response(server, opening):
    assert exchange(server, opening, half_close=True)[:12] in (b"", b"HTTP/1.1 400")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_a_protocol_upgrade_is_ignored(server, protocol):
    upgrade = b"Host: localhost\r\nConnection: Upgrade, close\r\nUpgrade: " + protocol + b"\r\n"
    extra = b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXA=\r\n"

    response = send(server, b"GET /api/test/all HTTP/1.1\r\n", upgrade, extra, b"\r\n")

    assert (response.status, response.body) == (200, CONTENT)


def test_http_1_0_is_supported(server):
    assert get(server, version=b"1.0").body == CONTENT


def test_the_response_to_head_is_the_response_to_get_without_its_body(server):
    for path in (b"/api/test/all", b"/nowhere", b"/api/test/user"):
        to_head = send(server, b"HEAD ", path, b" HTTP/1.1\r\n", HEAD, b"\r\n")
        to_get = get(server, path)
        assert (to_head.status, to_head.body, to_head.headers.keys()) == (
            to_get.status,
            b"",
            to_get.headers.keys(),
        )


# Limits on size and time.


@pytest.mark.parametrize(
    ("path", "headers", "statuses"),
    [
        (b"/api/test/all?" + b"a" * 10_000, b"", {200}),
        (b"/api/test/all?" + b"a" * 100_000, b"", {414, 431}),
        (b"/" + b"a" * 100_000, b"", {414, 431}),
        (b"/api/test/all", b"X-Long: " + b"a" * 300_000 + b"\r\n", {431}),
        (b"/api/test/all", b"".join(b"X-%d: a\r\n" % number for number in range(200)), {431}),
        (b"/api/test/all", b"Cookie: " + b"a=b; " * 5000 + b"\r\n", {200}),
    ],
    ids=["long query", "overlong query", "long path", "long header", "many headers", "many cookies"],
)
def test_the_size_of_the_request_line_and_headers_is_limited(server, path, headers, statuses):
    assert get(server, path, headers).status in statuses


def test_a_content_length_over_the_limit_is_refused_before_the_body_is_sent(server):
    response = post(server, JSON, b"Expect: 100-continue\r\nContent-Length: 200000000\r\n\r\n")

    assert (response.status, response.code) == (413, "payload_too_large")


@pytest.mark.parametrize("path", [b"/api/auth/signin", b"/", b"/nowhere"])
def test_a_body_beyond_what_an_endpoint_takes_is_refused_before_it_is_sent(server, path):
    length = b"Content-Length: %d\r\n\r\n" % (MAX_BODY_SIZE + 1)

    response = send(server, b"POST ", path, b" HTTP/1.1\r\n", HEAD, JSON, length)

    assert (response.status, response.code) == (413, "payload_too_large")
    assert str(MAX_BODY_SIZE).encode() in response.body


def test_a_client_that_expects_100_continue_receives_it(server):
    received = exchange(
        server,
        b"POST /api/auth/signin HTTP/1.1\r\n",
        HEAD,
        JSON,
        b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    )

    assert received.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 400 " in received


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"deflate, gzip", b"nonsense"])
def test_a_compressed_body_is_refused(server, coding):
    response = post(server, JSON, b"Content-Encoding: ", coding, b"\r\nContent-Length: 2\r\n\r\n{}")

    assert (response.status, response.code) == (415, "unsupported_media_type")


def test_a_body_that_arrives_too_late_is_refused_as_documented(server):
    response = post(server, JSON, b"Content-Length: 2\r\n\r\n{")
    document = json.loads(server.request("GET", "/api/schema")[1])
    documented = document["paths"]["/api/auth/signin"]["post"]["responses"]["408"]["content"]["application/json"]

    assert response.status == 408
    assert json.loads(response.body) == documented["examples"]["invalid_request"]["value"]


# Response headers.

REQUESTS = {
    "public content": b"GET /api/test/all HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no token": b"GET /api/test/user HTTP/1.1\r\n" + HEAD + b"\r\n",
    "unknown path": b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"\r\n",
    "unknown path in the API": b"GET /api/nowhere HTTP/1.1\r\n" + HEAD + b"\r\n",
    "unsupported method": b"PUT /api/auth/signin HTTP/1.1\r\n" + HEAD + b"\r\n",
    "unknown host": b"GET /api/test/all HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "no host": b"GET /api/test/all HTTP/1.1\r\nConnection: close\r\n\r\n",
    "invalid JSON": b"POST /api/auth/signin HTTP/1.1\r\n" + HEAD + JSON + b"Content-Length: 1\r\n\r\n{",
    "body too large": b"POST /api/auth/signin HTTP/1.1\r\n" + HEAD + JSON + b"Content-Length: 9000000\r\n\r\n",
    "malformed chunk": b"POST /api/auth/signin HTTP/1.1\r\n" + HEAD + JSON + CHUNKED + b"\r\nZZ\r\n",
    "public keys": b"GET /.well-known/jwks.json HTTP/1.1\r\n" + HEAD + b"\r\n",
    "documentation": b"GET /api/docs HTTP/1.1\r\n" + HEAD + b"\r\n",
    "admin": b"GET /admin/login/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    "unknown path in the admin": b"GET /admin/nowhere HTTP/1.1\r\n" + HEAD + b"\r\n",
    "page": b"GET /reset-password HTTP/1.1\r\n" + HEAD + b"\r\n",
    "static file": b"GET /static/api/start.js HTTP/1.1\r\n" + HEAD + b"\r\n",
    "redirect": b"GET /admin HTTP/1.1\r\n" + HEAD + b"\r\n",
    "health check": b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "preflight": b"OPTIONS /api/auth/signin HTTP/1.1\r\n" + HEAD + PREFLIGHT,
    "preflight for the documentation": b"OPTIONS /api/docs HTTP/1.1\r\n" + HEAD + PREFLIGHT,
}  # fmt: skip
REJECTED_BY_THE_SERVER = ("no host", "body too large", "malformed chunk")


@pytest.mark.parametrize("scheme", [b"http", b"https"])
@pytest.mark.parametrize("name", REJECTED_BY_THE_SERVER)
def test_a_rejection_by_the_server_has_the_security_headers_of_every_api_response(behind_tls, name, scheme):
    forwarded = b"\r\nX-Forwarded-Proto: " + scheme + b"\r\n"
    expected = send(behind_tls, REQUESTS["unknown path in the API"].replace(b"\r\n", forwarded, 1)).headers
    rejected = send(behind_tls, REQUESTS[name].replace(b"\r\n", forwarded, 1))

    names = {
        header for header in expected if header.startswith(("x-", "cross-", "content-sec", "refer", "strict"))
    }
    assert len(names) >= 6
    assert {header: rejected.headers.get(header) for header in names} == {
        header: expected[header] for header in names
    }
    assert set(json.loads(rejected.body)) == {"message", "code"}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_response_has_the_security_headers_and_names_no_software(server, name):
    response = send(server, REQUESTS[name])

    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] in ("same-origin", "no-referrer")
    policy = response.headers["content-security-policy"].split("; ")
    assert {"base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert policy[0].startswith("default-src ")
    assert response.headers["server"] == "-"
    assert "x-powered-by" not in response.headers
    visible = (str(response.headers) + response.body.decode()).lower()
    assert not [
        word
        for word in ("granian", "python/", "django/", "traceback", "site-packages", "hyper")
        if word in visible
    ]
    if response.status >= 400 and response.headers["content-type"] == "application/json":
        assert response.headers["cache-control"] == "no-store"
        assert set(json.loads(response.body)) >= {"message", "code"}


def test_responses_with_tokens_are_not_cacheable(server):
    body = json.dumps(sign_up(server, "cached")).encode()

    response = post(server, JSON, f"Content-Length: {len(body)}\r\n\r\n".encode(), body)

    assert b"accessToken" in response.body
    assert response.headers["cache-control"] == "no-store"


def test_behind_tls_browsers_get_hsts_and_the_api_refuses_plain_http(behind_tls):
    encrypted = get(behind_tls, b"/api/test/all", b"X-Forwarded-Proto: https\r\n")
    plain = get(behind_tls)

    assert encrypted.status == 200
    assert encrypted.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"
    # A redirect would hide from the client that it has just sent its token unencrypted.
    assert (plain.status, "location" in plain.headers) == (400, False)
    page = get(behind_tls, b"/admin/")
    assert (page.status, page.headers["location"]) == (301, "https://localhost/admin/")
    assert get(behind_tls, b"/healthz").status == 200


def test_behind_tls_every_cookie_is_secure(behind_tls):
    body = {"username": "secure", "email": "secure@example.com", "password": PASSWORD}
    assert behind_tls.post("/api/auth/signup", body, **{"X-Forwarded-Proto": "https"})[0] == 201
    body = json.dumps({**body, "useCookies": True}).encode()
    over_https = b"X-Forwarded-Proto: https\r\n"

    signed_in = exchange(
        behind_tls,
        b"POST /api/auth/signin HTTP/1.1\r\n",
        HEAD,
        JSON,
        over_https,
        f"Content-Length: {len(body)}\r\n\r\n".encode(),
        body,
    )
    admin = exchange(behind_tls, b"GET /admin/login/ HTTP/1.1\r\n", HEAD, over_https, b"\r\n")

    cookies = [line for line in (signed_in + admin).split(b"\r\n") if line.lower().startswith(b"set-cookie:")]
    assert len(cookies) == 5
    assert all(b"; Secure" in line and b"SameSite=Lax" in line for line in cookies)


# CORS.


@pytest.mark.parametrize("origin", [b"null", b"http://evil.example", b"http://localhost:8081.evil.example",
                                    b"http://localhost:80810", b"https://localhost:8081", b"http://LOCALHOST:8081",
                                    b"*", b"http://localhost:8081, http://evil.example", b""])  # fmt: skip
def test_an_origin_that_is_not_in_the_list_gets_no_cors_headers(server, origin):
    for method in (b"GET", b"OPTIONS"):
        response = send(
            server,
            method,
            b" /api/test/all HTTP/1.1\r\n",
            HEAD,
            b"Origin: ",
            origin,
            b"\r\nAccess-Control-Request-Method: GET\r\n\r\n",
        )
        assert not [name for name in response.headers if name.startswith("access-control-allow")]
        assert "origin" in response.headers["vary"].lower()


def test_an_allowed_origin_is_named_and_never_replaced_by_a_wildcard(server):
    response = get(server, b"/api/test/user", b"Origin: http://localhost:8081\r\n")

    assert response.headers["access-control-allow-origin"] == "http://localhost:8081"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "origin" in response.headers["vary"].lower()


def test_pages_and_health_checks_have_no_cors_headers(server):
    for path in (b"/admin/login/", b"/healthz", b"/readyz", b"/reset-password"):
        assert "access-control-allow-origin" not in get(server, path, b"Origin: http://localhost:8081\r\n").headers


@pytest.mark.parametrize(
    "header", [b"Authorization: Bearer \xff", b"x-access-token: \xc3\xa9", b"Authorization: \xff"]
)
def test_a_token_with_non_ascii_characters_is_invalid_rather_than_missing(server, header):
    response = send(server, b"GET /api/test/user HTTP/1.1\r\n", HEAD, header, b"\r\n\r\n")

    assert (response.status, response.code) == (401, "token_invalid")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_cookie_header_with_non_ascii_bytes_is_ignored(server):
    token = server.post("/api/auth/signin", sign_up(server, "cookie"))[1]["accessToken"].encode()
    cookie = b"Cookie: __Host-access=" + token

    assert get(server, b"/api/test/user", cookie + b"\r\n").status == 200
    assert get(server, b"/api/test/user", cookie + b"; name=Jos\xc3\xa9\r\n").code == "token_missing"


def test_a_database_without_the_tables_is_not_ready(api, assert_refused):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_user RENAME TO missing")
        assert_refused(api.get("/readyz"), 503, "unavailable")
        transaction.set_rollback(True)
    assert api.get("/readyz").status_code == 200
