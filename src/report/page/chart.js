// A chart of curves over steps or time. All charts of the page share the shown range and the point under the pointer.
// A chart draws series of {run, kind ("train", "validation", "test"), label, x, y}; y has null where it has no number.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 22, top: 10, bottom: 24 };

function svg(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (parent) parent.appendChild(element);
  return element;
}

// Round numbers that cut low..high into about `count` pieces.
function linearTicks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = Math.pow(10, Math.floor(Math.log10(span / count)));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => span / s <= count);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  const factors = high / low > 1000 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of factors) ticks.push(factor * Math.pow(10, power));
  return ticks.filter((t) => t >= low * (1 - 1e-9) && t <= high * (1 + 1e-9));
}

function formatNumber(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1000 && size < 1e9) return Math.round(value).toLocaleString("en-US");
  if (value !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(Math.max(0, digits - 3)).replace("e+", "e").replace(".0e", "e");
  return String(Number(value.toPrecision(digits)));
}

function formatTime(seconds) {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  if (seconds < 10) return seconds.toFixed(1) + " s";
  return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60)
                  : Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
}

class Chart {
  // options: title, format (of a y value), log (may be logarithmic); view: see Charts.
  constructor(parent, view, options, series) {
    Object.assign(this, { view, options, series, log: false });
    const panel = document.createElement("article"), head = document.createElement("header");
    const title = document.createElement("h3");
    panel.className = "panel chart";
    title.textContent = options.title;
    head.appendChild(title);
    panel.appendChild(head);
    this.svg = svg("svg", { tabindex: 0, role: "img", "aria-label": options.title }, panel);
    if (options.log) head.appendChild(this.logButton());
    parent.appendChild(panel);
    this.listen();
  }

  logButton() {
    const button = document.createElement("button");
    button.textContent = "log";
    button.setAttribute("aria-pressed", "false");
    button.onclick = () => {
      this.log = !this.log;
      button.setAttribute("aria-pressed", String(this.log));
      this.draw();
    };
    return button;
  }

  visible() {
    return this.series.filter((s) => !this.view.hidden.has(s.run));
  }

  // --- scales ---

