"""How the format of an answer is chosen: it is not. Each endpoint has one."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation


class FirstRendererNegotiation(DefaultContentNegotiation):
    """Answers in the view's one format whatever `Accept` says, as clients of an API expect."""

    def select_renderer(
        self,
        request: Any,
        renderers: Any,
        format_suffix: str | None = None,
    ) -> Any:
        """Return the first renderer and its media type."""
        return renderers[0], renderers[0].media_type
