"""The page of charts: one file that a browser shows without network, script or server.

``markup`` makes elements, ``scales`` places values; each chart has a module of its own, and
``document`` puts them together. See ADR 39.
"""

from nxkernel.audit.page.document import page

__all__ = ["page"]
