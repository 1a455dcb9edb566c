"""Rate limits on failed attempts, per account and per IP address.

Entry points: the `count_…` functions of `attempts`; `counters` stores the counts in the database or in Redis.
"""
