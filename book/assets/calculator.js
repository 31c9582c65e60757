// What two models save at the quality of the expensive one. The page "What would two models save?" derives the formula.
(() => {
  const FAR = 9; // standard deviations; what lies beyond has no weight in double precision

  const density = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

  // The normal distribution function, by its Taylor series: all terms have one sign.
  const below = (z) => {
    let sum = z;
    let term = z;
    for (let odd = 3; Math.abs(term) > 1e-17 * Math.abs(sum); odd += 2) {
      term *= (z * z) / odd;
      sum += term;
    }
    return 0.5 + density(z) * sum;
  };

  // The largest share of cheap answers that leaves the mean quality at that of the expensive model, by bisection.
  const cheapShare = (gap, spread) => {
    if (gap <= 0) return 1;
    if (gap >= FAR * spread) return 0;
    let [low, high] = [-FAR, FAR];
    for (let step = 0; step < 60; step += 1) {
      const middle = (low + high) / 2;
      if (spread * density(middle) >= gap * below(middle)) low = middle;
      else high = middle;
    }
    return below(low);
  };

  // Shares in [0, 1]; prices in any unit. Savings are per call in that unit; below zero is a loss.
  const savings = ({ low, high, worse, better, before, after }) => {
    const [first, second] = [worse * (1 - worse), better * (1 - better)];
    const routed = cheapShare(better - worse, Math.sqrt(before * (first + second)));
    const looked = cheapShare(better - worse, Math.sqrt(after * first + before * second));
    return { routed, looked, routing: routed * (high - low), cascade: looked * high - low };
  };

  // No dollar signs: MathJax would take what stands between two of them for a formula.
  const dollars = (amount) => `${amount.toLocaleString("en-US", { maximumFractionDigits: amount < 100 ? 2 : 0 })} USD`;
  const percent = (share) => share.toLocaleString("en-US", { style: "percent" });

  const answer = (pair, calls) => {
    const found = savings(pair);
    const best = Math.max(found.routing, found.cascade);
    const now = calls * pair.high;
    if (!(best > 0)) return ["Nothing.", `Send everything to the expensive model: ${dollars(now)} a month.`];
    const how =
      found.routing >= found.cascade
        ? `Choose before the call: ${percent(found.routed)} of the queries go to the cheap model.`
        : `Ask the cheap model first and keep ${percent(found.looked)} of its answers.`;
    return [`${dollars(calls * best)} a month`, `of ${dollars(now)}, which is ${percent(best / pair.high)}. ${how}`];
  };

  const DAYS = 30;
  const show = (form) => {
    const [amount, words] = form.querySelectorAll("output > *");
    if (!form.checkValidity()) {
      [amount.textContent, words.textContent] = ["–", "Please fill in every field: prices of 0 or more, shares from 0 to 100%."];
      return;
    }
    const value = (name) => form.elements[name].valueAsNumber;
    const share = (name) => value(name) / 100;
    const pair = {
      low: value("low"), high: value("high"),
      worse: share("worse"), better: share("better"), before: share("before"), after: share("after"),
    };
    [amount.textContent, words.textContent] = answer(pair, (value("queries") * DAYS) / 1000);
  };

  window.cascadeCalculator = { savings };
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("form.calculator").forEach((form) => {
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("input", () => show(form));
      show(form);
    });
  });
})();
