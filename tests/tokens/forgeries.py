"""Forged access tokens, after the known attacks on JWTs and the test vectors of Project Wycheproof.

Each token has one defect. Everything else is what the issuer would write, and it is signed with the issuer's key,
unless the signature is the defect, so that no other check can refuse the token.
"""

import base64
import hashlib
import hmac
import json
import zlib

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256."""


def encode(content):
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw_pair(r, s, size=32):
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def jwk_of(key):
    numbers = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": encode(numbers.x.to_bytes(32)), "y": encode(numbers.y.to_bytes(32))}


class Forger:
    """Builds variations of a token. It has the issuer's key, which a real attacker does not."""

    def __init__(self, token, key):
        head, payload, self.signature = token.split(".")
        self.head, self.payload = head, payload
        self.header, self.claims = self.read(head), self.read(payload)
        self.key = key
        self.own_key = ec.generate_private_key(ec.SECP256R1())
        self.pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @staticmethod
    def read(segment):
        return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))

    def sign(self, header, claims, key=None):
        signed = f"{encode(header)}.{encode(claims)}"
        return f"{signed}.{encode(self.raw_signature(signed, key or self.key))}"

    def raw_signature(self, text, key):
        return raw_pair(*utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA256()))))

    def with_header(self, key=None, **changes):
        return self.sign({**self.header, **changes}, self.claims, key)

    def with_header_text(self, text):
        return self.sign(text, self.claims)

    def with_claims(self, **changes):
        return self.sign(self.header, {**self.claims, **changes})

    def with_claim_text(self, name, text):
        text_form = json.dumps({**self.claims, name: "@"}).replace('"@"', text)
        return self.sign(self.header, text_form.encode())

    def with_payload(self, payload):
        return self.sign(self.header, payload)

    def with_signature(self, signature):
        return f"{self.head}.{self.payload}.{signature if isinstance(signature, str) else encode(signature)}"

    def unsigned(self, algorithm, signature=""):
        return f"{encode({**self.header, 'alg': algorithm})}.{self.payload}.{signature}"

    def by_mac(self, secret, algorithm="HS256", digest=hashlib.sha256):
        signed = f"{encode({**self.header, 'alg': algorithm})}.{self.payload}"
        return f"{signed}.{encode(hmac.new(secret, signed.encode(), digest).digest())}"

    def der_signature(self):
        return self.key.sign(f"{self.head}.{self.payload}".encode(), ec.ECDSA(SHA256()))


def _texts(forger):
    """Return the header and the claims as JSON without the closing brace."""
    return json.dumps(forger.header)[:-1], json.dumps(forger.claims)[:-1]


def unsigned(f):
    for algorithm in ("none", "None", "NONE", "nOnE", "", "none ", "\u0000none"):
        yield f"alg {algorithm!r}", f.unsigned(algorithm)
        yield f"alg {algorithm!r} with the signature", f.unsigned(algorithm, f.signature)


def wrong_algorithms(f):
    for name, secret in {
        "PEM": f.pem, "PEM without its last newline": f.pem.strip(), "DER": f.der, "nothing": b"",
        "the kid": f.header["kid"].encode(), "the JWK": json.dumps(jwk_of(f.key)).encode(), "a zero": b"\x00",
    }.items():  # fmt: skip
        yield f"HS256 by {name}", f.by_mac(secret)
    yield "HS512 by PEM", f.by_mac(f.pem, "HS512", hashlib.sha512)
    for algorithm in ("HS256", "ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "es256", "ES256 ", "dir", None,
                      1, ["ES256"], {"ES256": 1}, True):  # fmt: skip
        yield f"alg {algorithm!r}", f.with_header(alg=algorithm)
    yield "no alg", f.sign({name: value for name, value in f.header.items() if name != "alg"}, f.claims)


def other_keys(f):
    yield "a stranger's key", f.with_header(f.own_key)
    yield "a stranger's key as jwk", f.with_header(f.own_key, jwk=jwk_of(f.own_key))
    yield "a stranger's key as jwk, without kid", f.with_header(f.own_key, jwk=jwk_of(f.own_key), kid=None)
    for name in ("jku", "x5u"):
        for address in ("https://evil.example/jwks.json", "file:///etc/passwd", "http://127.0.0.1:1/"):
            yield f"{name} {address}", f.with_header(**{name: address})
    kid = f.header["kid"]
    for wrong in ("", "../../../dev/null", "/dev/null", "/proc/self/environ", kid + "/", "./" + kid, kid + ".pem",
                  kid + "\u0000", kid + "\n", kid + " ", kid.swapcase(), "' OR '1'='1", "x' UNION SELECT 'a", "|id", "$(id)",
                  "https://evil.example/key", "ring.json", "{0}", "%s", "\u202e" + kid, "a" * 300, "a" * 5000, None, 0,
                  True, [kid], {"kid": kid}):  # fmt: skip
        yield f"kid {str(wrong)[:40]!r}", f.with_header(kid=wrong)
    yield "no kid", f.sign({name: value for name, value in f.header.items() if name != "kid"}, f.claims)


