"""The documentation as a site, by Sphinx: `make docs`. A broken link or anchor is an error there.

The pages are Markdown that GitHub shows as well. Neither the build nor the pages need a network.
"""

project = "HAST lab"
author = "the HAST lab's authors"

extensions = ["myst_parser"]
myst_heading_anchors = 4  # the anchors that GitHub makes of headings
exclude_patterns = ["evidence/2*/*/**", "evidence/2*/[!R]*"]  # the recordings themselves

html_theme = "furo"
html_title = "HAST lab"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_dark_style = "monokai"

# Mermaid's diagrams are drawn by GitHub. Here their text is shown: to draw them takes a script from
# somebody's network, or a browser to build with.
suppress_warnings = ["misc.highlighting_failure"]
