"""Settings of the libraries that this app stands on, for the settings of whichever project it is part of."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Token authentication service",
    "DESCRIPTION": (
        "Sign up, sign in, refresh, sign out. Access tokens are JWTs; refresh tokens are opaque.\n\n"
        "Every refusal is `{message, code}`. What stands at no endpoint below: a path that leads nowhere is `404 "
        "not_found`, another method `405 method_not_allowed` with `Allow`. Whatever `Accept` says, each endpoint "
        "answers in its one format."
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

# But for the page among them, which no other origin reads.
CORS_URLS_REGEX = r"^/(api/(?!docs)|\.well-known/)"
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "x-access-token",
    "x-csrftoken",
    "x-requested-with",
]
CORS_EXPOSE_HEADERS = ["link", "retry-after", "www-authenticate"]
# For tokens in cookies. They are no risk for other origins: these get no CORS headers at all.
CORS_ALLOW_CREDENTIALS = True

# Where a password is hashed: the server answers these apart from the others.
PATHS_THAT_HASH = (
    "/api/auth/signin",
    "/api/auth/signup",
    "/api/auth/reauthenticate",
    "/api/auth/password/",
    "/admin/login/",
)
