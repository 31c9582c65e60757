"""BibTeX entries from CITATION.cff, so that a citation is typed once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

KINDS = {"software": "software", "conference-paper": "inproceedings"}


def bibtex(path: Path) -> str:
    """Return the entry of the work that a citation file describes, and those of its references."""
    work = yaml.safe_load(path.read_text(encoding="utf-8"))
    return "\n\n".join(entry(each) for each in [work, *work.get("references", [])])


def entry(work: Mapping[str, Any]) -> str:
    """Return one entry."""
    year = str(work.get("year") or work["date-released"])[:4]
    pages = [str(work[end]) for end in ("start", "end") if end in work]
    arxiv = [each["value"] for each in work.get("identifiers", []) if each["value"].startswith("arXiv:")]
    fields = {
        "title": "{" + work["title"].replace("_", r"\_") + "}",
        "author": " and ".join(person(each) for each in work["authors"]),
        "booktitle": work.get("collection-title"),
        "volume": work.get("volume"),
        "pages": "--".join(pages),
        "year": year,
        "version": work.get("version"),
        "url": work.get("repository-code"),
        "note": ", ".join(arxiv),
    }
    lines = [f"  {name:<9} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{KINDS[work['type']]}{{{key(work)}{year},", *lines, "}"])


def person(author: Mapping[str, str]) -> str:
    """Return an author as BibTeX expects one: in braces if it is not a person with a family name."""
    if "name" in author:
        return "{" + author["name"].replace("_", r"\_") + "}"
    return f"{author['family-names']}, {author['given-names']}"


def key(work: Mapping[str, Any]) -> str:
    """Return the first author's family name, or the first word that names a group."""
    first = work["authors"][0]
    return str(first.get("family-names") or max(first["name"].split(), key=len)).lower().replace("_", "")
