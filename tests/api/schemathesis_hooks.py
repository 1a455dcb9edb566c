"""Authenticate the requests of the schemathesis command, which loads this module through SCHEMATHESIS_HOOKS."""

import os
from itertools import count

import requests
import schemathesis

API = os.environ["SCHEMATHESIS_API"]
PASSWORD = "correct horse battery"


class SignedInUser:
    """Supplies a valid access token for every call.

    Calls may sign the user out or delete the account. If the token is no longer valid, a new user signs up.
    """

    def __init__(self):
        self._serial_numbers = count(1)
        self._token = ""

    def get(self, case, context):
        if not self._token_is_valid():
            self._token = self._sign_in()
        return self._token

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"

    def _token_is_valid(self):
        response = requests.get(
            f"{API}/api/test/user", headers={"Authorization": f"Bearer {self._token}"}, timeout=30
        )
        return response.status_code == 200

    def _sign_in(self):
        name = f"someone{next(self._serial_numbers)}"
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        requests.post(f"{API}/api/auth/signup", json=body, timeout=30).raise_for_status()
        response = requests.post(f"{API}/api/auth/signin", json=body, timeout=30)
        response.raise_for_status()
        return response.json()["accessToken"]


schemathesis.auth(refresh_interval=None)(SignedInUser)
