"""The documentation site: `python -m sphinx -W -n docs build/site`."""

import os
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

os.environ["FASTGRAD_BACKEND"] = "python"  # its functions tell Sphinx their signatures; the docstrings are the same

from fastgrad import __version__ as release

project = "fastgrad"
version = release
copyright = "the authors of fastgrad"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build"]
default_role = "py:obj"  # in docstrings, `compile` is the function of that name
nitpicky = True
nitpick_ignore = [("py:class", "ndarray")]  # NumPy's; Sphinx before 9 refers to the types of attributes

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what may be given, in words
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_param = False
napoleon_use_rtype = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"fastgrad {release}"
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#12355b", "color-brand-content": "#3e7cb1"},
    "dark_css_variables": {"color-brand-primary": "#9cc3e6", "color-brand-content": "#9cc3e6"},
}


# ------------------------------------------------------------------------- formulas as MathML: no script, no network

html_math_renderer = "mathml"


def inline(translator: Any, node: Any) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(display, None))
