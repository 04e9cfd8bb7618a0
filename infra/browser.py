"""Open Prefect's pages in Debian's Chromium as a person does: wait for their content, and take screenshots."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Error, Locator, Page, Request, sync_playwright

from infra.settings import HOST

FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDTH: Final = 1280
WITHIN: Final = 60_000.0  # longest wait for a page's content, in milliseconds; a busy machine is slow
STILL: Final = 400.0  # milliseconds until the interface's animations have ended


class NotShownError(Exception):
    """A page does not show its expected content."""


@dataclass(slots=True)
class Sight:
    """A page of the interface.

    Attributes:
        page: Page of the browser.
        base: URL of the interface.
        elsewhere: URLs requested from other servers.
    """

    page: Page
    base: str
    elsewhere: list[str] = field(default_factory=list)

    def go(self, path: str, *, height: int = 900) -> None:
        """Open a page in a window of this height."""
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.goto(f"{self.base}{path}")

    def shows(self, *texts: str) -> None:
        """Wait until every text is visible.

        Raises:
            NotShownError: A text is not.
        """
        for text in texts:
            self.see(self.page.get_by_text(text).first, repr(text))

    def see(self, element: Locator, name: str) -> None:
        """Wait until an element is visible.

        Raises:
            NotShownError: It is not.
        """
        try:
            element.wait_for(state="visible", timeout=WITHIN)
        except Error as error:
            raise NotShownError(f"{self.page.url} does not show {name}; it shows:\n{self.text()}") from error

    def text(self) -> str:
        """Return the text of the page."""
        text: str = self.page.inner_text("body")
        return text

    def refuse(self, *texts: str) -> None:
        """Check that some texts, such as raw markup, are not on the page.

        Raises:
            NotShownError: A text is on the page.
        """
        shown = self.text()
        for text in texts:
            if text in shown:
                raise NotShownError(f"{self.page.url} shows {text!r} as it is written; it shows:\n{shown}")

    def pictures(self) -> int:
        """Return the number of pictures in the page's content, all of which must be drawn.

        Raises:
            NotShownError: A picture is broken.
        """
        images = self.page.locator("main img, .markdown-renderer img, article img")
        drawn = "images => images.map(each => each.complete && each.naturalWidth > 0)"
        whole: list[bool] = images.evaluate_all(drawn)
        if not all(whole):
            raise NotShownError(f"{whole.count(False)} of the {len(whole)} pictures of {self.page.url} are broken")
        return len(whole)

    def keep(self, path: Path) -> None:
        """Write a screenshot as WebP.

        Raises:
            NotShownError: The page needed another server, which it cannot reach in a closed network.
        """
        self.page.wait_for_timeout(STILL)
        if self.elsewhere:
            raise NotShownError(f"{self.page.url} asked other servers: {', '.join(sorted(set(self.elsewhere)))}")
        with Image.open(io.BytesIO(self.page.screenshot())) as picture:
            picture.convert("RGB").save(path, "WEBP", quality=80, method=6)


@contextlib.contextmanager
def browser(executable: str, base: str) -> Iterator[Sight]:
    """Give a page of a browser with a new profile; both are removed afterwards."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            context = running.new_context(locale="en-GB", timezone_id="Europe/Vienna")
            sight = Sight(context.new_page(), base)

            def note(request: Request) -> None:
                address = urlsplit(request.url)
                if address.scheme in ("http", "https", "ws", "wss") and address.hostname != HOST:
                    sight.elsewhere.append(request.url)

            sight.page.on("request", note)
            yield sight
        finally:
            running.close()
