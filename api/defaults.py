"""Settings for the libraries that this app uses, to be imported by a project that embeds it."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Token authentication service",
    "DESCRIPTION": (
        "Sign up, sign in, refresh, sign out. Access tokens are JWTs; refresh tokens are opaque.\n\n"
        "Every error is `{message, code}`. An unknown path leads to `404 not_found`, an unsupported method to "
        "`405 method_not_allowed` with `Allow`. Each endpoint has one response format, whatever `Accept` asks for."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/",
    "PREPROCESSING_HOOKS": ["api.openapi.schema.remove_duplicate_paths"],
    "POSTPROCESSING_HOOKS": ["api.openapi.error_responses.add_error_responses"],
    "APPEND_COMPONENTS": {"securitySchemes": {"service": {"type": "http", "scheme": "basic"}}},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Except the documentation page, which other origins need not read, and the endpoints that pages of any origin may
# call without credentials, whose views set the headers.
CORS_URLS_REGEX = (
    r"^/(api/(?!docs|oauth/(?:token|userinfo)/?$)|\.well-known/(?!(?:jwks\.json|openid-configuration)/?$))"
)
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "x-access-token",
    "x-csrftoken",
    "x-requested-with",
]
CORS_EXPOSE_HEADERS = ["link", "retry-after", "www-authenticate"]
# For tokens in cookies. Origins that are not allowed get no CORS headers at all.
CORS_ALLOW_CREDENTIALS = True

# Paths that hash a password. The server runs these requests in a thread pool of their own.
PATHS_THAT_HASH = (
    "/api/auth/signin",
    "/api/auth/signup",
    "/api/auth/reauthenticate",
    "/api/auth/password/",
    "/admin/login/",
    "/sign-in",
    "/sign-up",
    "/reset-password",
    "/invitation",
)

# Pages that need neither a session of Django nor its messages.
HOSTED_PAGES = (
    "/authorize",
    "/sign-in",
    "/sign-up",
    "/choose-account",
    "/forgot-password",
    "/resend-verification",
    "/signout",
    "/reset-password",
    "/invitation",
    "/verify-email",
)

MAX_BODY_SIZE = 64 * 1024
"""The longest body that an endpoint of the API takes, in bytes."""
