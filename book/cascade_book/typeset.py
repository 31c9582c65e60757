"""A Sphinx extension for how pages are set: long proofs are folded, and numbers have a true minus sign."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

# A proof with more characters than this, some ten lines, is folded.
_LONG_PROOF = 900
_HYPHEN_BEFORE_NUMBER = re.compile(r"(?<![\w.)\]%-])-(?=[\d.∞])")
_INTERVAL = re.compile(r"\[[^\]]{1,12}, [^\]]{1,12}\]$")
_CELL = re.compile(r"(<t[dh][^>]*>)([^<]*)(</t[dh]>)")


def with_minus(text: str) -> str:
    """Return a text with a true minus sign in place of each hyphen before a number.

    Examples
    --------
    >>> with_minus("-0.2 [-1.0, 0.5], vote-5, 2024-05-17, 1e-05")
    '−0.2 [−1.0, 0.5], vote-5, 2024-05-17, 1e-05'
    """
    return _HYPHEN_BEFORE_NUMBER.sub("−", text)


def on_resolved(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fold long proofs, and write the numbers that cells have computed with a true minus sign."""
    for proof in list(doctree.findall(_is_proof)):
        if len(proof.astext()) > _LONG_PROOF:
            _fold(proof)
    for number in doctree.findall(lambda node: "pasted-text" in getattr(node, "attributes", {}).get("classes", [])):
        for text in list(number.findall(nodes.Text)):
            text.parent.replace(text, nodes.Text(with_minus(text.astext())))
        if _INTERVAL.search(number.astext()):
            number["classes"].append("interval")


def _is_proof(node: nodes.Node) -> bool:
    return isinstance(node, nodes.admonition) and "proof" in node["classes"]


def _fold(proof: nodes.Element) -> None:
    """Put a proof into a disclosure, whose summary takes the place of its first word."""
    first = next(iter(proof.findall(nodes.Text)))
    first.parent.replace(first, nodes.Text(first.astext().removeprefix("Proof. ")))
    place = proof.parent.index(proof)
    proof.parent.insert(place + 1, nodes.raw("", "</details>", format="html"))
    proof.parent.insert(place, nodes.raw("", '<details class="folded-proof"><summary>Proof</summary>', format="html"))


def on_finished(app: Sphinx, exception: Exception | None) -> None:
    """Write the numbers in tables that cells have put out with a true minus sign, too."""
    if exception is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        path.write_text(_CELL.sub(lambda cell: cell[1] + with_minus(cell[2]) + cell[3], page), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what to call."""
    app.connect("doctree-resolved", on_resolved)
    app.connect("build-finished", on_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
