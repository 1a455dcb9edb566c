"""The OpenAPI document: how it is generated, and which errors it lists for each endpoint."""
