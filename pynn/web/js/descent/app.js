// Optimizers on Beale's valley. Each has a model of its own, whose two weights are the place; the step that Python recorded moves them,
// and the height on the map is what the model puts out there.

const TEXTS = {
  en: { title: "Optimizers on Beale's valley", go: "Start", pause: "Pause", one: "One step", reset: "Reset", pace: "Steps per frame", map: "The valley: dark is high, the ring is the minimum",
    ways: "Ways", rule: "Optimizer", rate: "Rate", far: "To the minimum", steps: "step {n}", lost: "lost", show: "show {name}", rateOf: "rate of {name}",
    help: "f(x, y) = (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)², least at (3, 0.5). Click where all are to start, or type the place. Change a rate while they walk, and see who gets stuck, who swings and who flies off.",
    label: "Ways of the optimizers over f; {said}" },
  es: { title: "Los optimizadores en el valle de Beale", go: "Empezar", pause: "Pausa", one: "Un paso", reset: "Reiniciar", pace: "Pasos por imagen", map: "El valle: lo oscuro es alto; el anillo, el mínimo",
    ways: "Caminos", rule: "Optimizador", rate: "Tasa", far: "Al mínimo", steps: "paso {n}", lost: "perdido", show: "mostrar {name}", rateOf: "tasa de {name}",
    help: "f(x, y) = (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)², con mínimo en (3, 0.5). Haga clic donde deban empezar todos, o escriba el lugar. Cambie una tasa mientras caminan y vea quién se atasca, quién oscila y quién sale volando.",
    label: "Caminos de los optimizadores por f; {said}" },
};
// Okabe and Ito's colours, which are told apart by everybody, on light and on dark ground; dashes tell them apart too.
const LOOKS = [["#d55e00", "#ff8a3d", []], ["#0072b2", "#4aa8e8", [8, 4]], ["#007a59", "#2fd3a2", [2, 3]], ["#b0548a", "#e8a3cb", []],
  ["#a86f00", "#f0b030", [8, 4]], ["#1f83b8", "#8fd0f5", [12, 3, 2, 3]], ["#000000", "#ffffff", []]];
const GRID = [120, 84], MOST = 5000, FAR = 1e3;
const $ = (id) => document.getElementById(id);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

class Descent {
  constructor(lang) {
    this.lang = lang;
    this.begin = [...BUNDLE.start];
    this.walking = false;
    this.steps = 0;
  }

  get texts() { return TEXTS[this.lang]; }

  async start() {
    this.ways = await Promise.all(Object.entries(BUNDLE.models).map(async ([name, data], i) => {
      const model = await load(data), first = model.engine.u8(model.state, data.state_bytes).slice();
      const [light, dark, dash] = LOOKS[i];
      return { name, model, first, rate: data.rate, light, dark, dash, on: true, lost: false, path: [] };
    }));
    this.heights = this.grid();
    this.rows();
    this.listen();
    this.reset();
    this.say();
    requestAnimationFrame(() => this.frame());
  }

  /** Return the height at a place, as the model puts it out. */
  height(model, place) {
    model.setWeight("place", place);
    return model.predict([0])[0];
  }

  /** Return the heights of the map, row by row from above. */
  grid() {
    const { model } = this.ways[0], [x0, x1, y0, y1] = BUNDLE.bounds, [columns, rows] = GRID, found = new Float32Array(columns * rows);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        found[r * columns + c] = this.height(model, [x0 + ((c + 0.5) / columns) * (x1 - x0), y1 - ((r + 0.5) / rows) * (y1 - y0)]);
    return found;
  }

  rows() {
    $("rules").replaceChildren(...this.ways.map((way) => {
      const row = document.createElement("tr"), label = document.createElement("label");
      way.box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      way.box.onchange = () => { way.on = way.box.checked; this.stale = true; };
      label.append(way.box);
      label.insertAdjacentHTML("beforeend", `<svg class="mark" viewBox="0 0 38 12" aria-hidden="true"><line x1="0" y1="6" x2="38" y2="6" style="stroke: light-dark(${way.light}, ${way.dark})" stroke-width="3" stroke-dasharray="${way.dash}"/></svg>`);
      label.append(way.name);
      way.field = Object.assign(document.createElement("input"), { type: "number", step: "any", min: 0, value: way.rate });
      way.field.oninput = () => { const rate = Number(way.field.value); if (way.field.value.trim() && rate >= 0 && isFinite(rate)) way.rate = rate; };
      row.insertCell().append(label);
      row.insertCell().append(way.field);
      way.cells = [row.insertCell(), row.insertCell(), row.insertCell()];
      return row;
    }));
  }

  say() {
    document.documentElement.lang = this.lang;
    document.title = this.texts.title;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = this.texts[node.dataset.t];
    $("lang").textContent = this.lang === "es" ? "English" : "Español";
    $("lang").lang = this.lang === "es" ? "en" : "es";
    $("go").textContent = this.texts[this.walking ? "pause" : "go"];
    for (const { name, box, field } of this.ways) {
      box.setAttribute("aria-label", filled(this.texts.show, { name }));
      field.setAttribute("aria-label", filled(this.texts.rateOf, { name }));
    }
    this.stale = true;
  }

