"""Somebody at a browser: Debian's Chromium, kept on this machine, with what it asked for noted."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, ViewportSize, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 60_000  # milliseconds; two cores may be busy training
# Nothing but this machine has an address.
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def find_browser() -> str | None:
    """Return the path of an installed browser; None if there is none."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Visitor:
    """A browser's window.

    Attributes:
        page: what is open.
        asked_outside: addresses beyond this machine that pages asked for.
    """

    def __init__(self, context: BrowserContext) -> None:
        context.set_default_timeout(_PATIENCE)
        expect.set_options(timeout=_PATIENCE)
        self.asked_outside: list[str] = []
        context.on("request", lambda request: self._note(request.url))
        self.page: Page = context.new_page()
        self.page.on("websocket", lambda socket: self._note(socket.url))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.asked_outside.append(url)

    def greet(self, link: str) -> None:
        """Open a link for the first time, and see that MLflow's assistant does not cover it."""
        self.page.goto(link)
        expect(self.page.get_by_text("matching runs").first).to_be_visible()
        panel = self.page.locator("[data-component-id='mlflow.assistant.chat_panel.close']")
        expect(panel).to_have_count(0)


@contextmanager
def visiting(browser: str, width: int, height: int) -> Iterator[Visitor]:
    """Yield a visitor with a new window of `width` by `height` pixels."""
    arguments = [_ALONE, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=arguments)
        try:
            window = ViewportSize(width=width, height=height)
            yield Visitor(opened.new_context(viewport=window))
        finally:
            opened.close()
