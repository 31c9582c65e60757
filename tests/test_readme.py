"""The README's example runs and its picture exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(example.strip().splitlines()) <= 16
    exec(compile(example, "README.md", "exec"), {})
    assert "routing" in capsys.readouterr().out


def test_pictures_and_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_chapter_is_on_the_map():
    for path in sorted((ROOT / "book").glob("[0-9]*.ipynb")):
        assert f"(book/{path.name})" in README
