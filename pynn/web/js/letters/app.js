// An LSTM that reads letters: its gates over a typed text, the letters that may follow, and its training. All numbers are those of
// the programs that Python recorded: "letter" reads one letter, "train" makes a step.

const TEXTS = {
  en: { title: "An LSTM reads letters", typed: "Type a text:", write: "Write on", surprise: "Temperature", train: "Train on", pause: "Pause",
    fresh: "Forget everything", over: "Gates and memory over the text", show: "Show", numbers: "One unit in numbers", unit: "Unit", read: "What it learns",
    help: "The network reads one letter after another and says which may follow. Point at a letter, or move along the text with the arrow keys: the column below it holds all units, the bars are the next letters. Forget everything and train on to see the gates find their work.",
    next: "After “{read}”", state: "epoch {epoch} · loss {loss}", left: "Letters that the network does not know are left out: {letters}",
    letter: "letter {n}: {letter}", map: "Units (rows) over the letters (columns): {part}",
    parts: { f: "forget gate f", i: "input gate i", g: "candidate g", o: "output gate o", c: "memory c", h: "output h" },
    names: { " ": "space", "\n": "line end" } },
  es: { title: "Una LSTM lee letras", typed: "Escriba un texto:", write: "Seguir escribiendo", surprise: "Temperatura", train: "Seguir entrenando", pause: "Pausa",
    fresh: "Olvidarlo todo", over: "Compuertas y memoria a lo largo del texto", show: "Ver", numbers: "Una unidad en números", unit: "Unidad", read: "Lo que aprende",
    help: "La red lee una letra tras otra y dice cuáles pueden seguir. Señale una letra, o recorra el texto con las flechas: su columna muestra todas las unidades, y las barras son las letras siguientes. Olvídelo todo y siga entrenando para ver cómo las compuertas encuentran su tarea.",
    next: "Después de «{read}»", state: "época {epoch} · pérdida {loss}", left: "Se omiten las letras que la red no conoce: {letters}",
    letter: "letra {n}: {letter}", map: "Unidades (filas) a lo largo de las letras (columnas): {part}",
    parts: { f: "compuerta de olvido f", i: "compuerta de entrada i", g: "candidato g", o: "compuerta de salida o", c: "memoria c", h: "salida h" },
    names: { " ": "espacio", "\n": "fin de línea" } },
};
const START = { en: "and the mome raths", es: "con diez cañones" };
const ORDER = ["i", "f", "g", "o"]; // in which the gates lie
const SHOWN = ["f", "i", "g", "o", "c", "h"];
const WIDTH = 22, HEIGHT = 9, MOST = 60, BARS = 10, FRAME = 12, MEMORY = 3; // the memory has no bounds: from here on colours are full
const BLUE = [33, 102, 172], ORANGE = [224, 130, 20], PAPER = { light: [250, 250, 250], dark: [24, 26, 29] };
const $ = (id) => document.getElementById(id);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const visible = (letter) => ({ " ": "␣", "\n": "↵" })[letter] ?? letter;

/** Return the colour of a number from -1 (orange) over 0 (paper) to 1 (blue). */
function colour(v) {
  const paper = PAPER[isDark() ? "dark" : "light"], end = v < 0 ? ORANGE : BLUE, share = Math.min(1, Math.abs(v));
  return `rgb(${paper.map((p, k) => Math.round(p + (end[k] - p) * share)).join(",")})`;
}

class Letters {
  constructor(lang) {
    this.lang = lang;
    this.alphabet = BUNDLE.alphabet;
    this.at = 0; // the letter that is looked at
    this.unit = 0;
    this.training = false;
  }

  get texts() { return TEXTS[this.lang]; }

  async start() {
    this.model = await load(BUNDLE.model);
    const { engine, data, state } = this.model;
    this.reads = new Program(engine, data.programs.letter, state);
    this.id = engine.alloc(4);
    this.reads.bind("x", this.id, 4);
    this.places = Object.fromEntries(data.seen.map((one) => [one.name, [state + one.offset, one.shape.at(-1)]]));
    this.units = this.places.h[1];
    this.epoch = BUNDLE.epochs;
    this.model.epochs = this.epoch; // the orders of samples go on where Python's ended
    this.loss = BUNDLE.loss;
    const ids = Array.from(BUNDLE.text, (letter) => this.alphabet.indexOf(letter)), { length, stride, windows } = BUNDLE;
    this.x = []; this.y = [];
    for (let i = 0; i < windows * stride; i += stride) {
      this.x.push(...ids.slice(i, i + length));
      this.y.push(...ids.slice(i + 1, i + 1 + length));
    }
    $("part").replaceChildren(...SHOWN.map((name) => new Option(name, name)));
    $("unit").max = this.units;
    $("text-read").textContent = BUNDLE.text;
    $("text").value = BUNDLE.own ? BUNDLE.text.slice(0, 20).replaceAll("\n", " ") : START[this.lang];
    this.listen();
    this.say();
    this.type();
    requestAnimationFrame(() => this.frame());
  }

