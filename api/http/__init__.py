"""The HTTP layer of the API: request bodies, cookies, CSRF, content negotiation and pagination.

Nothing here decides who may do what. How an exception becomes a response is in `api.errors`.
"""
