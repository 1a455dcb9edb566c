"""The sites of docs/single-sign-on.md as processes of their own: code from the page, run with the addresses of a test."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import trustme

from tests.servers import ROOT, Server, environment, free_port, wait_until
from tests.tls import TlsProxy

APACHE = shutil.which("apache2", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
APACHE_MODULES = Path("/usr/lib/apache2/modules")
NPM = shutil.which("npm")

PAGE = (ROOT / "docs/single-sign-on.md").read_text()
FILES = {
    name: text
    for text in re.findall(r"^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name in re.findall(r"\A(?:#|//) (\S+\.\w+)\n", text)
}
"""The files on the page, by the site and the name in their first line, as in `shop/api.py`."""
[APACHE_CONFIGURATION] = re.findall(r"^```apache\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

DJANGO_SETTINGS = """
SECRET_KEY = "x" * 50
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "urls"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
"""


class Issuer:
    """The service on https://localhost, and the certificates of everything that a test runs."""

    def __init__(self, folder, django_db_blocker, **settings):
        authority = trustme.CA()
        self.certificate = authority.issue_cert("localhost", "*.shop.test", "*.books.test")
        self.authority_file = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.authority_file)
        port = free_port()
        self._proxy = TlsProxy(self.certificate, port)
        self.url = f"https://localhost:{self._proxy.port}"
        variables = environment(
            folder,
            django_db_blocker,
            PORT=str(port),
            PUBLIC_URL=self.url,
            ALLOWED_HOSTS="localhost,127.0.0.1",
            **settings,
        )
        self.server = Server(variables, folder / "log")

    def post(self, path, body, **headers):
        """Send a request as the proxy forwards it; return the JSON of the response."""
        status, content = self.server.post(path, body, **{"X-Forwarded-Proto": "https", **headers})
        assert status in {200, 201}, content
        return content

    def keys(self):
        """Return the published JWK set."""
        return json.loads(
            self.server.request("GET", "/.well-known/jwks.json", **{"X-Forwarded-Proto": "https"})[1]
        )

    def stop(self):
        assert self.server.stop() == 0
        self._proxy.stop()

    def create_application(self, name, *options):
        """Register an application with the command; return its secret, or None."""
        printed = subprocess.run(
            [sys.executable, "manage.py", "createapplication", name, *options],
            cwd=ROOT, env=self.server.environment, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        return dict(line.split(": ") for line in printed.splitlines()).get("Client secret")


class Site:
    """A site in a process of its own. `https_host` puts it behind TLS, with a name that only the browser resolves."""

    def __init__(self, issuer, https_host=None):
        self.issuer = issuer
        self.port = free_port()
        self.local_url = f"http://127.0.0.1:{self.port}"
        self._proxy = TlsProxy(issuer.certificate, self.port) if https_host else None
        self.url = f"https://{https_host}:{self._proxy.port}" if https_host else self.local_url
        self._process = None

    def write(self, folder, replaced=(), **files):
        """Write files with the address of the issuer, and with the further replacements; return the folder."""
        for name, text in files.items():
            for example, real in [("https://auth.example.com", self.issuer.url), *replaced]:
                text = text.replace(example, real)  # noqa: PLW2901
            (folder / name).write_text(text)
        return folder

    def start(self, command, folder, ready="/", **variables):
        authority = str(self.issuer.authority_file)
        trust = {"NODE_EXTRA_CA_CERTS": authority, "REQUESTS_CA_BUNDLE": authority, "SSL_CERT_FILE": authority}
        variables = {**os.environ, **trust, "PORT": str(self.port), **variables}
        variables.pop("DJANGO_SETTINGS_MODULE", None)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env={**variables, "PYTHONPATH": f"{folder}:{ROOT / 'clients/python'}"},
                stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(lambda: self._responds(ready, folder / "log"))
        return self

    def _responds(self, path, log):
        assert self._process.poll() is None, log.read_text()
        try:
            return urlopen(f"{self.local_url}{path}", timeout=5).status == 200
        except OSError as error:
            return getattr(error, "code", None) in {302, 401, 404}

    def stop(self):
        self._process.terminate()
        self._process.wait(timeout=30)
        if self._proxy:
            self._proxy.stop()


def start_django(site, folder, replaced, secret, **files):
    """Start a Django project with a page and the files of the recipe."""
    settings = DJANGO_SETTINGS + files.pop("settings", "")
    site.write(folder, replaced, **{"site_settings.py": settings}, **files)
    command = [sys.executable, "-m", "django"]
    variables = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT / 'clients/python'}", "CLIENT_SECRET": secret}
    migrate = [*command, "migrate", "--verbosity", "0", "--settings", "site_settings"]
    subprocess.run(migrate, cwd=folder, env=variables, check=True, stdout=subprocess.DEVNULL)
    serve = [*command, "runserver", "--noreload", f"127.0.0.1:{site.port}", "--settings", "site_settings"]
    return site.start(serve, folder, CLIENT_SECRET=secret)


def start_apache(site, folder, secret):
    """Start Apache with the configuration on the page. Every path responds with 404 and the name of the user."""
    authority = shutil.copy(site.issuer.authority_file, folder)
    modules = ("mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc")
    configuration = "\n".join(
        [
            f"ServerRoot {folder}", "ServerName 127.0.0.1", f"Listen 127.0.0.1:{site.port}", "User nobody", "Group nogroup",
            f"PidFile {folder}/pid", f"ErrorLog {folder}/log", f"DocumentRoot {folder}",
            *(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so" for name in modules),
            APACHE_CONFIGURATION,
            f"OIDCCABundlePath {authority}", 'ErrorDocument 404 "user %{REMOTE_USER}"',
            '<Location "/goodbye">', "Require all granted", "</Location>",
        ]
    )  # fmt: skip
    replaced = [("https://wiki.example.com", site.url)]
    site.write(folder, replaced, **{"apache.conf": configuration})
    command = [APACHE, "-f", f"{folder}/apache.conf", "-DFOREGROUND"]
    return site.start(command, folder, CLIENT_SECRET=secret, CRYPTO_PASSPHRASE="passphrase")
