"""Execute notebooks in place, two at a time, so that executing them twice gives the same bytes.

Usage: python scripts/execute_notebooks.py [NOTEBOOK ...]      (default: all in book/)
The README's figure and the landing page's are taken from the chapters that draw them.
"""

import base64
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from notebook_data import why_not
from tqdm import tqdm

BOOK = Path(__file__).resolve().parents[1] / "book"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
AT_ONCE = 2
README_FIGURE = ("04_optimal_routing.ipynb", "fig-real-frontier", BOOK / "images" / "frontier.png")
LIVE_FIGURE = ("11_local_pool.ipynb", BOOK / "images" / "budget.html")


def execute(path: Path) -> None:
    """Execute one notebook with its own fresh kernel and write it back."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)  # a notebook that has no widgets any more must not keep their state
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=True,
    )
    client.execute()
    text = with_stable_widget_ids(nbformat.writes(tidy(notebook)))
    path.write_text(text + "\n", encoding="utf-8")


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs between machines, number the cells' ids and keep the rest."""
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = merged_streams(cell.outputs)
    return notebook


def merged_streams(outputs: list) -> list:
    """Join neighbouring outputs of one stream, whose chunks depend on timing."""
    merged = []
    for output in outputs:
        if merged and output.output_type == "stream" == merged[-1].output_type and output.name == merged[-1].name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def with_stable_widget_ids(text: str) -> str:
    """Replace random widget ids by running numbers: from what a page shows inwards, then what links these."""
    state = json.loads(text)["metadata"].get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    if not state:
        return text
    number = {}

    def count(name: str) -> None:
        if name in state and name not in number:
            number[name] = f"{len(number):032x}"
            for inner in re.findall(r"IPY_MODEL_(\w+)", json.dumps(state[name], sort_keys=True)):
                count(inner)

    def renamed(text: str) -> str:
        return re.sub("|".join(number), lambda match: number[match[0]], text)

    for shown in re.findall(rf'"{re.escape(WIDGET_VIEW)}":\s*\{{\s*"model_id":\s*"(\w+)"', text):
        count(shown)
    for name in sorted(state, key=lambda name: renamed(json.dumps(state[name], sort_keys=True))):
        count(name)
    notebook = json.loads(renamed(text))
    widgets = notebook["metadata"]["widgets"][WIDGET_STATE]
    widgets["state"] = dict(sorted(widgets["state"].items()))
    return json.dumps(notebook, indent=1, ensure_ascii=False)


def figure(notebook: nbformat.NotebookNode, name: str) -> bytes:
    """Return the PNG that the cell of this figure's name has drawn."""
    for cell in notebook.cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == name:
            return base64.b64decode(next(o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})))
    raise LookupError(f"no cell draws a figure named {name}")


def live_figure(notebook: nbformat.NotebookNode) -> str:
    """Return the HTML of the live figure that a notebook shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    return next(text for text in shown if text.startswith('<div class="live-figure">'))


def execute_all(paths: list[Path]) -> bool:
    """Execute the notebooks; report each failure by name, and return whether there was none.

    A notebook whose data cannot be had keeps its stored outputs, which is reported but no failure.
    """
    failed, kept = [], []

    def attempt(path: Path) -> None:
        try:
            if reason := why_not(path):
                kept.append(reason)
            else:
                execute(path)
        except CellExecutionError as error:
            failed.append((path.name, str(error)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in tqdm(pool.map(attempt, paths), total=len(paths), desc="executing notebooks", unit="notebook"):
            pass
    for reason in kept:
        print(f"\nStored outputs are kept: {reason}", file=sys.stderr)
    for name, message in failed:
        print(f"\n{name} failed:\n{message}", file=sys.stderr)
    return not failed


if __name__ == "__main__":
    chosen = [Path(name) for name in sys.argv[1:]] or sorted(BOOK.glob("*.ipynb"))
    if not execute_all(chosen):
        sys.exit(1)
    done = [path.resolve() for path in chosen]
    chapter, name, picture = README_FIGURE
    if BOOK / chapter in done:
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(figure(nbformat.read(BOOK / chapter, as_version=4), name))
    chapter, page = LIVE_FIGURE
    if BOOK / chapter in done:
        page.write_text(live_figure(nbformat.read(BOOK / chapter, as_version=4)) + "\n", encoding="utf-8")
