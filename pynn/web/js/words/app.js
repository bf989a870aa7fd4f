// Word vectors: a map of them, analogies, neighbours and company. The vectors are the weights of a model that Python recorded, and
// learn here by its step; the map is what they look like along their two widest directions.

const TEXTS = {
  en: { title: "Word vectors", example: "Example", as: "As", to: "is to", so: "so is", train: "Train on", pause: "Pause", fresh: "Forget everything",
    map: "The map", of: "Along the widest directions of", answer: "What is it to?", near: "Nearest to “{word}”", company: "Who stands near “{word}”?",
    key: "Bars: what the network says. Frames: what was counted in the text.", sentences: "Sentences with “{word}”", state: "step {epoch} · loss {loss}", right: "{right} of {all} analogies right",
    help: "Each word is sixteen numbers, from which a network says which words stand near it. So words in like company come to lie alike, and what tells kings from queens tells men from women. Choose words here or on the map; forget everything and train on to see them move.",
    sets: { all: "all words", four: "these four words" }, groups: ["people", "places", "animals"] },
  es: { title: "Vectores de palabras", example: "Ejemplo", as: "Como", to: "es a", so: "así es", train: "Seguir entrenando", pause: "Pausa", fresh: "Olvidarlo todo",
    map: "El mapa", of: "Según las direcciones más anchas de", answer: "¿A qué palabra?", near: "Lo más cercano a «{word}»", company: "¿Quién aparece cerca de «{word}»?",
    key: "Barras: lo que dice la red. Marcos: lo que se contó en el texto.", sentences: "Frases con «{word}»", state: "paso {epoch} · pérdida {loss}", right: "{right} de {all} analogías acertadas",
    help: "Cada palabra son dieciséis números con los que una red dice qué palabras aparecen cerca de ella. Por eso las palabras que andan en compañía parecida acaban en sitios parecidos, y lo que distingue a los reyes de las reinas distingue a los hombres de las mujeres. Elija palabras aquí o en el mapa; olvídelo todo y siga entrenando para verlas moverse.",
    sets: { all: "todas las palabras", four: "estas cuatro palabras" }, groups: ["personas", "lugares", "animales"] },
};
const BARS = 6, PER_FRAME = 2, SIZE = [640, 520], MARGIN = [70, 26], TURNS = 40;
const $ = (id) => document.getElementById(id);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const dot = (a, b) => a.reduce((sum, v, k) => sum + v * b[k], 0);
const unit = (a) => { const length = Math.sqrt(dot(a, a)) || 1; return a.map((v) => v / length); };

/** Return the two widest directions of vectors and their mean, by power iteration from the directions of before. */
function widest(vectors, before) {
  const n = vectors[0].length, mean = vectors[0].map((_, k) => vectors.reduce((sum, v) => sum + v[k], 0) / vectors.length);
  const spread = vectors.map((v) => v.map((x, k) => x - mean[k])), axes = [];
  for (let i = 0; i < 2; i++) {
    let axis = before?.[i] ?? unit(Array.from({ length: n }, (_, k) => Math.cos((i + 1) * (k + 1))));
    for (let turn = 0; turn < TURNS; turn++) {
      const next = new Array(n).fill(0);
      for (const v of spread) { const along = dot(v, axis); v.forEach((x, k) => { next[k] += along * x; }); }
      for (const other of axes) { const along = dot(next, other); other.forEach((x, k) => { next[k] -= along * x; }); }
      axis = unit(next);
    }
    axes.push(axis);
  }
  return { axes, mean };
}

class WordMap {
  constructor(lang) {
    this.lang = lang;
    this.words = BUNDLE.words;
    this.things = Object.values(BUNDLE.groups).flat(); // the words that stand on the map
    this.training = false;
    [this.a, this.b, this.c] = BUNDLE.analogies[0];
    this.word = this.c;
  }

  get texts() { return TEXTS[this.lang]; }

  async start() {
    this.model = await load(BUNDLE.model);
    this.epoch = this.model.epochs = BUNDLE.epochs;
    this.loss = BUNDLE.loss;
    const n = this.words.length;
    this.x = Array.from({ length: n }, (_, i) => i);
    this.shares = BUNDLE.counts.map((row) => { const all = row.reduce((p, q) => p + q, 0); return row.map((v) => v / all); });
    this.y = this.shares.flat();
    for (const id of ["a", "b", "c"]) $(id).replaceChildren(...this.things.map((word) => new Option(word, word)));
    $("example").replaceChildren(...BUNDLE.analogies.map(([a, b, c], i) => new Option(`${a} : ${b} = ${c} : ?`, i)));
    $("of").replaceChildren(...["all", ...Object.keys(BUNDLE.groups), "four"].map((name) => new Option(name, name)));
    $("of").value = Object.keys(BUNDLE.groups)[0];
    this.labels();
    this.listen();
    this.say();
    requestAnimationFrame(() => this.frame());
  }