  // Lowest and highest number of the points whose x is shown.
  extent() {
    const [from, to] = this.view.range();
    let low = Infinity, high = -Infinity;
    for (const s of this.visible()) {
      const x = s.x[this.view.axis];
      s.y.forEach((y, i) => {
        if (y === null || x[i] < from || x[i] > to || (this.log && y <= 0)) return;
        low = Math.min(low, y);
        high = Math.max(high, y);
      });
    }
    if (low > high) return this.log ? [0.1, 1] : [0, 1];
    if (this.log) return low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad];
  }

  measure() {
    const box = this.svg.getBoundingClientRect();
    this.width = Math.max(120, box.width);
    this.height = Math.max(100, box.height);
    [this.x0, this.x1] = this.view.range();
    [this.y0, this.y1] = this.extent();
  }

  px(x) {
    const room = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + (this.x1 > this.x0 ? (x - this.x0) / (this.x1 - this.x0) : 0.5) * room;
  }

  py(y) {
    const room = this.height - MARGIN.top - MARGIN.bottom;
    const share = this.log ? Math.log(y / this.y0) / Math.log(this.y1 / this.y0) : (y - this.y0) / (this.y1 - this.y0);
    return this.height - MARGIN.bottom - share * room;
  }

  // The x that a place on the screen stands for.
  at(clientX) {
    const left = this.svg.getBoundingClientRect().left + MARGIN.left, room = this.width - MARGIN.left - MARGIN.right;
    return this.x0 + Math.min(1, Math.max(0, (clientX - left) / room)) * (this.x1 - this.x0);
  }

  // --- drawing ---

  draw() {
    this.measure();
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    const clip = svg("clipPath", { id: "clip-" + this.options.id }, this.svg);
    svg("rect", { x: MARGIN.left, y: 0, width: this.width - MARGIN.left - MARGIN.right, height: this.height }, clip);
    this.drawAxes();
    const curves = svg("g", { "clip-path": `url(#clip-${this.options.id})` }, this.svg);
    for (const s of this.visible()) this.drawCurve(s, curves);
    this.overlay = svg("g", { "clip-path": `url(#clip-${this.options.id})` }, this.svg);
  }

  drawAxes() {
    const bottom = this.height - MARGIN.bottom, right = this.width - MARGIN.right;
    const ticks = this.log ? logTicks(this.y0, this.y1) : linearTicks(this.y0, this.y1, 5);
    for (const tick of ticks) {
      const y = this.py(tick);
      svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y, y2: y }, this.svg);
      svg("text", { x: MARGIN.left - 7, y: y + 4, "text-anchor": "end" }, this.svg).textContent =
        this.options.format(tick, true);
    }
    svg("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }, this.svg);
    for (const tick of linearTicks(this.x0, this.x1, Math.max(2, Math.floor(this.width / 90)))) {
      const text = svg("text", { x: this.px(tick), y: bottom + 16, "text-anchor": "middle" }, this.svg);
      text.textContent = this.view.formatX(tick);
    }
  }

  drawCurve(s, parent) {
    const x = s.x[this.view.axis], points = [];
    let path = "", broken = true;
    s.y.forEach((y, i) => {
      if (y === null || (this.log && y <= 0)) {
        broken = true;
        return;
      }
      path += `${broken ? "M" : "L"}${this.px(x[i]).toFixed(1)} ${this.py(y).toFixed(1)}`;
      broken = false;
      points.push(i);
    });
    if (points.length === 0) return;
    const color = `var(--c${s.run % 8})`;
    svg("path", { class: "curve " + s.kind, d: path, style: `stroke: ${color}` }, parent);
    if (points.length === 1)
      svg("circle", { cx: this.px(x[points[0]]), cy: this.py(s.y[points[0]]), r: 3, style: `fill: ${color}` }, parent);
  }

  // Draws the vertical line and the points nearest to x; returns their figures as rows of the tip.
  mark(x) {
    this.overlay.replaceChildren();
    if (x === null) return [];
    const rows = [];
    svg("line", { class: "cross", x1: this.px(x), x2: this.px(x), y1: 0, y2: this.height - MARGIN.bottom }, this.overlay);
    for (const s of this.visible()) {
      const xs = s.x[this.view.axis], i = nearest(xs, x);
      if (i < 0 || x < xs[0] || x > xs[xs.length - 1]) continue; // the run has nothing to say there
      if (s.y[i] === null || (this.log && s.y[i] <= 0)) continue;
      const color = `var(--c${s.run % 8})`;
      svg("circle", { cx: this.px(xs[i]), cy: this.py(s.y[i]), r: 3.5, style: `fill: ${color}` }, this.overlay);
      rows.push({ color, label: s.label, value: this.options.format(s.y[i], false) });
    }
    return rows;
  }

  // --- the pointer ---

  listen() {
    let from = null;
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = event.clientX;
      if (event.pointerType === "mouse") this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      this.view.point(this, this.at(event.clientX), event.clientX, event.clientY);
      if (from !== null && Math.abs(event.clientX - from) > 4) this.brush(from, event.clientX);
    });
    this.svg.addEventListener("pointerup", (event) => {
      const start = from;
      from = null;
      if (start === null || Math.abs(event.clientX - start) <= 8) return;
      this.view.zoom(...[this.at(start), this.at(event.clientX)].sort((a, b) => a - b));
    });
    this.svg.addEventListener("pointercancel", () => { from = null; });
    this.svg.addEventListener("pointerleave", () => this.view.point(null, null));
    this.svg.addEventListener("dblclick", () => this.view.zoom(null));
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return; // else the page scrolls
      event.preventDefault();
      const center = this.at(event.clientX), factor = (event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8;
      this.view.zoom(center - (center - this.x0) * factor, center + (this.x1 - center) * factor);
    }, { passive: false });
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  brush(a, b) {
    const x = this.px(this.at(Math.min(a, b))), width = this.px(this.at(Math.max(a, b))) - x;
    svg("rect", { class: "brush", x, y: MARGIN.top, width, height: this.height - MARGIN.top - MARGIN.bottom }, this.overlay);
  }

  key(event) {
    if (event.key === "Escape") this.view.zoom(null);
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    const all = this.visible().flatMap((s) => s.x[this.view.axis]).filter((x) => x >= this.x0 && x <= this.x1);
    const xs = [...new Set(all)].sort((a, b) => a - b);
    if (xs.length === 0) return;
    const here = this.view.x === null ? -1 : nearest(xs, this.view.x);
    const next = Math.min(xs.length - 1, Math.max(0, here + (event.key === "ArrowRight" ? 1 : -1)));
    const box = this.svg.getBoundingClientRect();
    this.view.point(this, xs[next], box.left + this.px(xs[next]), box.top + 20);
  }
}

