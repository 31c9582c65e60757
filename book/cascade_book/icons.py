"""A Sphinx extension that puts the few icons in use in place of the theme's thousands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sphinx.application import Sphinx

# What the theme loads for its icons: two styles, a script of 1.5 MB, and fonts that no page on disk may read.
_FONT_AWESOME = re.compile(r"\s*<(?:link|script)[^>]*/vendor/fontawesome/[^>]*>(?:</script>)?")
_ICON_CLASS = re.compile(r"\b(fa[srb]|fa-solid|fa-regular|fa-brands) (fa-[a-z0-9-]+)")
_ICON = re.compile(r'"?([a-z0-9-]+)"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]')
_PACKS = {"fab": "github", "fa-brands": "github", "far": "", "fa-regular": "", "fas": "bars", "fa-solid": "bars"}


def on_finished(app: Sphinx, exception: Exception | None) -> None:
    """Cut the icons down to those that some page shows."""
    if exception is not None or app.builder.format != "html":
        return
    output = Path(app.outdir)
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(output.rglob("*.html"))}
    used = {(match[1], match[2]) for page in pages.values() for match in _ICON_CLASS.finditer(page)}
    (script,) = output.glob("_static/vendor/fontawesome/*/js/all.min.js")
    styles = output / "_static" / "icons.css"
    styles.write_text("".join(icon_styles(used, script.read_text(encoding="utf-8"))), encoding="utf-8")
    shutil.rmtree(script.parents[2])
    for path, page in pages.items():
        root = "../" * (len(path.relative_to(output).parts) - 1)
        link = f'\n<link rel="stylesheet" href="{root}_static/icons.css" />'
        page = _FONT_AWESOME.sub("", page).replace("</head>", f"{link}\n</head>", 1)
        path.write_text(page, encoding="utf-8")


def icon_styles(used: set[tuple[str, str]], script: str) -> Iterator[str]:
    """Yield a style for every icon in use, which is drawn as a mask so that it takes the colour of the text."""
    packs = [
        {name: (width, height, path) for name, width, height, path in _ICON.findall(part)}
        for part in script.split('"use strict"')
    ]
    yield ":is(.fas, .far, .fab, .fa-solid, .fa-regular, .fa-brands) { display: inline-block; width: 1em; height: 1em;"
    yield " vertical-align: -0.125em; background: currentColor; mask: var(--icon) center / contain no-repeat; }\n"
    yield ".fa-lg { font-size: 1.25em; }\n"
    for prefix, name in sorted(used):
        known = name.removeprefix("fa-")
        found = [pack[known] for pack in packs if known in pack and _is_pack(pack, prefix)]
        if found:  # else it is a size, such as fa-lg
            width, height, path = found[0]
            svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><path d="{path}"/></svg>'
            yield f'.{prefix}.{name} {{ --icon: url("data:image/svg+xml,{quote(svg)}"); }}\n'


def _is_pack(pack: dict[str, tuple[str, str, str]], prefix: str) -> bool:
    """Whether a pack is that of a prefix: brands have a sign that no other has, and so have the solid ones."""
    signs = {sign for sign in ("github", "bars") if sign in pack}
    return signs == ({_PACKS[prefix]} - {""})


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what to call."""
    app.connect("build-finished", on_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
