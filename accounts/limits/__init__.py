"""Rate limits on failed attempts, sign-ups and emails, per account or recipient and per IP address.

Entry points: the `count_…` and `allow_…` functions of `attempts`. `counters` stores the counts in the database or
in Redis.
"""
