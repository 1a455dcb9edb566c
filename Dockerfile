# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv --without-pip /venv
COPY requirements.txt .
RUN pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: -r requirements.txt
COPY accounts accounts
COPY api api
COPY authproject authproject
# The start page uses this client through symlinks in api/static.
COPY clients/js/auth-client.js clients/js/auth-client.js
COPY clients/js/factors.js clients/js/factors.js
COPY deploy/healthcheck.py deploy/healthcheck.py
COPY manage.py .
# The settings require a key and a database, although collectstatic uses neither.
RUN SECRET_KEY=unused-while-static-files-are-collected DATABASE_URL=sqlite:////tmp/unused /venv/bin/python manage.py collectstatic --noinput -v 0 \
    && /venv/bin/python -m compileall -q accounts api authproject

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin auth \
    && install -d -o auth -g auth -m 700 /app/data
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
WORKDIR /app
# A number, because orchestrators that verify a non-root user cannot look up names.
USER 10001
# Keys and secrets created on the first start. All other folders may be read-only; AUTH_METRICS needs /tmp.
VOLUME /app/data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["python", "deploy/healthcheck.py"]
CMD ["python", "manage.py", "serve"]
