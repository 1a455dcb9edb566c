"""Run functions concurrently in threads of this process."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection


def run_concurrently(*tasks):
    """Run each task in a thread with its own database connection, all at the same time; return their results."""
    barrier = Barrier(len(tasks))

    def run(task):
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))
