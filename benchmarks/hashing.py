"""Checks one password for so many seconds, with nothing around it: the most that a core could sign in.

python -m benchmarks.hashing SECONDS
"""

import json
import sys
import time

from argon2 import PasswordHasher

from accounts.passwords.hashers import OwaspArgon2idHasher as Setting


def main(seconds: float) -> None:
    """Print the checks per second, and the CPU seconds of each."""
    hasher = PasswordHasher(Setting.time_cost, Setting.memory_cost, Setting.parallelism)
    encoded, count = hasher.hash("correct horse battery"), 0
    started, worked = time.monotonic(), time.process_time()
    while time.monotonic() - started < seconds:
        hasher.verify(encoded, "correct horse battery")
        count += 1
    print(json.dumps([(time.process_time() - worked) / count, count / (time.monotonic() - started)]))


if __name__ == "__main__":
    main(float(sys.argv[1]))
