"""Writing into a field of the page."""

from playwright.sync_api import Locator


def write(field: Locator, text: str) -> None:
    """Clicks first, as a person does: a click waits until the field has stood still for two frames.

    gradio fills a tab or a section a frame after it was opened, over what is written there already.
    """
    field.click()
    field.fill(text)
