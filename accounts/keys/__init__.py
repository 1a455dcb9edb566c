"""Signing keys and their schedule: which key signs now, which keys still verify.

Entry points: `key_ring.key_ring` (the keys in use) and `rotation.rotate` (publish, then sign, then retire).
Nothing here knows what is signed.
"""
