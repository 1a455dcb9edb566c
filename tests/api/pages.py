"""A browser without scripts: it stores cookies, and fills in and sends the forms of pages."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

from django.test import Client

from tests.sso.flows import CALLBACK, challenge_of

ORIGIN = "http://testserver"
COOKIE = "__Host-signin"


def authorize_path(**changes):
    """Return the path of an authorization request. A parameter set to None is left out."""
    parameters = {
        "response_type": "code",
        "client_id": "shop",
        "redirect_uri": CALLBACK,
        "scope": "openid",
        "state": "s1",
        "nonce": "n1",
        "code_challenge": challenge_of(),
        "code_challenge_method": "S256",
        **changes,
    }
    return "/authorize?" + urlencode({name: value for name, value in parameters.items() if value is not None})


def returned(response):
    """Return the parameters with which a browser is sent to the application."""
    assert response["Location"].startswith(f"{CALLBACK}?"), response["Location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(response["Location"]).query).items()}


class Page(HTMLParser):
    """A page: its texts by element id, its form, and its links."""

    def __init__(self, response):
        super().__init__()
        self.action, self.fields, self.inputs, self.links, self.texts, self.title = None, {}, {}, {}, {}, ""
        self._open, self._href = [], None
        self.html = response.content.decode()
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes.get("action")
        if tag == "input":
            self.inputs[attributes["name"]] = attributes
            if attributes.get("type") != "checkbox" or "checked" in attributes:
                self.fields[attributes["name"]] = attributes.get("value", "on" if "checked" in attributes else "")
        if tag == "a":
            self._href = attributes["href"]
        if tag not in {"input", "meta", "link", "img"}:
            self._open.append((tag, attributes.get("id")))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for tag, identity in self._open:
            if identity or tag in {"title", "h1"}:
                self.texts[identity or tag] = self.texts.get(identity or tag, "") + data
        if self._href and self._open and self._open[-1][0] == "a":
            self.links[data.strip()] = self._href

    @property
    def focused(self):
        """The names of the fields that get the focus."""
        return [name for name, attributes in self.inputs.items() if "autofocus" in attributes]

    def description(self, name):
        """Return the text with which a screen reader describes a field."""
        ids = self.inputs[name].get("aria-describedby", "").split()
        return " ".join(self.texts[one].strip() for one in ids)


class Browser:
    def __init__(self, **headers):
        self.http = Client(enforce_csrf_checks=True, headers=headers)

    def get(self, path, **headers):
        return self.http.get(path, headers=headers)

    def open(self, path, status=200):
        """Follow the redirects within the service, and return the page."""
        response = self.get(path)
        while response.status_code == 303 and response["Location"].startswith("/"):
            path = response["Location"]
            response = self.get(path)
        assert response.status_code == status, response.content
        return self.page(response, path)

    def page(self, response, path):
        page = Page(response)
        page.path, page.response = path, response
        return page

    def submit(self, page, headers=None, **fields):
        """Send the form of a page. A field set to None is left out."""
        values = {name: value for name, value in {**page.fields, **fields}.items() if value is not None}
        return self.http.post(
            page.action or page.path,
            urlencode(values),
            "application/x-www-form-urlencoded",
            headers={name: one for name, one in {"Origin": ORIGIN, **(headers or {})}.items() if one is not None},
        )

    def answer(self, page, status, **fields):
        """Send the form of a page, and return the page that comes back."""
        response = self.submit(page, **fields)
        assert response.status_code == status, (response.status_code, response.headers, response.content)
        return self.page(response, page.action or page.path)

    @property
    def cookie(self):
        return self.http.cookies[COOKIE].value if COOKIE in self.http.cookies else None
