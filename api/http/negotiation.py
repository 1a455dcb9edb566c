"""Content negotiation: each endpoint has one response format."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation


class FirstRendererNegotiation(DefaultContentNegotiation):
    """Selects the view's first renderer, whatever `Accept` asks for."""

    def select_renderer(
        self,
        request: Any,
        renderers: Any,
        format_suffix: str | None = None,
    ) -> Any:
        """Return the first renderer and its media type."""
        return renderers[0], renderers[0].media_type
