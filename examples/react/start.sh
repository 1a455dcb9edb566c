#!/bin/sh
# Run the token service (port 8000), the API of the example (8001) and its page (5173) until Ctrl-C: `make example`.
set -eu
cd "$(dirname "$0")"
trap 'kill $(jobs -p) 2>/dev/null' EXIT

(
  cd ../..
  export PORT=8000
  export CORS_ALLOWED_ORIGINS=http://localhost:5173 # the page may call the service
  export AUTH_PROFILE_CLAIMS=username               # the API reads the author's name from the access token
  exec python manage.py serve
) &
PYTHONPATH=../../clients/python python -m uvicorn main:app --app-dir api --port 8001 --log-level warning &

npm run dev