def other_headers(f):
    for changes in (
        {"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": True}, {"zip": "DEF"},
        {"cty": "JWT"}, {"x5c": ["MIIB"]}, {"x5t": "a"}, {"x5t#S256": "a"}, {"enc": "A256GCM"}, {"epk": {}},
        {"p2c": 2**31, "p2s": "a"}, {"typ": "JWT"}, {"typ": "at+JWT"}, {"typ": "application/at+jwt"}, {"typ": None},
        {"typ": ["at+jwt"]}, {"typ": "logout+jwt"}, {"iss": "http://localhost:8000"}, {"": ""}, {"ALG": "ES256"},
    ):  # fmt: skip
        yield f"header {changes}", f.with_header(**changes)
    text, _ = _texts(f)
    for name, text_form in {
        "alg twice": text + ', "alg": "ES256"}', "alg none, then right": '{"alg": "none", ' + text[1:] + "}",
        "kid twice": '{"kid": "x", ' + text[1:] + "}", "escaped twice": text + ', "\\u0061lg": "ES256"}',
        "NaN": text + ', "n": NaN}', "garbage behind": text + "}x", "two objects": text + "}{}",
        "a list": "[" + text + "}]", "a comment": text + "/**/}", "a comma": text + ",}", "single quotes": text.replace('"', "'") + "}",
        "nested": text + ', "a": ' + "[" * 200 + "]" * 200 + "}", "no end": text, "nothing": "",
    }.items():  # fmt: skip
        yield f"header, {name}", f.with_header_text(text_form.encode())
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32"):
        yield f"header in {encoding}", f.with_header_text((text + "}").encode(encoding))
    yield (
        "header with a lone surrogate's bytes",
        f.with_header_text((text + ', "a": "').encode() + b'\xed\xa0\x80"}'),
    )


def other_signatures(f):
    r, s = utils.decode_dss_signature(f.der_signature())
    for name, signature in {
        "zeros": bytes(64), "r = 0": raw_pair(0, s), "s = 0": raw_pair(r, 0), "r = n": raw_pair(ORDER, s), "s = n": raw_pair(r, ORDER),
        "ones": raw_pair(1, 1), "n - 1": raw_pair(ORDER - 1, ORDER - 1), "all bits": b"\xff" * 64, "swapped": raw_pair(s, r),
        "DER": f.der_signature(), "33 bytes each": raw_pair(r, s, 33), "48 bytes each": raw_pair(r, s, 48), "63 bytes": raw_pair(r, s)[:-1],
        "65 bytes": raw_pair(r, s) + b"\x00", "a byte before": b"\x00" + raw_pair(r, s), "r alone": raw_pair(r, s)[:32],
        "twice": raw_pair(r, s) * 2, "one byte": b"\x00", "long": bytes(6000),
    }.items():  # fmt: skip
        yield f"signature, {name}", f.with_signature(signature)
    yield "signature of the payload alone", f.with_signature(f.raw_signature(f.payload, f.key))
    yield "signature of another header", f"{f.head}.{f.payload}.{f.with_header(typ='JWT').rsplit('.', 1)[1]}"


def other_encodings(f):
    token = f"{f.head}.{f.payload}.{f.signature}"
    for name, text_form in {
        "padding": token + "==", "one =": token + "=", "padded head": f"{f.head}=.{f.payload}.{f.signature}",
        "a dot behind": token + ".", "a dot before": "." + token, "two dots": token.replace(".", "..", 1),
        "a blank": token.replace(".", " ."), "a tab": token.replace(".", "\t.", 1), "%2E": token.replace(".", "%2E"),
        "quotes": f'"{token}"', "parts alone": f"{f.head}.{f.payload}", "head alone": f.head, "dots alone": "..",
        "empty payload": f"{f.head}..{f.signature}", "another alphabet": f.with_signature(f.signature[:-2] + "+/"),
        "a star": f.with_signature(f.signature[:-1] + "*"), "a letter more": token + "A", "a letter less": token[:-1],
        "Bearer twice": "Bearer " + token, "DPoP": "DPoP " + token, "hex": token.encode().hex(),
        "base64 of it": encode(token.encode()), "endless": "A" * 9000 + "." + "A" * 3000 + "." + "A" * 3000,
        "four parts": token + "." + f.signature, "a JWE": f"{f.head}.{f.payload}.{f.payload}.{f.payload}.{f.signature}",
        "upper case": token.upper(), "full width": token.replace("e", "\uff45", 1), "Arabic digits": token + "\u0661",
    }.items():  # fmt: skip
        yield f"encoding, {name}", text_form
    yield "JSON serialization", json.dumps({"protected": f.head, "payload": f.payload, "signature": f.signature})
    yield "a detached payload", f"{f.head}..{f.signature}"


