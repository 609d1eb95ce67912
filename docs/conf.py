"""Sphinx's settings for the site, which `tools/build_docs.py` builds. Nothing is fetched from anywhere."""

project = "Uncertainty Suite"
extensions = ["myst_nb"]
html_theme = "furo"
html_title = "Uncertainty Suite"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

nb_execution_mode = "cache"  # a kernel of its own for each notebook that changed; `make clean` forgets the others
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 1800
nb_merge_streams = True
