"""Build the book's pages, with every warning an error, into OUTPUT/html.

The sources are copied to OUTPUT/src first, and notebooks are executed there, so the work tree is never touched.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from execute_notebooks import execute_all

ROOT = Path(__file__).resolve().parents[1]


def stage(source: Path) -> None:
    """Copy all that pages are made of into the fresh folder `source`."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(ROOT / name, source / name)


def build(source: Path, output: Path) -> int:
    """Run Jupyter Book, show its messages if it fails, and move the pages to `output`/html."""
    # A hash bang may not exceed a limit on long paths, so the command line is called as a module.
    call = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    result = subprocess.run([*call, "--all", "-W", "-n", "--keep-going"], capture_output=True, text=True)
    if result.returncode:
        print(result.stdout, result.stderr, sep="\n", file=sys.stderr)
        return result.returncode
    shutil.rmtree(output / "html", ignore_errors=True)
    shutil.move(source / "_build" / "html", output / "html")
    return 0


def main() -> int:
    """Stage, execute if asked to, build, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder that will hold src/ and html/")
    parser.add_argument("--execute", action="store_true", help="execute the notebooks; default: their stored outputs")
    options = parser.parse_args()
    source = options.output.resolve() / "src"
    stage(source)
    if options.execute and not execute_all(sorted((source / "book").glob("*.ipynb"))):
        return 1
    return build(source, options.output.resolve())


if __name__ == "__main__":
    sys.exit(main())
