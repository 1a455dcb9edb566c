"""Exit with 0 if the server on this machine is ready. Uses a host name from ALLOWED_HOSTS."""

import os
import urllib.request

url = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/readyz"
name = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip("*.") or "localhost"
urllib.request.urlopen(urllib.request.Request(url, headers={"Host": name}), timeout=8).close()
