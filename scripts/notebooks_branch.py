"""Write the tree of the branch `notebooks` into OUTPUT: this repository, with plain notebooks in place of the sources.

Binder, Colab and GitHub's own viewer show what is on a branch, and they show MyST as raw text. A workflow pushes this
tree whenever the book changes; nobody edits it by hand.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

from book_index import ROOT
from plain_notebooks import write_book

# Binder runs it after the installation: explorers of trusted notebooks are there before any cell has run.
POST_BUILD = "#!/bin/sh\nexec jupyter trust book/*.ipynb\n"


def write_branch(output: Path) -> None:
    """Write the tree into a fresh folder."""
    shutil.rmtree(output, ignore_errors=True)
    call = ["git", "-C", str(ROOT), "ls-files", "-z", "--", ":!book", ":!.github", ":!.ci"]
    listed = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        place = output / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)
    write_book(output / "book")
    (output / "postBuild").write_text(POST_BUILD, encoding="utf-8")
    (output / "postBuild").chmod(0o755)


def main() -> None:
    """Write the tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=ROOT / "_build" / "branch")
    write_branch(parser.parse_args().output)


if __name__ == "__main__":
    main()
