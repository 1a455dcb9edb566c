"""Writes the pages that are made of the code, settings.md and http.md. `make docs` runs it."""

import ast
import dataclasses
import inspect
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import django

DOCS = Path(__file__).parent
GENERATED = "<!-- Made by `make docs`: edit the code that it is made of. -->"
GROUPS = {
    "auth": "Accounts and sessions",
    "oauth": "For services",
    ".well-known": "Keys and metadata",
    "test": "Content to try access with",
}
FRAMEWORK_ERRORS = (
    ("invalid_request", 408, "The body did not arrive in time.", "Send it again."),
    (
        "method_not_allowed", 405, "The path has no such method. `Allow` names those that it has.",
        "A fault of the client: mend it.",
    ),
    ("payload_too_large", 413, "The body is longer than is read: 64 KiB.", "A fault of the client: mend it."),
    (
        "unsupported_media_type", 415, "The body is neither JSON nor a form.",
        "Send `Content-Type: application/json`.",
    ),
    (
        "internal_error", 500, "A fault of this service. Its log tells of it.",
        "Tell the user to try later; the session lives.",
    ),
)  # fmt: skip
"""Refused before a rule of this service is asked: code, status, meaning, and what a client does."""

_REFRESH = "Refresh once, send the request once more. A second 401: let the caller have it."
_SIGN_IN = "Forget both tokens, show the sign-in."
_CHOOSE_ANOTHER = "Show it at the field; ask for another one."

CLIENT_ACTIONS = {
    "invalid_request": "Show `errors` at the fields. Without `errors` it is a fault of the client.",
    "username_taken": _CHOOSE_ANOTHER,
    "email_taken": _CHOOSE_ANOTHER,
    "role_unknown": "A fault of the client, or the role has yet to be made.",
    "role_not_allowed": "Sign up without `roles`, and have the role granted.",
    "invalid_credentials": "Show the message; no refresh.",
    "invalid_client": "Do not try again; have the operator look at the secret in the admin (*Services*).",
    "email_unverified": "Point to the mail; offer `POST /api/auth/email/verify/resend`.",
    "invalid_password": "Show the message; the session goes on.",
    "recent_authentication_required": (
        "Ask for the password, `POST /api/auth/reauthenticate`, send it once more with the new token."
    ),
    "csrf_failed": "No second try: see [troubleshooting.md](troubleshooting.md#403-csrf_failed).",
    "not_found": "Show that it is gone.",
    "token_missing": "Show the sign-in.",
    "token_expired": _REFRESH,
    "token_invalid": _REFRESH,
    "token_revoked": "Refresh once: it is refused with a 403, and the session is over.",
    "token_stale": _REFRESH,
    "role_required": "Show that it is not allowed; a refresh changes nothing.",
    "refresh_token_missing": "Show the sign-in.",
    "refresh_token_unknown": _SIGN_IN,
    "refresh_token_expired": _SIGN_IN,
    "refresh_token_reused": f"{_SIGN_IN} Say that the session was ended for safety.",
    "refresh_token_revoked": _SIGN_IN,
    "throttled": "Wait for `Retry-After`; say how long.",
    "unavailable": "Wait for `Retry-After`, try again; the session lives, keep the tokens.",
}
"""What a client does about each refusal."""


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """A setting as the environment names it."""

    name: str
    default: str
    meaning: str
    allowed: str = ""


def pages() -> Mapping[Path, str]:
    """Give the text of each page."""
    return {DOCS / "settings.md": _settings_page(), DOCS / "http.md": _http_page()}


def auth_variables() -> list[Variable]:
    """List the settings of the service, as they are declared."""
    from accounts.conf import AuthSettings, environment_name  # noqa: PLC0415  Django is set up first

    [declared] = ast.parse(inspect.getsource(AuthSettings)).body
    meanings = _descriptions(declared)
    return [
        Variable(
            environment_name(field),
            format_default(field.default),
            meanings[field.name],
            field.metadata["rule"].allowed,
        )
        for field in dataclasses.fields(AuthSettings)
    ]


def other_variables() -> list[Variable]:
    """List what else authproject/settings.py reads, in its order."""
    module = ast.parse((DOCS.parent / "authproject/settings.py").read_text())
    meanings = _descriptions(module)
    return [
        Variable(name, default, meanings[target])
        for target, value in _assignments(module)
        for name, default in _variables_read(value).items()
        if target != "AUTH"
    ]


def format_default(value: object) -> str:
    """Spell a value as the environment would."""
    if isinstance(value, timedelta):
        return str(int(value.total_seconds()))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"{value[0]}/{value[1] // 60}m" if hasattr(value, "window") else ",".join(value)
    return str(value)


def _assignments(tree: Any) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield _target(node), node.value


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])


def _descriptions(tree: Any) -> dict[str, str]:
    """Find the text below each assignment."""
    return {
        _target(node): " ".join(str(ast.literal_eval(docstring.value)).split())
        for node, docstring in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(docstring, ast.Expr)
        and isinstance(docstring.value, ast.Constant)
    }


def _variables_read(value: ast.expr) -> dict[str, str]:
    """Find the variables that an expression reads; with each its default, where that is the same everywhere."""
    found: dict[str, str] = {}
    for call in ast.walk(value):
        if not isinstance(call, ast.Call) or not re.match(r"read_|env\.", ast.unparse(call.func)):
            continue
        defaults = [word.value for word in call.keywords if word.arg == "default"]
        arguments = [part.value if isinstance(part, ast.Constant) else None for part in (*call.args, *defaults)]
        for name, default in zip(arguments, [*arguments[1:], None], strict=True):
            if isinstance(name, str) and re.fullmatch("[A-Z]+(_[A-Z]+)*", name):
                found[name] = "" if default is None else format_default(default)
    return found


