"""The client's calls about webhooks."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from s2e.words.answers import Items
from s2e.words.hooks import HOOK_STATES, Delivery, NewWebhook, Webhook

Shape = TypeVar("Shape")


class _Asks(Protocol):
    def _ask(self, shape: type[Shape], method: str, path: str, **more: Any) -> Shape: ...

    def _request(self, method: str, path: str, **more: Any) -> Any: ...


class HookCalls:
    """Calls of :class:`s2e.client.S2EClient`."""

    def create_webhook(
        self: _Asks, url: str, states: tuple[str, ...] = HOOK_STATES, everybody: bool = False
    ) -> NewWebhook:
        """Let an address be told of one's jobs; the secret of its messages is in this answer and nowhere else."""
        return self._ask(NewWebhook, "POST", "/webhooks", json={"url": url, "states": states, "everybody": everybody})

    def webhooks(self: _Asks) -> tuple[Webhook, ...]:
        """One's webhooks; for an admin, those of all."""
        return self._ask(Items[Webhook], "GET", "/webhooks").items

    def test_webhook(self: _Asks, webhook_id: str) -> Delivery:
        """Send a message now, and say what came of it."""
        return self._ask(Delivery, "POST", f"/webhooks/{webhook_id}/test")

    def deliveries(self: _Asks, webhook_id: str) -> tuple[Delivery, ...]:
        """The newest messages to a webhook."""
        return self._ask(Items[Delivery], "GET", f"/webhooks/{webhook_id}/deliveries").items

    def delete_webhook(self: _Asks, webhook_id: str) -> None:
        self._request("DELETE", f"/webhooks/{webhook_id}")