  say() {
    document.documentElement.lang = this.lang;
    document.title = this.texts.title;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = this.texts[node.dataset.t];
    for (const option of $("part").options) option.textContent = this.texts.parts[option.value];
    $("lang").textContent = this.lang === "es" ? "English" : "Español";
    $("lang").lang = this.lang === "es" ? "en" : "es";
    $("train").textContent = this.texts[this.training ? "pause" : "train"];
  }

  /** Return the letters of a text that the network knows, and those that it does not. */
  known(text) {
    const read = [], left = new Set();
    for (const letter of text.toLowerCase()) {
      const bare = letter.normalize("NFD")[0], found = [letter, bare].find((one) => this.alphabet.includes(one));
      if (found === undefined) left.add(letter); else read.push(found);
    }
    return { read: read.slice(0, MOST), left: [...left] };
  }

  #copy(name) {
    const [at, n] = this.places[name];
    return Array.from(this.model.engine.f32(at, n));
  }

  /** Read letters from an empty memory: of each i, f, g, o, c, h and the probabilities of what follows. */
  read(letters) {
    const { engine } = this.model, found = [];
    for (const name of ["h", "c"]) engine.f32(...this.places[name]).fill(0);
    for (const letter of letters) {
      engine.i32(this.id, 1)[0] = this.alphabet.indexOf(letter);
      this.reads.run();
      const gates = this.#copy("gates"), one = { letter, c: this.#copy("c"), h: this.#copy("h"), next: this.#copy("next") };
      ORDER.forEach((name, k) => { one[name] = gates.slice(k * this.units, (k + 1) * this.units); });
      found.push(one);
    }
    return found;
  }

  /** Take the text that is typed. */
  type() {
    const { read, left } = this.known($("text").value);
    this.letters = read.length ? read : [" "];
    this.at = Math.min(this.letters.length - 1, this.follow ? Infinity : this.at);
    $("note").textContent = left.length ? filled(this.texts.left, { letters: left.join(" ") }) : "";
    $("letters").replaceChildren(...this.letters.map((letter, i) => {
      const button = Object.assign(document.createElement("button"), { textContent: visible(letter) });
      button.onclick = button.onmouseenter = () => this.look(i);
      return button;
    }));
    this.show();
  }

  /** Read the text again with the weights of now, and show everything. */
  show() {
    this.seen = this.read(this.letters);
    this.stale = false;
    [...$("letters").children].forEach((button, i) => {
      button.setAttribute("aria-pressed", i === this.at);
      button.tabIndex = i === this.at ? 0 : -1;
      button.setAttribute("aria-label", filled(this.texts.letter, { n: i + 1, letter: this.texts.names[this.letters[i]] ?? this.letters[i] }));
    });
    const box = $("map").parentElement, left = this.at * WIDTH; // the letter is to be seen, without moving the page
    if (left < box.scrollLeft || left + WIDTH > box.scrollLeft + box.clientWidth) box.scrollLeft = left - box.clientWidth / 2;
    this.draw();
    this.bars();
    this.numbers();
    const loss = this.loss === null ? "–" : this.loss.toFixed(3);
    $("state").textContent = filled(this.texts.state, { epoch: this.epoch, loss });
  }

  /** Look at a letter. */
  look(i) {
    this.at = Math.max(0, Math.min(this.letters.length - 1, i));
    this.show();
  }

  draw() {
    const canvas = $("map"), pen = canvas.getContext("2d"), part = $("part").value, signed = "gch".includes(part);
    canvas.width = this.letters.length * WIDTH;
    canvas.height = this.units * HEIGHT;
    this.seen.forEach((one, t) => one[part].forEach((v, j) => {
      pen.fillStyle = colour(part === "c" ? v / MEMORY : v);
      pen.fillRect(t * WIDTH + 1, j * HEIGHT + 1, WIDTH - 1, HEIGHT - 1);
    }));
    pen.strokeStyle = isDark() ? "#f0a050" : "#b35806";
    pen.lineWidth = 2;
    pen.strokeRect(this.at * WIDTH + 1, 1, WIDTH - 1, canvas.height - 2);
    pen.strokeRect(1, this.unit * HEIGHT, canvas.width - 2, HEIGHT + 1);
    canvas.setAttribute("aria-label", filled(this.texts.map, { part: this.texts.parts[part] }));
    $("low").textContent = part === "c" ? `≤ −${MEMORY}` : signed ? "−1" : "0";
    $("high").textContent = part === "c" ? `≥ ${MEMORY}` : "1";
    $("key").style.background = `linear-gradient(90deg, ${(signed ? [-1, 0, 1] : [0, 1]).map(colour).join(",")})`;
  }

  /** Show the letters that may follow. */
  bars() {
    const { next } = this.seen[this.at], best = next.map((p, i) => [p, i]).sort((a, b) => b[0] - a[0]).slice(0, BARS);
    $("h-next").textContent = filled(this.texts.next, { read: this.letters.slice(Math.max(0, this.at - 14), this.at + 1).map(visible).join("") });
    $("next").replaceChildren(...best.flatMap(([p, i]) => {
      const name = document.createElement("dt"), share = document.createElement("dd"), room = document.createElement("dd"), bar = document.createElement("div");
      name.textContent = visible(this.alphabet[i]);
      bar.className = "bar";
      bar.style.width = `${100 * p}%`;
      room.setAttribute("aria-hidden", "true");
      room.append(bar);
      share.textContent = `${(100 * p).toFixed(1)} %`;
      return [name, room, share];
    }));
  }

  /** Spell out what one unit computes at the letter that is looked at. */
  numbers() {
    const one = this.seen[this.at], j = this.unit, said = (number) => number.toFixed(3).replace("-", "−"), v = (name) => said(one[name][j]);
    const factor = (text) => (text.startsWith("−") ? `(${text})` : text), before = factor(said(this.at ? this.seen[this.at - 1].c[j] : 0)), { parts } = this.texts;
    const lines = [
      ...["f", "i", "g", "o"].map((name) => `${parts[name]} = ${v(name)}`),
      `${parts.c} = f·c₋ + i·g = ${v("f")}·${before} + ${v("i")}·${factor(v("g"))} = ${v("c")}`,
      `${parts.h} = o·tanh(c) = ${v("o")}·tanh(${v("c")}) = ${v("h")}`,
    ];
    $("sums").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  }

  /** Return the letter that follows: the most probable one at temperature 0. */
  pick(next, temperature) {
    if (!temperature) return next.indexOf(Math.max(...next));
    const weights = next.map((p) => p ** (1 / temperature));
    let left = Math.random() * weights.reduce((a, b) => a + b, 0);
    return Math.max(0, weights.findIndex((w) => (left -= w) < 0));
  }

  /** Write so many letters on; the field keeps the last ones. */
  write(count = 10) {
    let letters = [...this.letters];
    for (let i = 0; i < count; i++) {
      const { next } = this.read(letters).at(-1);
      letters = [...letters, this.alphabet[this.pick(next, Number($("surprise").value))]].slice(-MOST);
    }
    $("text").value = letters.join("").replaceAll("\n", " ");
    this.letters = letters;
    this.follow = true;
    this.type();
    this.follow = false;
  }

  /** Train for an epoch. */
  epochs(count = 1) {
    const { loss } = this.model.fit(this.x, this.y, { epochs: count });
    this.epoch += count;
    this.loss = loss.at(-1);
    this.stale = true;
  }

  /** Go back to the weights of the beginning. */
  fresh() {
    const { engine, state, data } = this.model;
    engine.u8(state, data.state_bytes).set(fromBase64(BUNDLE.fresh));
    this.model.epochs = this.epoch = 0;
    this.loss = null;
    this.show();
  }

  frame() {
    if (this.training) {
      const begin = performance.now();
      do this.epochs(); while (performance.now() - begin < FRAME);
    }
    if (this.stale) this.show();
    requestAnimationFrame(() => this.frame());
  }

  listen() {
    $("text").oninput = () => { this.follow = true; this.type(); this.follow = false; };
    $("part").onchange = () => this.show();
    $("unit").oninput = () => {
      const unit = Number($("unit").value) - 1;
      if (Number.isInteger(unit) && unit >= 0 && unit < this.units) { this.unit = unit; this.show(); }
    };
    $("train").onclick = () => { this.training = !this.training; this.say(); };
    $("fresh").onclick = () => this.fresh();
    $("write").onclick = () => this.write();
    $("lang").onclick = () => { this.lang = this.lang === "es" ? "en" : "es"; this.say(); this.type(); };
    $("letters").onkeydown = (event) => {
      const to = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, Home: 0, End: Infinity }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.look(to);
      $("letters").children[this.at].focus();
    };
    $("map").onclick = (event) => {
      this.unit = Math.min(this.units - 1, Math.floor(event.offsetY / HEIGHT));
      $("unit").value = this.unit + 1;
      this.look(Math.floor(event.offsetX / WIDTH));
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }
}

const pynn_letters = new Letters(BUNDLE.lang);
globalThis.pynn_letters = pynn_letters;
pynn_letters.ready = pynn_letters.start().catch((error) => { $("note").textContent = error.message; });
