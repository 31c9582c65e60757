// Loaded before the widgets on every page that has some.

// The theme's Font Awesome would replace the icons inside widgets by ones that do not react to clicks.
window.FontAwesomeConfig = { observeMutations: false };

// Widgets typeset their labels through the interface of MathJax 2. Whatever becomes window.MathJax is given that one
// function of it, done by MathJax 3.
(() => {
  let current = window.MathJax;
  const withHub = (mathjax) => {
    if (mathjax && !mathjax.Hub) {
      const typeset = ([, , element]) => mathjax.typesetPromise?.([element].filter(Boolean));
      mathjax.Hub = { Queue: typeset };
    }
    return mathjax;
  };
  withHub(current);
  Object.defineProperty(window, "MathJax", {
    configurable: true,
    get: () => current,
    set: (value) => { current = withHub(value); },
  });
})();

// The widgets give a slider's handle neither a name nor a value in words, and a frame no alternative text. The text below
// a figure says what it shows; what a reader who cannot see it needs here is where the sliders stand.
(() => {
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const describe = (explorer) => {
    const places = [...explorer.querySelectorAll(".widget-hslider, .jupyter-widget-hslider")].map((slider) => {
      const [handle, label, readout] = ["[role=slider]", ".widget-label", ".widget-readout"].map((part) =>
        slider.querySelector(part),
      );
      if (!(handle && label && readout)) return "";
      set(handle, "aria-label", label.textContent);
      set(handle, "aria-valuetext", readout.textContent);
      return `${label.textContent} ${readout.textContent}`;
    });
    const words = `Figure at ${places.join(", ")}; described below.`;
    explorer.querySelectorAll("img").forEach((image) => set(image, "alt", words));
  };
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      document.querySelectorAll(".cascade-explorer").forEach(describe);
    });
  };
  const attributeFilter = ["aria-valuetext"];
  const watch = () =>
    new MutationObserver(later).observe(document.body, {
      subtree: true, childList: true, characterData: true, attributes: true, attributeFilter,
    });
  document.addEventListener("DOMContentLoaded", watch);
})();