def other_payloads(f):
    _, text = _texts(f)
    inner = f"{f.head}.{f.payload}.{f.signature}"
    for name, payload in {
        "nothing": b"", "a list": b"[]", "null": b"null", "a text": b'"x"', "a number": b"1", "a token": inner.encode(),
        "a quoted token": json.dumps(inner).encode(), "compressed": zlib.compress((text + "}").encode()),
        "NaN": (text + ', "n": NaN}').encode(), "garbage behind": (text + "}x").encode(), "no end": text.encode(),
        "nested": (text + ', "a": ' + "[" * 5000 + "]" * 5000 + "}").encode(), "no UTF-8": text.encode() + b', "a": "\xff"}',
        "sub twice": (text + ', "sub": "1"}').encode(), "exp twice": ('{"exp": 1, ' + text[1:] + "}").encode(),
        "roles twice": (text + ', "roles": ["admin"]}').encode(), "roles escaped twice": (text + ', "r\\u006fles": ["admin"]}').encode(),
        "twice within": (text + ', "a": {"b": 1, "b": 2}}').encode(),
    }.items():  # fmt: skip
        yield f"payload, {name}", f.with_payload(payload)
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32"):
        yield f"payload in {encoding}", f.with_payload((text + "}").encode(encoding))


def other_claims(f):
    for name in ("iat", "nbf", "exp", "auth_time", "ver"):
        for text_form in ("NaN", "Infinity", "-Infinity", "1e400", "1e3", "1.5", '"1"', "true", "null", "[]", "{}",
                        "9" * 5000, '"\u0661"', '"0x7fffffff"', '""'):  # fmt: skip
            yield f"{name} {text_form[:12]}", f.with_claim_text(name, text_form)
    future = f.claims["exp"] + 3600
    for name, values in {
        "exp": (0, -1, -(2**63), -(10**400), 1, 2**53, 2**63, 10**400),
        "nbf": (future, 2**63, 10**400),
        "iat": (future, 2**63, 10**400),
        "auth_time": (future, 2**63, 10**400, -1, -(10**400)),
        "ver": (-1, 2**63, 10**400),
        "iss": ("", "http://localhost:8000/", "HTTP://LOCALHOST:8000", "https://evil.example", None, 1, [f.claims["iss"]], {}),
        "aud": ("", "Authproject", " authproject", "other", ["other"], ["authproject"], ["authproject", 1], [["authproject"]],
                [], {}, None, 1, {"authproject": 1}),
        "sub": (1, 1.0, True, None, [], {}, "", "0", "-1", "+1", " 1", "1 ", "1\n", "01", "1.0", "1e0", "0x1", "\u0661", "\uff11",
                "1\u0000", "9" * 19, "9" * 400, "1 OR 1=1", "*", "%"),
        "sid": (None, "", 1, [], "*", "' OR 1=1 --", f.claims["sid"].upper(), f.claims["sid"].replace("-", ""),
                "{" + f.claims["sid"] + "}", "urn:uuid:" + f.claims["sid"], "00000000-0000-0000-0000-000000000000",
                f.claims["sid"] + "\n", " " + f.claims["sid"], "\uff11" + f.claims["sid"][1:]),
        "jti": (None, 1, [], {}),
        "client_id": (None, 1, [], {}),
        "acr": (None, 1, 2, True, "", "0", "3", "02", " 2", "2 ", "2\n", "\uff12", ["2"], {}),
        "amr": (None, "pwd", {}, {"mfa": 1}, [1], [None], [["mfa"]], True, 1),
        "roles_omitted": (True, False, None, "true", 1, []),  # the token has roles
        "roles": (None, "admin", {}, {"admin": 1}, [1], [None], [["admin"]], True, 1),
    }.items():  # fmt: skip
        for value in values:
            yield f"{name} {str(value)[:40]!r}", f.with_claims(**{name: value})
    for name in f.claims.keys() - {"acr", "amr"}:  # tokens of releases without second factors lack these two
        yield f"no {name}", f.sign(f.header, {other: value for other, value in f.claims.items() if other != name})


CATEGORIES = (
    unsigned, wrong_algorithms, other_keys, other_headers, other_signatures, other_encodings, other_payloads, other_claims,
)  # fmt: skip


def forgeries(token, key):
    """Yield a description of the defect and the forged token, for every forgery."""
    forger = Forger(token, key)
    for category in CATEGORIES:
        yield from category(forger)