  say() {
    document.documentElement.lang = this.lang;
    document.title = this.texts.title;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = this.texts[node.dataset.t];
    const groups = Object.keys(BUNDLE.groups);
    for (const option of $("of").options) option.textContent = this.texts.sets[option.value] ?? this.texts.groups[groups.indexOf(option.value)];
    $("lang").textContent = this.lang === "es" ? "English" : "Español";
    $("lang").lang = this.lang === "es" ? "en" : "es";
    $("train").textContent = this.texts[this.training ? "pause" : "train"];
    this.show();
  }

  /** Make the points and labels of the map. */
  labels() {
    const make = (name, parent = $("map")) => parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    this.lines = [make("line"), make("line")];
    this.lines[1].setAttribute("class", "found");
    this.marks = new Map(this.things.map((word) => {
      const circle = make("circle"), text = make("text");
      circle.setAttribute("r", 3);
      text.textContent = word;
      text.setAttribute("tabindex", 0);
      text.setAttribute("role", "button");
      text.onclick = () => this.look(word);
      text.onkeydown = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.look(word); } };
      return [word, { circle, text }];
    }));
  }

  /** Take the vectors of now. */
  take() {
    const { values, shape } = this.model.weights()[this.model.data.weights[0].name], [, n] = shape;
    this.vectors = this.words.map((_, i) => Array.from(values.subarray(i * n, (i + 1) * n)));
    this.units = this.vectors.map(unit);
  }

  vector(word) { return this.units[this.words.indexOf(word)]; }

  /** Return words and their cosines with a vector, the nearest first, but for those that are left out. */
  nearest(to, without) {
    const direction = unit(to);
    return this.words.map((word, i) => [word, dot(this.units[i], direction)])
      .filter(([word]) => !without.includes(word)).sort((p, q) => q[1] - p[1]);
  }

  /** Return what c is to, as a is to b: the nearest words to b - a + c. */
  answers(a, b, c) {
    const [p, q, r] = [a, b, c].map((word) => this.vector(word));
    return this.nearest(p.map((_, k) => q[k] - p[k] + r[k]), [a, b, c]);
  }

  /** Return how many analogies come out as the text has them. */
  right() { return BUNDLE.analogies.filter(([a, b, c, d]) => this.answers(a, b, c)[0][0] === d).length; }

  look(word) { this.word = word; this.show(); }

  show() {
    this.stale = false;
    this.take();
    const found = this.answers(this.a, this.b, this.c), four = [this.a, this.b, this.c, found[0][0]];
    for (const id of ["a", "b", "c"]) $(id).value = this[id];
    $("example").value = BUNDLE.analogies.findIndex(([a, b, c]) => a === this.a && b === this.b && c === this.c);
    $("sum").textContent = `${this.b} − ${this.a} + ${this.c} ≈ ${found[0][0]}`;
    this.bars("answer", found.slice(0, BARS));
    $("h-near").textContent = filled(this.texts.near, { word: this.word });
    this.bars("near", this.nearest(this.vector(this.word), [this.word]).slice(0, BARS));
    this.company();
    const loss = this.loss === null ? "–" : this.loss.toFixed(3);
    $("state").textContent = `${filled(this.texts.state, { epoch: this.epoch, loss })} · ${filled(this.texts.right, { right: this.right(), all: BUNDLE.analogies.length })}`;
    this.draw(four);
  }

  bars(id, rows) {
    $(id).replaceChildren(...rows.flatMap(([word, v], i) => this.bar(word, Math.max(0, v), v.toFixed(2), i === 0)));
  }

  bar(word, share, said, best, counted) {
    const name = document.createElement("dt"), room = document.createElement("dd"), number = document.createElement("dd");
    name.textContent = word;
    if (best) name.style.fontWeight = 700;
    for (const [kind, width] of [["bar", share], ...(counted === undefined ? [] : [["bar counted", counted]])]) {
      const bar = Object.assign(document.createElement("div"), { className: kind });
      bar.style.width = `${100 * width}%`;
      room.append(bar);
    }
    room.setAttribute("aria-hidden", "true");
    number.textContent = said;
    return [name, room, number];
  }

  /** Show the words that stand near the one that is looked at: as the network says, and as was counted. */
  company() {
    const i = this.words.indexOf(this.word), said = this.model.predict([i]), counted = this.shares[i];
    const best = counted.map((v, j) => [v, j]).sort((p, q) => q[0] - p[0]).slice(0, BARS), most = Math.max(...best.map(([v, j]) => Math.max(v, said[j])));
    $("h-company").textContent = filled(this.texts.company, { word: this.word });
    $("company").replaceChildren(...best.flatMap(([v, j]) => this.bar(this.words[j], said[j] / most, `${(100 * said[j]).toFixed(1)} %`, false, v / most)));
    $("h-sentences").textContent = filled(this.texts.sentences, { word: this.word });
    const own = BUNDLE.sentences.filter((sentence) => sentence.split(" ").includes(this.word));
    $("sentences").replaceChildren(...own.map((sentence) => Object.assign(document.createElement("li"), { textContent: sentence })));
  }

  /** Draw the map: of the words that are chosen, along their widest directions. */
  draw(four) {
    const of = $("of").value, shown = of === "all" ? this.things : of === "four" ? [...new Set(four)] : BUNDLE.groups[of];
    const { axes, mean } = widest(shown.map((word) => this.vector(word)), this.of === of ? this.axes : null);
    Object.assign(this, { axes, of });
    const flat = new Map(shown.map((word) => [word, axes.map((axis) => dot(this.vector(word).map((v, k) => v - mean[k]), axis))]));
    const most = Math.max(1e-9, ...[...flat.values()].flat().map(Math.abs));
    const place = (word) => flat.get(word).map((v, k) => SIZE[k] / 2 + (k ? -1 : 1) * (v / most) * (SIZE[k] / 2 - MARGIN[k]));
    for (const [word, { circle, text }] of this.marks) {
      const on = flat.has(word);
      for (const node of [circle, text]) node.style.display = on ? "" : "none";
      if (!on) continue;
      const [x, y] = place(word);
      circle.setAttribute("cx", x); circle.setAttribute("cy", y);
      const left = x > 0.8 * SIZE[0]; // the label would not fit on the right
      text.setAttribute("x", x + (left ? -6 : 6)); text.setAttribute("y", y + 5);
      text.setAttribute("text-anchor", left ? "end" : "start");
      text.setAttribute("class", four.includes(word) || word === this.word ? "on" : "");
      text.setAttribute("aria-pressed", word === this.word);
    }
    [[four[0], four[1]], [four[2], four[3]]].forEach((ends, i) => {
      const on = ends.every((word) => flat.has(word));
      this.lines[i].style.display = on ? "" : "none";
      if (on) ends.map(place).forEach(([x, y], k) => { this.lines[i].setAttribute(`x${k + 1}`, x); this.lines[i].setAttribute(`y${k + 1}`, y); });
    });
  }

  /** Make so many steps. */
  epochs(count = 1) {
    this.loss = this.model.fit(this.x, this.y, { epochs: count }).loss.at(-1);
    this.epoch += count;
    this.stale = true;
  }

  /** Go back to the vectors of the beginning. */
  fresh() {
    const { engine, state, data } = this.model;
    engine.u8(state, data.state_bytes).set(fromBase64(BUNDLE.fresh));
    this.model.epochs = this.epoch = 0;
    this.loss = null;
    this.show();
  }

  frame() {
    if (this.training) this.epochs(PER_FRAME);
    if (this.stale) this.show();
    requestAnimationFrame(() => this.frame());
  }

  listen() {
    for (const id of ["a", "b", "c"]) $(id).onchange = () => { this[id] = $(id).value; this.look(this[id]); };
    $("example").onchange = () => { [this.a, this.b, this.c] = BUNDLE.analogies[$("example").value]; this.look(this.c); };
    $("of").onchange = () => this.show();
    $("train").onclick = () => { this.training = !this.training; this.say(); };
    $("fresh").onclick = () => this.fresh();
    $("lang").onclick = () => { this.lang = this.lang === "es" ? "en" : "es"; this.say(); };
  }
}

const pynn_words = new WordMap(BUNDLE.lang);
globalThis.pynn_words = pynn_words;
pynn_words.ready = pynn_words.start().catch((error) => { $("note").textContent = error.message; });
