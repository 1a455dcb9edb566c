"""Measure simplejwt's `flushexpiredtokens` on PostgreSQL, as `benchmarks.purging` measures `purge_expired_tokens`.

    python -m benchmarks.peer_purging [--expired 1000000]

knox has no such command, and DRF's tokens do not expire.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.dataset import postgresql
from benchmarks.purging import run_and_measure_memory

OUTSTANDING = """
    INSERT INTO token_blacklist_outstandingtoken (id, jti, token, created_at, expires_at)
    SELECT number, md5(number::text), repeat(md5(number::text), 8), now() - interval '20 days',
        now() - random() * interval '19 days'
    FROM generate_series(1, %s) AS number
"""
BLACKLISTED = """
    INSERT INTO token_blacklist_blacklistedtoken (token_id, blacklisted_at)
    SELECT id, created_at FROM token_blacklist_outstandingtoken
"""


def main() -> None:
    """Fill the tables, purge them, and print the duration and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--expired", type=int, default=1_000_000)
    options = parser.parse_args()
    address = str(postgresql(Path(tempfile.mkdtemp(prefix="purging-"))).get_uri())
    settings = {
        **os.environ,
        "DATABASE_URL": address,
        "PEER": "simplejwt",
        "DJANGO_SETTINGS_MODULE": "benchmarks.peers.settings",
    }
    run_and_measure_memory([sys.executable, "-m", "django", "migrate", "-v0"], settings)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(OUTSTANDING, [options.expired])
        connection.execute(BLACKLISTED)
        connection.execute("VACUUM (ANALYZE)")
    started = time.monotonic()
    memory = run_and_measure_memory([sys.executable, "-m", "django", "flushexpiredtokens"], settings)
    print(
        f"simplejwt's flushexpiredtokens, of {options.expired}: {time.monotonic() - started:.1f} s, one transaction, "
        f"{memory / 2**20:.0f} MiB at most"
    )


if __name__ == "__main__":
    main()
