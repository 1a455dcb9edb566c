"""The fields of request bodies (`inputs`) and of responses (`outputs`), as clients send and receive them.

Serializers check shape and format only. They query nothing: the rules are in `accounts`.
"""
