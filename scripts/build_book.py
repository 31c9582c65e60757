"""Build the book's pages, with every warning an error, into OUTPUT/html.

The sources are copied to OUTPUT/src first, and notebooks are executed there, so the work tree is never touched.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from execute_notebooks import execute_all

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
PLAIN_BRANCH = "notebooks"  # see notebooks_branch.py


def on_github(address: str) -> str | None:
    """Return the page of a repository on GitHub, whose address git knows in several forms; None if it is elsewhere."""
    found = re.fullmatch(r"(?:https://|git@|ssh://git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", address.strip())
    return f"https://github.com/{found[1]}" if found else None


def repository() -> str | None:
    """Return the page of this repository on GitHub: as the running workflow says, or as the clone's origin does."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return on_github(f"https://github.com/{name}")
    call = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        origin = subprocess.run(call, capture_output=True, text=True)
    except FileNotFoundError:
        return None  # no git: an unpacked archive
    return on_github(origin.stdout)


def site(address: str) -> str:
    """Return where the pages of a repository on GitHub are published, as its workflow does."""
    owner, name = address.split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/"


def with_launch_buttons(config: str, address: str) -> str:
    """Add what only a repository at a known `address` has: buttons for Binder and Colab, and the site's address."""
    parsed = yaml.safe_load(config)
    # The theme's options are set here because those given to Sphinx replace all that Jupyter Book would pass on.
    options = parsed["sphinx"]["config"]["html_theme_options"]
    options |= {"repository_url": address, "repository_branch": PLAIN_BRANCH, "launch_buttons": LAUNCH}
    parsed["sphinx"]["config"]["html_baseurl"] = site(address)
    return yaml.safe_dump(parsed, allow_unicode=True)


def stage(source: Path) -> None:
    """Copy all that pages are made of into the fresh folder `source`."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy2(ROOT / "_toc.yml", source / "_toc.yml")
    config, address = (ROOT / "_config.yml").read_text(encoding="utf-8"), repository()
    (source / "_config.yml").write_text(with_launch_buttons(config, address) if address else config, encoding="utf-8")


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
