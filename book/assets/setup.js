// Loaded on every page that has widgets.

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

// The widgets' own script is large, and starts only once an explorer comes near, or the page is to be printed.
(() => {
  const source = document.currentScript.src.replace("setup.js", "widgets/embed.js");
  let asked = false;
  const load = () => {
    if (asked) return;
    asked = true;
    // It waits for the page to be loaded, which has happened: what it would do then is done at once.
    const usual = window.addEventListener;
    window.addEventListener = (type, listener, ...rest) =>
      type === "load" ? queueMicrotask(listener) : usual.call(window, type, listener, ...rest);
    const script = Object.assign(document.createElement("script"), { src: source });
    script.addEventListener("load", () => (window.addEventListener = usual));
    document.head.append(script);
  };
  window.addEventListener("load", () => {
    if (!window.IntersectionObserver) return load();
    const near = new IntersectionObserver((entries) => entries.some((each) => each.isIntersecting) && load(), {
      rootMargin: "1200px",
    });
    document.querySelectorAll("script[type='application/vnd.jupyter.widget-view+json']").forEach((view) => {
      view.parentElement.classList.add("explorer-place");
      near.observe(view.parentElement);
    });
  });
  window.addEventListener("beforeprint", load);
})();
