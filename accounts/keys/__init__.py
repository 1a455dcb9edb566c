"""Keys that sign or encrypt, and their schedules: which key is used now, which keys are still accepted.

Entry points: `key_ring.key_ring`, `key_ring.encryption_key` and `key_ring.decryption_keys` (the keys in use), and
`rotation.rotate` (publish, then sign, then retire). Nothing here knows what is signed or encrypted.
"""
