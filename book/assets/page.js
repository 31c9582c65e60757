// Loaded on every page: what the theme and notebooks leave out for those who use a keyboard, a screen reader or a phone.

// Anything that scrolls sideways can be scrolled with the arrow keys, and says what it is.
const scrolls = (element) => {
  const what = element.matches("pre") ? "Code or output" : element.matches("mjx-container") ? "Formula" : "Table";
  const told = { tabindex: 0, role: "region", "aria-label": `${what}, scrolls sideways` };
  const wide = element.scrollWidth > element.clientWidth + 1;
  if (!wide && element.dataset.scrolls) Object.keys(told).forEach((name) => element.removeAttribute(name));
  if (wide) Object.entries(told).forEach(([name, value]) => element.setAttribute(name, value));
  if (wide) element.dataset.scrolls = "sideways";
};
const WIDE = "article :is(pre, .table-scroll, .pst-scrollable-table-container, mjx-container[display=true])";
const widths = () => document.querySelectorAll(WIDE).forEach(scrolls);

// A table of numbers lies in a box that scrolls, so that the table itself keeps its role. Its corner needs a name.
const tables = () => document.querySelectorAll("article table.dataframe").forEach((table) => {
  const box = document.createElement("div");
  box.className = "table-scroll";
  table.replaceWith(box);
  box.append(table);
  for (const corner of table.querySelectorAll("thead th")) {
    if (!corner.textContent.trim()) corner.innerHTML = '<span class="visually-hidden">row</span>';
  }
});

// The names of controls must hold the words that are seen on them.
const names = () => {
  document.querySelectorAll("summary[aria-label]").forEach((summary) => summary.removeAttribute("aria-label"));
  document.querySelectorAll(".bd-sidebar-primary details > summary").forEach((summary) => {
    const above = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Pages under ${above}`);
  });
  document.querySelectorAll(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));
};

// A figure can be enlarged: its link leads to the file, and opens it above the page where scripts run.
const FIGURES = "article .cell_output img, article figure img";
const figures = () => document.querySelectorAll(FIGURES).forEach((image) => {
  if (image.closest(".cascade-explorer, .live-figure, a:not(.image-reference)")) return;
  // Sphinx links those that are smaller than their file.
  const link = image.closest("a") ?? document.createElement("a");
  if (!link.contains(image)) {
    image.replaceWith(link);
    link.append(image);
  }
  link.href = image.src;
  link.classList.add("enlarge");
  link.setAttribute("aria-label", `Enlarge: ${image.alt.slice(0, 80)}`);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    enlarged(image);
  });
});
const enlarged = (image) => {
  const dialog = document.createElement("dialog");
  const close = Object.assign(document.createElement("button"), { textContent: "Close", className: "btn" });
  close.addEventListener("click", () => dialog.close());
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Figure");
  dialog.append(close, image.cloneNode());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
};

document.addEventListener("DOMContentLoaded", () => {
  tables();
  names();
  figures();
});
window.addEventListener("load", () => {
  widths();
  window.MathJax?.startup?.promise?.then(widths);
});
window.addEventListener("resize", widths);
document.addEventListener("scroll", ({ target }) => {
  const left = target.scrollWidth - target.clientWidth - target.scrollLeft;
  if (target.dataset?.scrolls) target.toggleAttribute("data-end", left < 2);
}, true);

// On paper everything is unfolded.
window.addEventListener("beforeprint", () => document.querySelectorAll("article details").forEach((each) => (each.open = true)));