  /** Begin anew, all at one place with optimizers that have seen nothing. */
  reset(place = this.begin) {
    this.begin = [...place];
    this.steps = 0;
    for (const way of this.ways) {
      const { engine, state, data } = way.model;
      engine.u8(state, data.state_bytes).set(way.first);
      way.model.setWeight("place", this.begin);
      way.model.epochs = 0;
      way.path = [[...this.begin]];
      way.lost = false;
    }
    [$("x").value, $("y").value] = this.begin.map((v) => Number(v.toFixed(3)));
    this.stale = true;
  }

  /** Make so many steps with all that are not lost. */
  walk(count = 1) {
    this.steps += count;
    this.stale = true;
    for (const way of this.ways)
      for (let i = 0; i < count && !way.lost; i++) {
        try {
          way.model.fit([0], [0], { rate: way.rate });
          const place = Array.from(way.model.weights().place.values);
          way.lost = !place.every((v) => Math.abs(v) < FAR);
          if (!way.lost && way.path.push(place) > MOST) way.path.shift();
        } catch (error) {
          if (!/finite/.test(error.message)) throw error;
          way.lost = true;
        }
      }
  }

  paint() {
    const [columns, rows] = GRID, low = document.createElement("canvas"), dark = isDark();
    Object.assign(low, { width: columns, height: rows });
    const pixels = low.getContext("2d").createImageData(columns, rows), shade = (v) => Math.min(1, Math.log1p(40 * v) / Math.log1p(40 * 200));
    this.heights.forEach((v, i) => {
      const s = Math.floor(shade(v) * 24) / 24; // bands are contour lines
      const from = dark ? [70, 84, 96] : [252, 252, 247], to = dark ? [14, 16, 20] : [120, 134, 150];
      pixels.data.set([...from.map((p, k) => p + (to[k] - p) * s), 255], 4 * i);
    });
    low.getContext("2d").putImageData(pixels, 0, 0);
    this.floor = { low, dark };
  }

  draw() {
    this.stale = false;
    if (this.floor?.dark !== isDark()) this.paint();
    const canvas = $("map"), pen = canvas.getContext("2d"), [x0, x1, y0, y1] = BUNDLE.bounds, { width, height } = canvas;
    const at = ([x, y]) => [((x - x0) / (x1 - x0)) * width, ((y1 - y) / (y1 - y0)) * height];
    pen.imageSmoothingEnabled = true;
    pen.drawImage(this.floor.low, 0, 0, width, height);
    const ring = (place, radius, colour) => { pen.setLineDash([]); pen.lineWidth = 3; pen.strokeStyle = colour; pen.beginPath(); pen.arc(...at(place), radius, 0, 7); pen.stroke(); };
    for (const { path, on, light, dark, dash } of this.ways) {
      if (!on) continue;
      pen.strokeStyle = pen.fillStyle = isDark() ? dark : light;
      pen.lineWidth = 3;
      pen.setLineDash(dash);
      pen.beginPath();
      path.forEach((place, i) => (i ? pen.lineTo(...at(place)) : pen.moveTo(...at(place))));
      pen.stroke();
      pen.beginPath();
      pen.arc(...at(path.at(-1)), 6, 0, 7);
      pen.fill();
    }
    ring(BUNDLE.minimum, 10, isDark() ? "#fff" : "#000");
    const said = [];
    for (const { name, model, path, lost, cells, on } of this.ways) {
      const place = path.at(-1), far = Math.hypot(place[0] - BUNDLE.minimum[0], place[1] - BUNDLE.minimum[1]);
      const now = model.weights().place.values.slice(), f = this.height(model, place);
      model.setWeight("place", now);
      cells[0].textContent = lost ? this.texts.lost : f.toPrecision(3);
      cells[1].textContent = place.map((v) => v.toFixed(3)).join(", ");
      cells[2].textContent = lost ? "–" : far.toFixed(3);
      if (on) said.push(`${name} ${cells[2].textContent}`);
    }
    canvas.setAttribute("aria-label", filled(this.texts.label, { said: said.join(", ") }));
    $("steps").textContent = filled(this.texts.steps, { n: this.steps });
  }

  frame() {
    if (this.walking) this.walk(Number($("pace").value));
    if (this.stale) this.draw();
    requestAnimationFrame(() => this.frame());
  }

  listen() {
    $("go").onclick = () => { this.walking = !this.walking; this.say(); };
    $("one").onclick = () => { this.walking = false; this.say(); this.walk(); };
    $("reset").onclick = () => this.reset();
    for (const id of ["x", "y"]) $(id).onchange = () => {
      const place = ["x", "y"].map((key) => Number($(key).value));
      if (place.every((v) => isFinite(v) && Math.abs(v) <= 10)) this.reset(place);
    };
    $("map").onclick = (event) => {
      const box = $("map").getBoundingClientRect(), [x0, x1, y0, y1] = BUNDLE.bounds;
      this.reset([x0 + ((event.clientX - box.left) / box.width) * (x1 - x0), y1 - ((event.clientY - box.top) / box.height) * (y1 - y0)]);
    };
    $("lang").onclick = () => { this.lang = this.lang === "es" ? "en" : "es"; this.say(); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.stale = true; });
  }
}

const pynn_descent = new Descent(BUNDLE.lang);
globalThis.pynn_descent = pynn_descent;
pynn_descent.ready = pynn_descent.start().catch((error) => { $("note").textContent = error.message; });
