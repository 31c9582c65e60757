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
