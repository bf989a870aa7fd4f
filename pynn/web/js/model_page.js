// The page beside an exported model: images are drawn by hand, other samples typed; every layer is shown, and what is taught.

const WORDS = {
  en: { title: "A model of pynn in a page", draw: "Draw here:", numbers: "Numbers of one sample", predict: "Predict", clear: "Clear",
    teach: "Teach: this is", matters: "Which pixels matter", output: "Output", filters: "Filters of", taught: "Taught {n}; loss {loss}.",
    empty: "Draw something first.", expected: "expected {n} numbers" },
  es: { title: "Un modelo de pynn en una página", draw: "Dibuje aquí:", numbers: "Números de una muestra", predict: "Predecir", clear: "Borrar",
    teach: "Enseñar: esto es", matters: "Qué píxeles importan", output: "Salida", filters: "Filtros de", taught: "Enseñados {n}; pérdida {loss}.",
    empty: "Dibuje algo primero.", expected: "se esperan {n} números" },
};
const lang = navigator.language.startsWith("es") ? "es" : "en", words = WORDS[lang];
const $ = (id) => document.getElementById(id);
const made = (tag, more = {}, ...children) => { const node = Object.assign(document.createElement(tag), more); node.append(...children); return node; };
const PAD = 280;

/** Paint numbers as a picture of grey, or of orange and blue where they have both signs. */
function picture(values, h, w, scale) {
  const canvas = made("canvas", { width: w, height: h }), context = canvas.getContext("2d"), image = context.createImageData(w, h);
  values.forEach((v, i) => {
    const t = Math.min(1, Math.abs(v) / scale), end = v < 0 ? [224, 130, 20] : [125, 180, 234];
    image.data.set([...end.map((c) => c * t), 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** What is shown of a model; `pynn_page` in the window is this object. */
class Page {
  constructor(model) {
    this.model = model;
    const { shape } = model.data.input, size = shape.reduce((a, b) => a * b, 1), side = Math.sqrt(size);
    this.size = size;
    this.drawn = Number.isInteger(side) && side >= 4 && (shape.length === 1 || (shape.length === 3 && shape[0] === shape[1] && shape[2] === 1));
    this.side = side;
    this.samples = [];
    this.classes = model.data.output.shape.slice(1).reduce((a, b) => a * b, 1);
    (this.drawn ? this.pad() : this.form()).forEach((node) => $("left").append(node));
    if (this.drawn) this.show(new Float32Array(size));
  }

  form() {
    const box = made("textarea", { id: "x", rows: 4, value: Array(this.size).fill(0).join(" ") });
    box.setAttribute("aria-label", words.numbers);
    const go = made("button", { id: "go", textContent: words.predict });
    go.onclick = () => {
      const x = box.value.trim().split(/[\s,;]+/).map(Number);
      if (x.length !== this.size || !x.every(isFinite)) $("say").textContent = words.expected.replace("{n}", this.size);
      else { $("say").textContent = ""; this.show(x); }
    };
    return [made("label", { textContent: `${words.numbers}: ${this.model.data.input.shape.join(" × ")}` }), box, made("p", {}, go)];
  }

  pad() {
    const pad = made("canvas", { id: "pad", width: PAD, height: PAD }), context = pad.getContext("2d", { willReadFrequently: true });
    pad.setAttribute("role", "img");
    pad.setAttribute("aria-label", words.draw);
    Object.assign(context, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    let last = null;
    const at = (event) => { const box = pad.getBoundingClientRect(); return [((event.clientX - box.left) / box.width) * PAD, ((event.clientY - box.top) / box.height) * PAD]; };
    pad.onpointerdown = (event) => { pad.setPointerCapture?.(event.pointerId); last = at(event); this.stroke([last, last]); };
    pad.onpointermove = (event) => { if (last) { const to = at(event); this.stroke([last, to]); last = to; } };
    pad.onpointerup = pad.onpointercancel = () => { last = null; };
    this.context = context;
    const clear = made("button", { id: "clear", textContent: words.clear });
    clear.onclick = () => { context.clearRect(0, 0, PAD, PAD); this.show(new Float32Array(this.size)); };
    const matters = made("button", { id: "matters", textContent: words.matters });
    matters.onclick = () => this.matters();
    const row = made("div", { className: "row" }, clear, matters), parts = [made("p", { textContent: words.draw }), pad, row];
    if (this.model.trains && this.classes > 1) {
      const label = made("select", { id: "label" }, ...Array.from({ length: this.classes }, (_, i) => new Option(i, i)));
      const teach = made("button", { id: "teach", textContent: words.teach });
      label.setAttribute("aria-label", words.teach);
      teach.onclick = () => this.teach(Number(label.value));
      parts.push(made("div", { className: "row" }, teach, label));
    }
    return parts;
  }

  /** Draw a line through points of the pad, and predict. */
  stroke(points) {
    this.context.beginPath();
    points.forEach(([x, y]) => this.context.lineTo(x, y));
    this.context.stroke();
    this.show(this.seen());
  }

  /** Return what was drawn as the model's input: as large as in common data sets of digits, about its centre of mass. */
  seen() {
    const data = this.context.getImageData(0, 0, PAD, PAD).data, { side } = this;
    let left = PAD, right = -1, top = PAD, bottom = -1, mass = 0, mx = 0, my = 0;
    for (let y = 0; y < PAD; y++)
      for (let x = 0; x < PAD; x++) {
        const v = data[4 * (y * PAD + x) + 3];
        if (!v) continue;
        left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
        mass += v; mx += v * x; my += v * y;
      }
    if (!mass) return new Float32Array(this.size);
    const scale = ((side * 20) / 28) / (Math.max(right - left, bottom - top) + 1);
    const small = made("canvas", { width: side, height: side }).getContext("2d");
    small.imageSmoothingQuality = "high";
    small.drawImage(this.context.canvas, side / 2 - (mx / mass) * scale, side / 2 - (my / mass) * scale, PAD * scale, PAD * scale);
    const found = small.getImageData(0, 0, side, side).data;
    const grey = Float32Array.from({ length: this.size }, (_, i) => found[4 * i + 3]), most = Math.max(...grey, 1);
    return grey.map((v) => v / most);
  }

  /** Predict, and show the output and every layer. */
  show(x) {
    const y = this.model.predict(x), best = y.indexOf(Math.max(...y));
    this.x = x;
    this.y = y;
    const most = Math.max(...y.map(Math.abs), 1e-9);
    $("result").replaceChildren(made("h2", { textContent: `${words.output}: ${this.classes > 1 ? best : y[0].toFixed(4)}` }),
      ...Array.from(y, (v, i) => made("div", { className: "bar" }, made("span", { textContent: i }),
        Object.assign(made("i"), { style: `width: ${(100 * Math.abs(v)) / most}%` }), made("span", { textContent: v.toFixed(3) }))));
    this.layers();
    return best;
  }

  layers() {
    const parts = [];
    for (const [name, { shape, values }] of Object.entries(this.model.weights()))
      if (shape.length === 4 && shape[2] === 1) parts.push(this.maps(`${words.filters} ${name}`, values, shape[0], shape[1], shape[3]));
    if (this.drawn) parts.unshift(this.maps(`x (${this.side} × ${this.side})`, this.x, this.side, this.side, 1));
    this.model.layers.forEach(({ name, shape }, i) => {
      const values = this.model.layer(i);
      if (shape.length === 3) parts.push(this.maps(`${name} (${shape.join(" × ")})`, values, ...shape));
      else parts.push(this.maps(`${name} (${shape.join(" × ")})`, values, 1, values.length, 1, true));
    });
    $("layers").replaceChildren(...parts);
  }

  /** Return pictures of the channels of [h, w, c]. */
  maps(title, values, h, w, c, flat = false) {
    const scale = Math.max(...values.map(Math.abs), 1e-9), box = made("div", { className: "maps" });
    for (let k = 0; k < Math.min(c, 64); k++) {
      const canvas = picture(values.filter((_, i) => i % c === k), h, w, scale);
      if (flat) canvas.style = `width: 100%; height: 16px`;
      box.append(canvas);
    }
    return made("section", {}, made("h2", { textContent: title }), box);
  }

  /** Show how much the largest output falls where a patch of the input is 0. */
  matters() {
    const { model, side, x } = this, y = model.predict(x), best = y.indexOf(Math.max(...y)), reach = Math.max(1, Math.round(side / 14));
    const fall = Float32Array.from({ length: this.size }, (_, at) => {
      const row = Math.floor(at / side), column = at % side, hidden = x.slice();
      for (let r = Math.max(0, row - reach); r <= Math.min(side - 1, row + reach); r++)
        for (let k = Math.max(0, column - reach); k <= Math.min(side - 1, column + reach); k++) hidden[r * side + k] = 0;
      return y[best] - model.predict(hidden)[best];
    });
    this.show(x);
    const part = this.maps(words.matters, fall, side, side, 1);
    part.querySelector("canvas").style = "width: 168px; height: 168px";
    $("layers").prepend(part);
    return fall;
  }

  /** Train on all that was taught so far: batches of it, over and over. */
  teach(label) {
    if (!this.x.some((v) => v > 0)) { $("say").textContent = words.empty; return NaN; }
    this.samples.push([this.x, label]);
    const { batch_size: n, target } = this.model.data, rows = Math.ceil(this.samples.length / n) * n;
    const chosen = Array.from({ length: rows }, (_, i) => this.samples[i % this.samples.length]);
    const x = Float32Array.from(chosen.flatMap(([one]) => Array.from(one)));
    const y = chosen.flatMap(([, one]) => (target.dtype === "int32" ? [one] : Array.from({ length: this.classes }, (_, i) => (i === one ? 1 : 0))));
    const { loss } = this.model.fit(x, y, { epochs: 5 });
    $("say").textContent = words.taught.replace("{n}", this.samples.length).replace("{loss}", loss.at(-1).toFixed(4));
    this.show(this.x);
    return loss.at(-1);
  }
}

document.documentElement.lang = lang;
for (const node of document.querySelectorAll("[data-t]")) node.textContent = words[node.dataset.t];
globalThis.pynn_page = pynn.load().then((model) => new Page(model), (error) => { $("say").textContent = error.message; });
