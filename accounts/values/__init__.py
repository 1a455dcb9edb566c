"""Plain values without a database: a request's client, a device's name, normalized identifiers."""
