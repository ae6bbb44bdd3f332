"""How Sphinx builds the documentation.

    python -m sphinx -W --keep-going -n -b html docs docs/_build/html

Nothing is fetched, neither by the build nor by the pages: there is no intersphinx (its inventories are elsewhere),
types in docstrings are plain text, and formulas are MathML, which browsers draw by themselves.
"""

import ast
import contextlib
import functools
import importlib
import inspect
import io
import os
import re
import sys
from pathlib import Path

import latex2mathml.converter
from docutils import nodes

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
os.environ["MPLBACKEND"] = "Agg"  # the gallery draws without a window

from public_names import entries, exported_names, public_modules  # noqa: E402 - the path comes first

import sltrees  # noqa: E402 - installed, or on PYTHONPATH
from sltrees.__main__ import COMMANDS, main  # noqa: E402

project = "sltrees"
author = "The sltrees developers"
project_copyright = author
version = release = sltrees.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
]
nitpicky = True
templates_path = ["_templates"]
exclude_patterns = ["_build", "gallery", "**/sg_execution_times.rst", "sg_execution_times.rst"]
default_role = "code"  # in docstrings single backticks mark parameters and names alike

# ---------------------------------------------------------------------- pages in Markdown

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # [text](page.md#heading), as on GitHub

# ---------------------------------------------------------------------- API

autodoc_typehints = "none"  # the docstrings say the types
autodoc_member_order = "bysource"
# for _templates/autosummary/module.rst
ENTRIES = entries()
autosummary_context = {
    "entries": {name: [key for key in exported_names(name) if f"{name}.{key}" in ENTRIES] for name in public_modules()}
}
numpydoc_show_class_members = False  # the template of classes documents them in full

# what has an entry of its own, to link to
LINKED = {name: importlib.import_module(name) for name in public_modules()} | ENTRIES

# ---------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "doc_module": ("sltrees",),
    "backreferences_dir": "generated/backreferences",
    "plot_gallery": True,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "reference_url": {"sltrees": None},
}

# ---------------------------------------------------------------------- HTML

html_theme = "pydata_sphinx_theme"
html_title = "sltrees"
html_favicon = "_static/logo.svg"
html_logo = "_static/logo.svg"
html_static_path = ["_static"]
html_search_scorer = str(Path(__file__).parent / "search_scorer.js")  # which is not published
html_css_files = ["sltrees.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": True,
    "navigation_with_keys": False,
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "search": [], "genindex": []},
}
# pages that have none below or beside them would show an empty sidebar
html_sidebars = {name: [] for name in ("index", "start", "search", "genindex", "py-modindex")}
copybutton_exclude = ".linenos, .gp, .go"

# linkcheck: of pages on the web alone; those of this site are checked by every build
linkcheck_timeout = 20


def visit_math(self, node):
    """Write an inline formula as MathML."""
    self.body.append(latex2mathml.converter.convert(node.astext()))
    raise nodes.SkipNode


def visit_displaymath(self, node):
    """Write a formula on a line of its own as MathML."""
    formula = latex2mathml.converter.convert(node.astext(), display="block")
    self.body.append(self.starttag(node, "div", CLASS="math-block") + formula + "</div>\n")
    raise nodes.SkipNode


def listed_modules():
    """Modules that api.rst lists."""
    words = (DOCS / "api.rst").read_text(encoding="utf-8").split()
    return [name for name in public_modules() if name in words]


def remove_stale_pages():
    """Remove pages made of names that are gone, or listing such: nothing would lead to them, or they nowhere."""
    listed = {module: autosummary_context["entries"][module] for module in listed_modules()}
    names = {"command_line", *listed} | {f"{module}.{name}" for module in listed for name in listed[module]}
    for page in (DOCS / "generated").glob("*.rst"):
        shown = page.read_text(encoding="utf-8").partition(":toctree:")[2].split()  # nothing but on pages of modules
        if page.stem not in names or not set(shown) <= set(listed.get(page.stem, ())):
            page.unlink()


def write_if_changed(path, lines):
    """Write a page, unless it is there: what is newer is built again."""
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_command_line_page():
    """Write down what each command says of itself."""
    os.environ["COLUMNS"] = "100"  # to which argparse folds its lines
    lines = ["Command line", "============", "", "``sltrees``, or ``python -m sltrees``."]
    lines += ["Exit codes: 0 after a run, 1 if the output could not be written, 2 for bad arguments or data, 130 after"]
    lines += ["Ctrl-C. :doc:`../start` shows the commands at work."]
    for command in COMMANDS:
        name = command.__name__.split(".")[-1]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main([name, "--help"])
        lines += ["", name, "-" * len(name), "", ".. code-block:: text", ""]
        lines += [f"   {line}".rstrip() for line in said.getvalue().splitlines()]
    write_if_changed(DOCS / "generated" / "command_line.rst", lines)


