// The widgets give a slider's handle neither a name nor a value in words, and a frame no alternative text. The text below
// a figure says what it shows; what a reader who cannot see it needs here is where the sliders stand.
(() => {
  if (window.cascadeExplorersAreNamed) return;
  window.cascadeExplorersAreNamed = true;
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const describe = (explorer) => {
    const places = [...explorer.querySelectorAll(".widget-hslider, .jupyter-widget-hslider")].map((slider) => {
      const [handle, label, readout] = ["[role=slider], .noUi-handle", ".widget-label", ".widget-readout"].map((part) =>
        slider.querySelector(part),
      );
      if (!(handle && label && readout)) return "";
      set(handle, "aria-label", label.textContent);
      set(handle, "aria-valuetext", readout.textContent);
      readout.removeAttribute("contenteditable"); // it would be a tab stop without a name
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
  new MutationObserver(later).observe(document.documentElement, {
    subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["aria-valuetext"],
  });
})();
