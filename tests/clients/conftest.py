import pytest

from tests.clients.tabs import Device
from tests.factories import PASSWORD


@pytest.fixture
def open_device(chromium, server):
    devices = []

    def open_():
        devices.append(Device(chromium, server.port))
        return devices[-1]

    yield open_
    for device in devices:
        device.context.close()


@pytest.fixture
def username(server, request):
    username = f"user{abs(hash(request.node.nodeid))}"
    sign_up = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    server.post("/api/auth/signup", sign_up)
    return username
