#!/bin/sh
# Run the token service (port 8000), the API of the example (8001) and its page (5173) until Ctrl-C: `make example`.
set -eu
cd "$(dirname "$0")"
for port in 8000 8001 5173; do
  python -c "import socket; socket.create_server(('127.0.0.1', $port)).close()" 2>/dev/null ||
    { echo "Port $port is in use. Stop the program that uses it." >&2; exit 1; }
done
trap 'kill $(jobs -p) 2>/dev/null' EXIT

(
  cd ../..
  export PORT=8000
  export CORS_ALLOWED_ORIGINS=http://localhost:5173 # the page may call the service
  export AUTH_PROFILE_CLAIMS=username               # the API reads the author's name from the access token
  exec python manage.py serve
) &
PYTHONPATH=../../clients/python python -m uvicorn main:app --app-dir api --port 8001 --log-level warning \
  --reload --reload-dir api &

npm run dev
