"""Where the documentation of a class is: scikit-learn's HTML representations link there."""

from __future__ import annotations

import os

# Each copy of the documentation has its own address; without one there is no link.
ADDRESS = os.environ.get("SKDISTILL_DOCS", "").rstrip("/")
PUBLIC_ROOMS = ("features", "networks", "objectives")


class DocLinkMixin:
    """Link of an estimator's HTML representation to its page."""

    _doc_link_module = "skdistill" if ADDRESS else ""
    _doc_link_template = f"{ADDRESS}/generated/{{page}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Name of the page: the class in the module that users import it from."""
        package, *rooms = type(self).__module__.split(".")
        public = [package, *(room for room in rooms[:1] if room in PUBLIC_ROOMS)]
        return {"page": ".".join([*public, type(self).__name__])}
