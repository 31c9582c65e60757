// A live figure: pictures of the first frame become drawings in the page, and a slider moves their parts.
// Python has worked out what every moving part becomes at each place of the slider; nothing is computed here.
((script) => {
  const figure = script.closest(".live-figure");
  const data = JSON.parse(script.previousElementSibling.textContent);
  const make = (tag, parent, settings = {}, text = "") => {
    const element = document.createElement(tag);
    Object.entries(settings).forEach(([name, value]) => element.setAttribute(name, value));
    element.textContent = text;
    parent.append(element);
    return element;
  };

  // A string in pieces: those that stay are strings, those that move are lists with an entry for every place.
  const strings = (pieces) => {
    const parts = pieces.map((piece) => (typeof piece === "string" ? piece : piece[0].split("|")));
    return (place) => parts.map((part) => (typeof part === "string" ? part : part[place])).join("");
  };

  const panels = [...figure.querySelectorAll("img")].map((image) => {
    const source = decodeURIComponent(image.src.slice(image.src.indexOf(",") + 1));
    const drawing = new DOMParser().parseFromString(source, "image/svg+xml").documentElement;
    const axes = JSON.parse(drawing.dataset.axes);
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", image.alt);
    image.replaceWith(drawing);
    return { drawing, axes, tip: make("div", drawing.parentElement, { class: "live-tip", role: "status", hidden: "" }) };
  });

  // The slider. JupyterLab would take its arrow keys, by shortcuts and by moving the focus to the cell.
  const keepsKeys = (element) => {
    element.setAttribute("data-lm-suppress-shortcuts", "true");
    element.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  };
  const row = make("label", figure, { class: "live-slider" });
  keepsKeys(row);
  make("span", row, {}, data.label);
  const slider = make("input", row, { type: "range", min: 0, max: data.places - 1, value: data.start });
  slider.setAttribute("aria-label", data.label);
  const shown = make("output", row);
  figure.querySelector(".live-panels").before(row);
  const words = figure.querySelector(".live-words");
  words.setAttribute("aria-live", "polite");
  const says = strings(data.words), value = strings(data.shown);
  const moves = data.moves.map(([part, name, pieces]) => {
    const element = figure.querySelector(`[data-part="${part}"]`), at = strings(pieces);
    return (place) => (name ? element.setAttribute(name, at(place)) : (element.textContent = at(place)));
  });
  let pause = 0;
  const show = () => {
    const place = Number(slider.value);
    moves.forEach((move) => move(place));
    shown.textContent = value(place);
    slider.setAttribute("aria-valuetext", value(place));
    words.textContent = says(place);
    words.setAttribute("aria-busy", "true"); // read out once the slider rests
    clearTimeout(pause);
    pause = setTimeout(() => words.setAttribute("aria-busy", "false"), 400);
  };
  slider.addEventListener("input", show);
  show();

  // Values under the pointer: the nearest mark or corner of a line, within reach.
  const inside = (drawing, event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
  const marks = (drawing) => [...drawing.querySelectorAll(".live-mark")].map((mark) => {
    const { e: x, f: y } = mark.transform.baseVal[0].matrix;
    return { x, y, name: mark.dataset.name };
  });
  const corners = (drawing) => [...drawing.querySelectorAll(".live-line")].flatMap((line) =>
    line.getAttribute("d").split(/[ML]/).slice(1).map((corner) => {
      const [x, y] = corner.trim().split(" ").map(Number);
      return { x, y, name: line.dataset.name };
    }));
  const inWords = (axis, pixel) => {
    if (!axis.low) return "";
    const share = (pixel - axis.low[0]) / (axis.high[0] - axis.low[0]);
    const [low, high] = [axis.low[1], axis.high[1]];
    const number = axis.log ? low * (high / low) ** share : low + (high - low) * share;
    const digits = { maximumSignificantDigits: 3 };
    const text = axis.percent ? (100 * number).toLocaleString("en", digits) + "%" : number.toLocaleString("en", digits);
    return `${text} ${axis.unit}`.trim();
  };
  const tell = ({ drawing, axes, tip }, found) => {
    tip.hidden = !found;
    if (!found) return;
    const numbers = [inWords(axes.x, found.x), inWords(axes.y, found.y)].filter(Boolean).join(", ");
    tip.textContent = found.name ? `${found.name}: ${numbers}` : numbers;
    const { width, height } = drawing.viewBox.baseVal;
    tip.style.top = `${(100 * found.y) / height}%`;
    tip.style[found.x > width / 2 ? "right" : "left"] = `${100 * (found.x > width / 2 ? 1 - found.x / width : found.x / width)}%`;
    tip.style[found.x > width / 2 ? "left" : "right"] = "auto";
  };
  for (const panel of panels) {
    const { drawing } = panel;
    let number = 0; // with the keyboard, arrow keys go from mark to mark
    const atFocus = () => tell(panel, document.activeElement === drawing ? marks(drawing)[number] : null);
    drawing.addEventListener("pointermove", (event) => {
      const here = inside(drawing, event), far = (point) => Math.hypot(point.x - here.x, point.y - here.y);
      const nearest = (points) => points.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
      const found = [marks(drawing), corners(drawing)].map(nearest).find((point) => point && far(point) < 14);
      tell(panel, found);
    });
    drawing.addEventListener("pointerleave", atFocus);
    if (!marks(drawing).length) continue;
    drawing.setAttribute("tabindex", "0");
    keepsKeys(drawing);
    drawing.addEventListener("focus", atFocus);
    drawing.addEventListener("blur", () => tell(panel, null));
    drawing.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], all = marks(drawing);
      if (!step) return;
      event.preventDefault();
      number = (number + step + all.length) % all.length;
      tell(panel, all[number]);
    });
  }

  // A part with a handle can be dragged: the slider goes to the place at which the part is nearest to the pointer.
  for (const [part, direction, pieces] of data.drags) {
    const handle = figure.querySelector(`[data-part="${part}"]`), at = strings(pieces);
    const places = Array.from({ length: data.places }, (_, place) => at(place).split(" ").map(Number));
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const here = inside(handle.ownerSVGElement, event);
      const away = places.map(([x, y]) =>
        Math.hypot(direction === "y" ? 0 : x - here.x, direction === "x" ? 0 : y - here.y));
      slider.value = away.indexOf(Math.min(...away));
      show();
    });
  }
})(document.currentScript);