def _settings_page() -> str:
    auth = [f"| {v.name} | {_code(v.default)} | {v.allowed} | {v.meaning} |" for v in auth_variables()]
    other = [f"| {v.name} | {_code(v.default)} | {v.meaning} |" for v in other_variables()]
    return _fill_template(
        "settings",
        AUTH="\n".join(["| name | default | allowed | |", "| --- | --- | --- | --- |", *auth]),
        OTHER="\n".join(["| name | default | |", "| --- | --- | --- |", *other]),
    )


def _http_page() -> str:
    from api.openapi.schema import document  # noqa: PLC0415

    schema_document = document.__wrapped__()  # not the one that was kept: a test may have other settings by now
    schemas = schema_document["components"]["schemas"]
    groups = {tag: [f"## {title}"] for tag, title in GROUPS.items()}
    for path, operations in schema_document["paths"].items():
        for method, operation in operations.items():
            [tag] = operation["tags"]
            groups[tag].append(_endpoint(f"{method.upper()} {path}", operation, schemas))
    endpoints = "\n\n".join("\n\n".join(parts) for parts in groups.values())
    return _fill_template("http", ENDPOINTS=endpoints, EVENTS=_events(), ENDS=_end_reasons(), ERRORS=_errors())


def _endpoint(title: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"### {title}", f"{operation['summary']}. {_one_line(operation['description'])}", _authentication(operation)]
    parts += [
        f"In the {parameter['in']}: `{parameter['name']}`, {_type(parameter['schema'])}."
        for parameter in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        parts += [_fields(schemas[body["schema"]["$ref"].rpartition("/")[2]]), *_example(body)]
    refused = []
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if int(status) < HTTPStatus.BAD_REQUEST:
            kind = "" if not content else ", `text/plain`" if "text/plain" in content else ":"
            parts.append(f"Answers {status}{kind}{'' if kind == ':' else '.'}")
            parts += _example(content.get("application/json", {}))
        else:
            codes = content["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
            error_lines.append(f"{status} {', '.join(f'`{code}`' for code in codes)}")
    return "\n\n".join([*parts, f"Refuses with {'; '.join(error_lines)}."])


def _authentication(operation: Mapping[str, Any]) -> str:
    schemes = [name for way in operation.get("security", ()) for name in way or ("",)]
    if not schemes:
        return "For anyone."
    if "service" in schemes:
        return "For registered services, by HTTP Basic or `client_id` and `client_secret`."
    return "With an access token." if "" not in schemes else "With a refresh token, or an access token."


def _fields(schema: Mapping[str, Any]) -> str:
    lines = ["| field | | |", "| --- | --- | --- |"]
    for name, field in schema["properties"].items():
        need = "required" if name in schema.get("required", ()) else "optional"
        lines.append(
            f"| `{name}` | {need} | {'; '.join(filter(None, (_type(field), field.get('description'))))} |"
        )
    return "\n".join(lines)


def _type(schema: Mapping[str, Any]) -> str:
    # An empty text is a choice of its own where blanks are refused by a rule, and not by the shape.
    shape = schema.get("oneOf", (schema,))[0]
    kinds = shape.get("type", "value")
    kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if kind == "array":
        kind = f"array of {_type(shape['items'])}"
    if "minLength" in shape:
        kind += f", {shape['minLength']} to {shape['maxLength']} characters"
    elif "maxLength" in shape:
        kind += f", at most {shape['maxLength']} characters"
    return kind + (f" ({shape['format']})" if "format" in shape else "")


def _example(content: Mapping[str, Any]) -> list[str]:
    values = [example["value"] for example in content.get("examples", {}).values()]
    return [f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```" for value in values[:1]]


def _errors() -> str:
    from accounts import errors  # noqa: PLC0415
    from api.errors import STATUSES  # noqa: PLC0415

    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AuthError)
    ]
    declared = [kind for kind in kinds if "code" in vars(kind)]
    rows = [
        (kind.code, STATUSES[kind.kind], kind.message, _one_line(kind.__doc__ or ""), CLIENT_ACTIONS[kind.code])
        for kind in declared
    ]
    rows += [(code, status, "", meaning, to_do) for code, status, meaning, to_do in FRAMEWORK_ERRORS]
    lines = [f"| `{code}` | {' | '.join(map(str, cells))} |" for code, *cells in rows]
    head = "| code | status | message | meaning | what a client does |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *lines])


def _events() -> str:
    from accounts.history.events import DESCRIPTIONS, MAIL_TEMPLATES, Event  # noqa: PLC0415

    lines = [
        f"| `{event}` | {DESCRIPTIONS.get(event, '')} | {'yes' if event in MAIL_TEMPLATES else ''} |"
        for event in Event
    ]
    return "\n".join(["| event | in the history, as | mailed |", "| --- | --- | --- |", *lines])


def _end_reasons() -> str:
    from accounts.models import EndReason  # noqa: PLC0415

    return ", ".join(f"`{reason.value}` ({reason.label})" for reason in EndReason)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _fill_template(name: str, **tables: str) -> str:
    text = (DOCS / "templates" / f"{name}.md").read_text()
    for mark, table in tables.items():
        text = text.replace(f"<!-- {mark} -->", table)
    return f"{GENERATED}\n\n{text}"


def main() -> None:
    """Write the pages, as they are with nothing set."""
    for name in [name for name in os.environ if name.startswith("AUTH_") or name == "PUBLIC_URL"]:
        del os.environ[name]
    os.environ |= {"DJANGO_SETTINGS_MODULE": "authproject.settings", "SECRET_KEY": "signs nothing here"}
    django.setup()
    for path, text in pages().items():
        path.write_text(text)
        sys.stdout.write(f"{path} is written.\n")


if __name__ == "__main__":
    main()
