"""Measure Argon2id alone: the upper bound of sign-ins per second on one core.

    python -m benchmarks.hashing SECONDS MACHINE

On the MACHINE `x86_64`, libsodium computes the hash, on any other argon2-cffi.
"""

import json
import sys
import time

from accounts.passwords.hashers import OwaspArgon2idHasher


def main(seconds: float, machine: str) -> None:
    """Verify one password for `seconds`; print the CPU seconds per verification and the verifications per second."""
    hasher = OwaspArgon2idHasher(machine)
    encoded, count = hasher.encode("correct horse battery", hasher.salt()), 0
    started, worked = time.monotonic(), time.process_time()
    while time.monotonic() - started < seconds:
        hasher.verify("correct horse battery", encoded)
        count += 1
    print(json.dumps([(time.process_time() - worked) / count, count / (time.monotonic() - started)]))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
