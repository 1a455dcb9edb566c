"""HTTP as this API speaks it: request bodies, cookies, CSRF, content negotiation and pages of a list.

Nothing here decides who may do what. How an exception becomes a response is in `api.errors`.
"""