// The place of the number in a sorted list that is nearest to x; -1 in an empty one.
function nearest(list, x) {
  let low = 0, high = list.length - 1;
  if (high < 0) return -1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle;
    else high = middle;
  }
  return Math.abs(list[low] - x) <= Math.abs(list[high] - x) ? low : high;
}

// The state that the charts of the page share.
class Charts {
  constructor(tip) {
    Object.assign(this, { tip, charts: [], hidden: new Set(), axis: "step", shown: null, x: null });
    new ResizeObserver(() => this.draw()).observe(document.body);
  }

  add(parent, options, series) {
    this.charts.push(new Chart(parent, this, { ...options, id: this.charts.length }, series));
  }

  formatX(x) {
    return this.axis === "step" ? formatNumber(x, 6) : formatTime(x);
  }

  whole() {
    const ends = this.charts.flatMap((chart) => chart.visible()).map((s) => s.x[this.axis][s.x[this.axis].length - 1]);
    return [0, Math.max(...ends, 0) || 1];
  }

  range() {
    return this.shown || this.whole();
  }

  // low = null shows the whole range.
  zoom(low, high) {
    const [first, last] = this.whole();
    const whole = low === null || (low <= first && high >= last) || !(high > low);
    this.shown = whole ? null : [Math.max(first, low), Math.min(last, high)];
    this.point(null, null);
    this.draw();
    if (this.onzoom) this.onzoom(this.shown !== null);
  }

  setAxis(axis) {
    this.axis = axis;
    this.zoom(null);
  }

  // Shows the evaluation nearest to x in every chart, and its figures beside the pointer.
  point(chart, x, clientX, clientY) {
    const lists = x === null ? [] : chart.visible().map((s) => s.x[this.axis]).filter((list) => list.length > 0);
    const candidates = lists.map((list) => list[nearest(list, x)]).sort((a, b) => Math.abs(a - x) - Math.abs(b - x));
    this.x = candidates.length > 0 ? candidates[0] : null;
    const rows = new Map(this.charts.map((c) => [c, c.mark(this.x)])).get(chart) || [];
    this.tip.hidden = rows.length === 0;
    if (this.tip.hidden) return;
    const table = document.createElement("table");
    const head = (this.axis === "step" ? "step " : "after ") + this.formatX(this.x);
    for (const row of [{ label: head, value: "" }, ...rows]) {
      const line = table.insertRow(), label = line.insertCell();
      if (row.color) {
        const chip = document.createElement("span");
        chip.className = "chip";
        chip.style.background = row.color;
        label.appendChild(chip);
      }
      label.append(row.label);
      line.insertCell().textContent = row.value;
    }
    this.tip.replaceChildren(table);
    const box = this.tip.getBoundingClientRect(), right = clientX + 16 + box.width < window.innerWidth;
    this.tip.style.left = Math.max(4, right ? clientX + 16 : clientX - 16 - box.width) + "px";
    this.tip.style.top = Math.min(clientY + 16, window.innerHeight - box.height - 4) + "px";
  }

  draw() {
    for (const chart of this.charts) chart.draw();
  }
}
