"""Check pages with axe-core, which a Python package contains."""

from axe_playwright_python.sync_playwright import Axe

_AXE = Axe()
# As an expression, because a page's policy forbids the evaluation of texts, with which Playwright waits.
_ANIMATIONS_END = """Promise.all(document.getAnimations()
  .filter((one) => one.effect.getComputedTiming().endTime !== Infinity)
  .map((one) => one.finished.catch(() => {})))"""


def violations(page):
    """Return the rules of axe-core that a page violates, each with the elements, after its animations have ended."""
    page.evaluate(_ANIMATIONS_END)
    found = _AXE.run(page).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