def write_inside_pages():
    """Write a page for each public module that api.rst does not list, and a list of these pages.

    They are the parts that all else is made of. What such a module exports but has its entry elsewhere is only pointed
    to.
    """
    folder = DOCS / "generated" / "inside"
    folder.mkdir(parents=True, exist_ok=True)
    inside = [name for name in public_modules() if name not in listed_modules()]
    title = ["Modules inside", "==============", ""]
    title += ["What trainer and estimators are made of, for those who read or change it, or want a part alone: shift"]
    title += ["policies (:mod:`sltrees.network.shift`), damping (:mod:`sltrees.training.damping`), solvers of Gram"]
    title += ["systems (:mod:`sltrees.gram`), leave-one-out errors (:mod:`sltrees.linalg.leave_one_out`). Names may"]
    title += ["change with any version.", ""]
    pages = {"index.rst": [*title, ".. toctree::", "   :titlesonly:", "", *(f"   {name}" for name in inside)]}
    for name in inside:
        lines = [":nosearch:", "", name, "=" * len(name), "", f".. automodule:: {name}"]  # readers look for the API
        here = autosummary_context["entries"][name]
        elsewhere = [getattr(LINKED[name], key) for key in exported_names(name) if key not in here]
        data = [key for key in here if not callable(ENTRIES[f"{name}.{key}"])]  # has no docstring
        if members := [key for key in here if key not in data]:
            lines += ["   :members: " + ", ".join(members)]
        lines += [line for key in data for line in ("", f".. autodata:: {name}.{key}", "   :no-value:")]
        if elsewhere:
            targets = [full for full, thing in ENTRIES.items() if any(thing is other for other in elsewhere)]
            lines += ["", "See also " + ", ".join(f":py:obj:`{full}`" for full in targets) + "."]
        pages[f"{name}.rst"] = lines
    for page in set(folder.iterdir()) - {folder / page for page in pages}:
        page.unlink()  # of a module that is gone
    for page, lines in pages.items():
        write_if_changed(folder / page, lines)


def leave_out_foreign(app, what, name, thing, skip, options):
    """Leave out what estimators inherit from scikit-learn: it is documented there."""
    foreign = (getattr(thing, "__module__", None) or "").startswith("sklearn.") or name.endswith("_request")
    return True if foreign else None  # None: as Sphinx would have it


def correct_compiled_signature(app, what, name, thing, options, signature, returns):
    """Write signatures of compiled classes and methods as they are called.

    Cython puts the asterisk before keywords one place too late in signatures of classes, so these come from the stub;
    and Sphinx takes `self` for a parameter of methods.
    """
    if what == "method" and (signature or "").startswith("(self"):
        return re.sub(r"^\(self(, )?", "(", signature), returns
    if what == "class" and not hasattr(thing.__init__, "__code__"):
        compiled = Path(inspect.getfile(inspect.getmodule(thing)))
        stub = compiled.with_name(compiled.name.split(".")[0] + ".pyi")
        if stub.exists():
            body = {node.name: node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ClassDef)}
            methods = {node.name: node for node in body[thing.__name__].body if isinstance(node, ast.FunctionDef)}
            arguments = methods["__init__"].args
            for argument in arguments.args + arguments.kwonlyargs:
                argument.annotation = None
            return re.sub(r"^self(, )?", "", ast.unparse(arguments)).join("()"), returns
    return None


def link_or_escape(part):
    """Make a link of a quoted public name; let |x| be a norm where reStructuredText would see a substitution."""
    if not part.startswith("`"):
        return part.replace("|", "\\|")
    name = part.strip("`")
    name = f"sltrees.{name}" if name.split(".")[0] in sltrees.__all__ else name
    target = max((public for public in LINKED if f"{name}.".startswith(f"{public}.")), key=len, default=None)
    if part.startswith("``") or target is None:
        return part
    thing = functools.reduce(lambda thing, key: getattr(thing, key, None), name.split(".")[1:], sltrees)
    is_method = name.count(".") == target.count(".") + 1 and inspect.isclass(LINKED[target]) and callable(thing)
    return f":py:obj:`{part.strip('`')} <{name}>`" if name == target or is_method else part


def prepare_docstring(app, what, name, thing, options, lines):
    """Link and escape all that is neither code nor an example."""
    block = None  # indentation of the paragraph that announces a literal block, inside of one
    for k, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indentation <= block:
            block = None
        if block is None and not line.lstrip().startswith((">>>", "...")):
            lines[k] = "".join(map(link_or_escape, re.split("(`+[^`]*`+)", line)))
            if line.rstrip().endswith("::"):
                block = indentation


def setup(app):
    """Register the renderer of formulas, and write the pages that are made from the package."""
    app.connect("autodoc-skip-member", leave_out_foreign)
    app.connect("autodoc-process-signature", correct_compiled_signature, priority=400)  # before numpydoc
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before numpydoc, which takes it apart
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    remove_stale_pages()
    write_inside_pages()
    write_command_line_page()
