// Shows the data that the trainer put into #data as charts and tables. All text enters as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");

function element(parent, name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

function section(title, hint) {
  const made = element(page, "section");
  element(made, "h2", "", title);
  if (hint) element(made, "p", "hint", hint).style.margin = "-8px 0 12px";
  return made;
}

const percent = (share, digits = 2) => (share === null || share === undefined ? "–" : (100 * share).toFixed(digits) + "%");
const whole = (number) => (number === null || number === undefined ? "–" : number.toLocaleString("en-US"));
const last = (list) => list[list.length - 1];

function chip(parent, run) {
  element(parent, "span", "chip").style.background = `var(--c${run % 8})`;
}

function table(parent, head, numeric) {
  const made = element(element(parent, "div", "scroll"), "table", "list");
  const row = made.createTHead().insertRow();
  head.forEach((text, i) => element(row, "th", numeric.includes(i) ? "number" : "", text));
  made.createTBody();
  return (cells, className) => {
    const line = made.tBodies[0].insertRow();
    if (className) line.className = className;
    return cells.map((text, i) => element(line, "td", numeric.includes(i) ? "number" : "", text));
  };
}

// --- summary ---

// True where the run measured a set: "train", "validation" or "test".
const measured = (run, set) => run[set + "_accuracy"].some((accuracy) => accuracy !== null);

// The sets that any of the runs measured.
const sets = ["test", "validation", "train"].filter((set) => data.runs.some((run) => measured(run, set)));

// The name of a set beside the figures of a run: those of the training set may be running means.
const figuresOf = (set, runs) => set + (set === "train" && runs.every((run) => run.running) ? " (running means)" : "");

// Beside the training figures of a run on a page where not every run has running means.
const mark = (run) => (run.running && !data.runs.every((other) => other.running) ? " (running mean)" : "");

// The first row with the highest accuracy of the set that chooses; the last row where no set does.
function bestRow(run) {
  if (run.best_by === "none") return run.step.length - 1;
  const accuracies = run[run.best_by + "_accuracy"];
  let best = 0;
  accuracies.forEach((accuracy, i) => {
    if (accuracy !== null && (accuracies[best] === null || accuracy > accuracies[best])) best = i;
  });
  return best;
}

// The sets whose accuracy is shown at the best row.
function judgedSets() {
  const judged = sets.filter((set) => set !== "train");
  return data.runs.some((run) => run.best_by === "validation") ? judged.reverse() : judged;
}

function showSummary() {
  const made = element(section("Summary"), "div", "panel"), judged = judgedSets();
  const head = ["run", ...judged.map((set) => (judged.length > 1 ? `${set} accuracy of the best` : `best ${set} accuracy`)),
                "at step", ...judged.map((set) => `final ${set} accuracy`), `final ${figuresOf("train", data.runs)} accuracy`, "parameters",
                "steps", "elapsed", "images/s"];
  const add = table(made, head, head.map((_, i) => i).slice(1));
  made.querySelector("table").classList.add("summary");
  data.runs.forEach((run, index) => {
    const best = bestRow(run), seconds = last(run.elapsed_seconds), images = last(run.step) * run.batch_size;
    const cells = add(["", ...judged.map((set) => percent(run[set + "_accuracy"][best])), whole(run.step[best]),
                       ...judged.map((set) => percent(last(run[set + "_accuracy"]))),
                       percent(last(run.train_accuracy)) + mark(run), whole(run.parameters),
                       whole(last(run.step)) + (run.max_steps > last(run.step) ? " of " + whole(run.max_steps) : ""),
                       formatTime(seconds), run.batch_size && seconds > 0 ? whole(Math.round(images / seconds)) : "–"]);
    chip(cells[0], index);
    cells[0].append(run.name);
    if (run.title) element(cells[0], "div", "hint", run.title);
  });
  const choice = judged.length > 1 ? ` The best evaluation is chosen by ${data.runs.map((run) => run.best_by)
    .filter((by, i, all) => all.indexOf(by) === i).join(" or ")} accuracy.` : "";
  element(made, "p", "hint", "Elapsed time and images/s include the evaluations." + choice);
  for (const run of data.runs)
    for (const missing of run.missing) element(page, "p", "notice", `${run.name}: ${missing}`);
}

// --- curves ---

// Returns the speed in each interval between evaluations; the first row has the time before it too.
function throughput(run) {
  return run.step.map((step, i) => {
    const steps = step - (i > 0 ? run.step[i - 1] : 0);
    const seconds = run.elapsed_seconds[i] - (i > 0 ? run.elapsed_seconds[i - 1] : 0);
    return run.batch_size && seconds > 0 ? (steps * run.batch_size) / seconds : null;
  });
}

function series(kinds) {
  return data.runs.flatMap((run, index) => kinds.filter(({ kind }) => !kind || measured(run, kind)).map(({ kind, of }) => ({
    run: index,
    kind,
    label: (data.runs.length > 1 ? run.name + " " : "") + figuresOf(kind, [run]),
    x: { step: run.step, time: run.elapsed_seconds },
    y: of(run),
  })));
}

function showLegend(bar, charts) {
  data.runs.forEach((run, index) => {
    const button = element(bar, "button", "run");
    chip(button, index);
    button.append(run.name);
    button.setAttribute("aria-pressed", "true");
    button.onclick = () => {
      const hide = !charts.hidden.has(index);
      if (hide) charts.hidden.add(index);
      else charts.hidden.delete(index);
      button.setAttribute("aria-pressed", String(!hide));
      charts.draw();
    };
  });
  for (const kind of sets) {
    const key = element(bar, "span", "key"), line = svg("svg", { viewBox: "0 0 26 8" }, key);
    svg("line", { class: kind, x1: 0, x2: 26, y1: 4, y2: 4, stroke: "currentColor", "stroke-width": 2 }, line);
    key.append(figuresOf(kind, data.runs));
  }
}

function showAxisChoice(bar, charts) {
  const buttons = ["step", "time"].map((axis) => {
    const button = element(bar, "button", "", axis === "step" ? "by step" : "by time");
    button.onclick = () => {
      charts.setAxis(axis);
      buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    };
    button.setAttribute("aria-pressed", String(axis === charts.axis));
    return button;
  });
  const reset = element(bar, "button", "", "show all");
  reset.disabled = true;
  reset.onclick = () => charts.zoom(null);
  charts.onzoom = (zoomed) => { reset.disabled = !zoomed; };
}

function showCurves() {
  const made = section("Curves", "Drag to zoom, double-click to show all; Ctrl and the wheel zoom too.");
  const charts = new Charts(document.getElementById("tip")), bar = element(made, "div", "bar");
  const grid = element(made, "div", "charts");
  showLegend(bar, charts);
  showAxisChoice(bar, charts);
  const each = (key) => sets.map((set) => ({ kind: set, of: (run) => run[`${set}_${key}`] }));
  const number = (y) => formatNumber(y);
  charts.add(grid, { title: "Loss", log: true, format: number }, series(each("loss")));
  charts.add(grid, { title: "Accuracy", format: (y, tick) => percent(y, tick ? 0 : 2) }, series(each("accuracy")));
  charts.add(grid, { title: "Learning rate", log: true, format: number },
             series([{ kind: "", of: (run) => run.learning_rate }]));
  charts.add(grid, { title: "Images per second, evaluations included", format: number },
             series([{ kind: "", of: throughput }]));
  charts.draw();
}

// --- sections that show one run at a time ---

// show(parent, run) for the run that is chosen; runs that have nothing to show are not offered.
function showEach(title, has, show, hint) {
  const runs = data.runs.filter(has);
  if (runs.length === 0) return;
  const made = section(title, hint), bar = runs.length > 1 ? element(made, "div", "bar") : null;
  const panel = element(made, "div", "panel");
  const choose = (run) => {
    panel.replaceChildren();
    show(panel, run);
    if (bar) [...bar.children].forEach((b, i) => b.setAttribute("aria-selected", String(runs[i] === run)));
  };
  for (const run of bar ? runs : []) {
    const button = element(bar, "button", "");
    chip(button, data.runs.indexOf(run));
    button.append(run.name);
    button.onclick = () => choose(run);
  }
  choose(runs[0]);
}

const className = (run, label) => (label >= run.classes.length ? "none" : run.classes[label]);

// Leaves out the middle of a text that is longer than `most` characters: the end of a file's name tells most.
function shorten(text, most) {
  const characters = [...text], half = Math.floor((most - 1) / 2);
  return characters.length <= most ? text : characters.slice(0, half).join("") + "…" + characters.slice(-half).join("");
}

// The same of a class's name, which the element's title has in full.
function nameClass(parent, name, style, run, label, { before = "", after = "" } = {}) {
  const most = 28, made = element(parent, name, style, before + shorten(className(run, label), most) + after);
  if ([...className(run, label)].length > most) made.title = className(run, label);
  return made;
}

function showEvaluated(panel, run) {
  const e = run.evaluated;
  element(panel, "p", "hint", `${e.checkpoint}, after step ${whole(e.step)}: ${whole(e.count)} images of the ${e.set}, loss ` +
          `${formatNumber(e.loss)}, accuracy ${percent(e.accuracy)}, balanced accuracy ${percent(e.balanced_accuracy)}` +
          (e.top > 1 ? `, top-${e.top} accuracy ${percent(e.top_accuracy)}` : "")).style.margin = "0 0 10px";
}

// --- which class is taken for which ---

function showMatrix(parent, run) {
  const counts = run.confusion, unknown = counts.some((row) => row[counts.length] > 0);
  const columns = unknown ? counts.length + 1 : counts.length;
  const made = element(element(parent, "div", "scroll natural"), "table", "matrix"), head = made.createTHead().insertRow();
  element(head, "th", "", "is \\ taken for");
  for (let k = 0; k < columns; k++) nameClass(element(head, "th"), "span", "", run, k);
  element(element(head, "th"), "span", "", "correct");
  const body = made.createTBody();
  counts.forEach((row, label) => {
    const line = body.insertRow(), total = row.reduce((a, b) => a + b, 0);
    nameClass(line, "th", "", run, label);
    for (let k = 0; k < columns; k++) {
      const cell = line.insertCell(), share = total > 0 ? row[k] / total : 0;
      cell.textContent = row[k] > 0 ? row[k] : "";
      cell.style.background = `rgb(var(--${k === label ? "good" : "bad"}) / ${(k === label ? 0.75 * share : Math.min(0.85, 2.2 * share)).toFixed(3)})`;
      cell.title = `${className(run, label)} taken for ${className(run, k)}: ${row[k]} of ${total} (${percent(share, 1)})`;
    }
    element(line, "td", "share", percent(total > 0 ? row[label] / total : null, 1));
  });
}

function showMostConfused(parent, run) {
  const add = table(parent, ["most frequent mistakes", "images"], [1]);
  for (const p of run.pairs) add([`${className(run, p.label)} taken for ${className(run, p.taken)}`, whole(p.count)]);
  if (run.pairs.length === 0) add(["none", ""]);
}

function showClassFigures(parent, run) {
  const made = element(parent, "div"), shown = run.class_figures.length, classes = run.classes.length;
  const shares = (figures) => [figures.precision, figures.recall, figures.f1].map((share) => percent(share, 1));
  if (shown < classes) element(made, "p", "hint", `The ${shown} of ${whole(classes)} classes with the lowest F1.`);
  const add = table(made, ["class", "precision", "recall", "F1"], [1, 2, 3]);
  for (const figures of run.class_figures) add([className(run, figures.label), ...shares(figures)]);
  add(["macro average", ...shares(run.evaluated.macro)], "total");
}

function showConfusion(panel, run) {
  showEvaluated(panel, run);
  const columns = element(panel, "div", "columns");
  if (run.confusion) showMatrix(columns, run);
  else if (run.pairs) element(columns, "p", "hint", `A matrix of ${whole(run.classes.length)} classes is not drawn.`);
  else element(columns, "p", "hint", `Of ${whole(run.classes.length)} classes it is not kept which is taken for which.`);
  if (run.pairs) showMostConfused(columns, run);
  showClassFigures(columns, run);
}

function showMistakes(panel, run) {
  const grid = element(panel, "div", "mistakes");
  for (const mistake of run.mistakes) {
    const figure = element(grid, "figure"), place = `image ${mistake.index} of the ${run.evaluated.set}`;
    figure.title = mistake.file ? `${mistake.file}\n${place}` : place;
    if (mistake.image) {
      const image = element(figure, "img");
      image.alt = mistake.file ?? place;
      image.src = mistake.image;
    }
    const caption = element(figure, "figcaption");
    nameClass(caption, "div", "wrong", run, mistake.predicted, { after: ` ${percent(mistake.probability, 1)}` });
    nameClass(caption, "div", "right", run, mistake.label, { before: "is ", after: ` ${percent(mistake.label_probability, 1)}` });
    if (mistake.file) element(caption, "div", "file", shorten(mistake.file, 32));
  }
}

// --- layers and config ---

// Draws what goes past layers, a lane each: a line through the row, from the top, to the bottom, or both, and a dot where the
// row's layer gives to the lane or reads it. The bits of a lane: 1 from above, 2 to below, 4 a dot.
function drawLanes(cell, lanes) {
  const across = element(cell, "div", "lanes");
  for (const bits of lanes) {
    const lane = element(across, "div", "lane");
    if (bits & 1) element(lane, "div", "up");
    if (bits & 2) element(lane, "div", "down");
    if (bits & 4) element(lane, "div", "node");
  }
}

function showLayers(panel, run) {
  const add = table(panel, ["", "layer", "output", "parameters", "multiply-adds"], [0, 3, 4]);
  const count = (number) => (number > 0 ? whole(number) : "–");
  const show = (row, cells) => {
    const made = add(cells);
    if (run.lanes.length === 0) return;
    const text = made[1].textContent;
    made[1].textContent = "";
    made[1].classList.add("graph");
    drawLanes(made[1], run.lanes[row]);
    element(made[1], "span", "", text).style.marginLeft = `${12 * run.lanes[row].length + 4}px`;
  };
  show(0, ["", "input", run.input, "–", "–"]);
  run.layers.forEach((layer, i) => show(i + 1, [String(i), layer.name, layer.output, count(layer.parameters),
                                                count(layer.multiply_adds)]));
  const sum = (key) => run.layers.reduce((total, layer) => total + layer[key], 0);
  add(["", "total", "", count(sum("parameters")), count(sum("multiply_adds"))], "total");
}

// Lines of an INI file that the trainer wrote: "[section]" and "key = value".
function readConfig(text) {
  const keys = new Map();
  let name = "";
  for (const line of text.split("\n")) {
    const head = /^\[(.*)\]$/.exec(line), equals = line.indexOf(" =");
    if (head) name = head[1];
    else if (equals > 0) keys.set(name + "." + line.slice(0, equals), line.slice(equals + 2).trim());
  }
  return keys;
}

function showConfig() {
  const runs = data.runs.filter((run) => run.config !== null);
  if (runs.length === 0) return;
  const hint = runs.length > 1 ? "Every key; where the runs differ, in colour and first." : "Every key, defaults included.";
  const panel = element(section("Config", hint), "div", "panel"), configs = runs.map((run) => readConfig(run.config));
  const add = table(panel, ["key", ...runs.map((run) => run.name)], []);
  const rows = [...new Set(configs.flatMap((config) => [...config.keys()]))].map((key) => {
    const values = configs.map((config) => config.get(key) ?? "–");
    return { key, values, differs: values.some((value) => value !== values[0]) };
  });
  for (const row of [...rows.filter((r) => r.differs), ...rows.filter((r) => !r.differs)]) {
    const cells = add([row.key, ...row.values]);
    cells.slice(1).forEach((cell) => cell.classList.add("value"));
    if (row.differs) cells.slice(1).forEach((cell) => cell.classList.add("differs"));
  }
}

document.getElementById("made").textContent = `trainer ${data.trainer}, ${data.made}`;
showSummary();
showCurves();
showEach("Confusion matrix", (run) => run.evaluated, showConfusion);
showEach("Most confused images", (run) => run.mistakes?.length > 0, showMistakes,
         "The wrong answers that the network was surest of.");
showEach("Layers", (run) => run.layers, showLayers);
showConfig();
document.documentElement.dataset.ready = "true";
