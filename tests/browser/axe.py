"""Check pages with axe-core, which a Python package contains."""

from axe_playwright_python.sync_playwright import Axe

_AXE = Axe()


def violations(page):
    """Return the rules of axe-core that a page violates, each with the elements, after its animations have ended."""
    page.wait_for_function("document.getAnimations().length === 0")
    found = _AXE.run(page).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
