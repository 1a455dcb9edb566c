"""Forged encrypted access tokens, after the known attacks on JWE (RFC 7516 section 11, RFC 8725 section 3).

Each token has one defect. Everything else is what the issuer would write, and it is encrypted with the issuer's key,
unless the key is the defect, so that no other check can refuse the token. Only services that decrypt tokens have that
key; most of these forgeries therefore test that holding it is not enough.
"""

import base64
import hashlib
import hmac
import json
import secrets
import zlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe
from joserfc.jwk import OctKey

from tests.tokens.forgeries import Forger, encode

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def decode(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


class Sealer:
    """Builds encrypted tokens. `inner` is a valid signed token, `key` the issuer's encryption key."""

    def __init__(self, inner, key, signing_key):
        self.inner, self.key, self.signing_key = inner, key.private_key, signing_key
        self.header = {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": key.kid}
        self.token = self.seal()
        self.head, _, self.iv, self.ciphertext, self.tag = self.token.split(".")

    def seal(self, inner=None, *, header=None, key=None, iv=None):
        """Encrypt with AES-GCM. `header` is a dict, or its bytes."""
        iv = secrets.token_bytes(12) if iv is None else iv
        head = encode(self.header if header is None else header)
        content = self.inner if inner is None else inner
        encryptor = Cipher(algorithms.AES(key or self.key), modes.GCM(iv)).encryptor()
        encryptor.authenticate_additional_data(head.encode())
        ciphertext = encryptor.update(content if isinstance(content, bytes) else content.encode())
        ciphertext += encryptor.finalize()
        return f"{head}..{encode(iv)}.{encode(ciphertext)}.{encode(encryptor.tag)}"

    def with_header(self, **changes):
        return self.seal(header={**self.header, **changes})

    def without(self, name):
        return self.seal(header={key: value for key, value in self.header.items() if key != name})

    def joined(self, *, head=None, encrypted_key="", iv=None, ciphertext=None, tag=None):
        parts = (head, encrypted_key, iv, ciphertext, tag)
        own = (self.head, "", self.iv, self.ciphertext, self.tag)
        return ".".join(mine if part is None else part for part, mine in zip(parts, own, strict=True))


def flipped(segment, position):
    raw = bytearray(decode(segment))
    raw[position] ^= 1
    return encode(bytes(raw))


def altered(s):
    for name in ("iv", "ciphertext", "tag"):
        segment = getattr(s, name)
        for position in (0, len(decode(segment)) // 2, -1):
            yield f"{name}, a bit of byte {position}", s.joined(**{name: flipped(segment, position)})
        yield f"{name}, none", s.joined(**{name: ""})
        yield f"{name}, zeros", s.joined(**{name: encode(bytes(len(decode(segment))))})
        yield f"{name}, a byte less", s.joined(**{name: encode(decode(segment)[:-1])})
        yield f"{name}, a byte more", s.joined(**{name: encode(decode(segment) + b"\x00")})
    for length in (1, 4, 8, 12, 15):
        yield f"tag of {length} bytes", s.joined(tag=encode(decode(s.tag)[:length]))
    other = s.seal().split(".")
    yield "iv of another token", s.joined(iv=other[2])
    yield "ciphertext of another token", s.joined(ciphertext=other[3])
    yield "tag of another token", s.joined(tag=other[4])
    yield "header of another key", s.joined(head=encode({**s.header, "kid": "x"}))
    yield "header in another order", s.joined(head=encode(dict(reversed(s.header.items()))))
    for length in (8, 11, 13, 16, 32):
        yield f"iv of {length} bytes, correctly encrypted", s.seal(iv=secrets.token_bytes(length))


def other_algorithms(s):
    for algorithm in ("none", "None", "", "DIR", "dir ", "direct", "A128KW", "A256KW", "A256GCMKW", "RSA1_5", "RSA-OAEP",
                      "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW", "PBES2-HS256+A128KW", "HS256", "ES256", "A256GCM", None, 1,
                      True, ["dir"], {"dir": 1}):  # fmt: skip
        yield f"alg {algorithm!r}", s.with_header(alg=algorithm)
    for algorithm in ("A128GCM", "A192GCM", "A128CBC-HS256", "A256CBC-HS512", "a256gcm", "A256GCM ", "none", "", "XC20P",
                      "dir", None, 1, ["A256GCM"]):  # fmt: skip
        yield f"enc {algorithm!r}", s.with_header(enc=algorithm)
    yield "A128GCM with half of the key", s.seal(header={**s.header, "enc": "A128GCM"}, key=s.key[:16])
    yield "A192GCM with part of the key", s.seal(header={**s.header, "enc": "A192GCM"}, key=s.key[:24])
    for name in ("A128CBC-HS256",):
        header, registry = {**s.header, "enc": name}, jwe.JWERegistry(algorithms=["dir", name])
        yield name, jwe.encrypt_compact(header, s.inner, OctKey.import_key(s.key), registry=registry)
    for name in ("A256KW", "A256GCMKW"):
        header, registry = {**s.header, "alg": name}, jwe.JWERegistry(algorithms=[name, "A256GCM"])
        yield name, jwe.encrypt_compact(header, s.inner, OctKey.import_key(s.key), registry=registry)
    for name in ("alg", "enc", "cty", "kid"):
        yield f"no {name}", s.without(name)
    yield "an encrypted key", s.joined(encrypted_key=encode(bytes(40)))
    yield "an encrypted key of one byte", s.joined(encrypted_key="AA")


def other_headers(s):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressed = deflate.compress(s.inner.encode()) + deflate.flush()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflate.compress(bytes(10_000_000)) + deflate.flush()
    yield "zip", s.seal(compressed, header={**s.header, "zip": "DEF"})
    yield "zip of ten million bytes", s.seal(bomb, header={**s.header, "zip": "DEF"})
    yield "compressed without zip", s.seal(compressed)
    for changes in (
        {"zip": "DEF"}, {"zip": None}, {"zip": ""}, {"crit": []}, {"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False},
        {"b64": False}, {"typ": "JWT"}, {"typ": "at+jwt"}, {"typ": "JOSE"}, {"cty": "jwt"}, {"cty": "JWE"}, {"cty": "at+jwt"},
        {"cty": "application/json"}, {"cty": None}, {"cty": ["JWT"]}, {"jku": "https://evil.example/jwks.json"}, {"jwk": {"kty": "oct"}},
        {"x5u": "https://evil.example"}, {"epk": {}}, {"apu": "AA"}, {"apv": "AA"}, {"p2c": 2**31, "p2s": "AA"}, {"iv": "AA"},
        {"tag": "AA"}, {"iss": "http://localhost:8000"}, {"": ""}, {"ALG": "dir"},
    ):  # fmt: skip
        yield f"header {changes}", s.with_header(**changes)
    kid = s.header["kid"]
    for wrong in ("", "x", kid + " ", kid + "\n", kid.swapcase(), "../" + kid, kid + ".jwk", "/dev/null", "a" * 5000, None, 0,
                  True, [kid], {"kid": kid}):  # fmt: skip
        yield f"kid {str(wrong)[:30]!r}", s.with_header(kid=wrong)
    text = json.dumps(s.header)[:-1]
    for name, text_form in {
        "alg twice": text + ', "alg": "dir"}', "enc none, then right": '{"enc": "none", ' + text[1:] + "}",
        "NaN": text + ', "n": NaN}', "garbage behind": text + "}x", "a list": "[" + text + "}]", "a text": '"dir"', "null": "null",
        "nested": text + ', "a": ' + "[" * 150 + "]" * 150 + "}", "no end": text, "empty": "{}",
    }.items():  # fmt: skip
        yield f"header, {name}", s.seal(header=text_form.encode())
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        yield f"header in {encoding}", s.seal(header=(text + "}").encode(encoding))
    yield "header with bytes that are not UTF-8", s.seal(header=text.encode() + b', "a": "\xff"}')


def other_keys(s):
    public = s.signing_key.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for name, key in {
        "a stranger's key": secrets.token_bytes(32), "zeros": bytes(32), "a digest of the public key": hashlib.sha256(der).digest(),
        "a digest of the kid": hashlib.sha256(s.header["kid"].encode()).digest(), "a digest of the key": hashlib.sha256(s.key).digest(),
        "the key backwards": s.key[::-1],
    }.items():  # fmt: skip
        yield f"encrypted with {name}", s.seal(key=key)
    forger = Forger(s.inner, s.signing_key)
    for kid in (s.header["kid"], forger.header["kid"]):
        head = encode({"alg": "HS256", "typ": "at+jwt", "kid": kid})
        mac = hmac.new(s.key, f"{head}.{forger.payload}".encode(), hashlib.sha256).digest()
        signed = f"{head}.{forger.payload}.{encode(mac)}"
        yield f"signed with the encryption key as {kid[:4]}", signed
        yield f"signed with the encryption key as {kid[:4]}, encrypted", s.seal(signed)


def other_contents(s):
    forger = Forger(s.inner, s.signing_key)
    yield "encrypted twice", s.seal(s.token)
    yield "encrypted three times", s.seal(s.seal(s.token))
    yield "only the claims", s.seal(json.dumps(forger.claims))
    yield "only the payload", s.seal(forger.payload)
    for algorithm in ("none", "None", ""):
        yield f"inner alg {algorithm!r}", s.seal(forger.unsigned(algorithm))
        yield f"inner alg {algorithm!r} with the signature", s.seal(forger.unsigned(algorithm, forger.signature))
    yield "inner key of a stranger", s.seal(forger.with_header(ec.generate_private_key(ec.SECP256R1())))
    yield "inner typ JWT", s.seal(forger.with_header(typ="JWT"))
    yield "inner alg dir", s.seal(forger.with_header(alg="dir"))
    yield (
        "inner claims altered",
        s.seal(f"{forger.head}.{encode({**forger.claims, 'roles': ['admin']})}.{forger.signature}"),
    )
    for name, content in {
        "nothing": "", "a blank before": " " + s.inner, "a newline behind": s.inner + "\n", "padding": s.inner + "=", "quotes": f'"{s.inner}"',
        "UTF-16": s.inner.encode("utf-16"), "a mark": b"\xef\xbb\xbf" + s.inner.encode(), "not ASCII": s.inner + "\u00e9",
        "not UTF-8": b"\xff\xfe\xfd", "zeros": bytes(64), "dots": "..", "JSON": json.dumps({"payload": forger.payload}),
    }.items():  # fmt: skip
        yield f"content, {name}", s.seal(content)
    yield "longer than any token", s.seal(s.inner + "A" * 16384)


def other_encodings(s):
    for name in ("head", "iv", "ciphertext", "tag"):
        segment = getattr(s, name)
        yield f"{name}, padding", s.joined(**{name: segment + "="})
        yield f"{name}, a letter more", s.joined(**{name: segment + "A"})
        unused = {2: 4, 3: 2}.get(len(segment) % 4)  # bits of the last character that encode nothing
        if unused:
            for bit in range(unused):
                last = ALPHABET[ALPHABET.index(segment[-1]) ^ (1 << bit)]
                yield f"{name}, unused bit {bit}", s.joined(**{name: segment[:-1] + last})
    token = s.token
    for name, text_form in {
        "six parts": token + ".", "a seventh": token + ".a.b", "four parts": token.rsplit(".", 1)[0], "a dot before": "." + token,
        "dots alone": "....", "a blank": token.replace("..", ". ."), "upper case": token.upper(), "quotes": f'"{token}"',
        "another alphabet": s.joined(ciphertext=s.ciphertext[:-3] + "+/A"), "a star": s.joined(tag=s.tag[:-1] + "*"),
        "full width": token.replace("e", "\uff45", 1), "endless": s.joined(ciphertext="A" * 20000),
        "JSON serialization": json.dumps({"protected": s.head, "iv": s.iv, "ciphertext": s.ciphertext, "tag": s.tag}),
        "the signed header before": f"{s.inner.split('.')[0]}..{s.iv}.{s.ciphertext}.{s.tag}",
    }.items():  # fmt: skip
        yield f"encoding, {name}", text_form


CATEGORIES = (altered, other_algorithms, other_headers, other_keys, other_contents, other_encodings)


def encrypted_forgeries(inner, key, signing_key):
    """Yield a description of the defect and the forged token, for every forgery."""
    sealer = Sealer(inner, key, signing_key)
    for category in CATEGORIES:
        yield from category(sealer)
