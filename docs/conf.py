"""Sphinx configuration: MyST Markdown in the four folders of Diátaxis."""

from importlib.metadata import version as installed

project = "nxkernel"
author = "The nxkernel authors"
copyright = author
release = installed("nxkernel")
version = release

extensions = ["myst_parser"]
exclude_patterns = ["_build", "adr/template.md"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"nxkernel {release}"
nitpicky = True
