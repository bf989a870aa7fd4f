// The search of this site, in the place of the theme's: it takes letters without their accents, puts the reader's
// language first, knows whole names (model.fit), and runs in the page, so that it also works from a folder.
(() => {
  const own = document.documentElement.lang.startsWith("es") ? "es" : "en";
  const other = own === "es" ? "en" : "es";
  const fold = (text) => text.normalize("NFC").normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  const plain = (html) => {
    const text = html.replace(/<[^>]*>/g, " ").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"');
    return text.replace(/&amp;/g, "&").replace(/\s+/g, " ").trim().normalize("NFC");
  };
  const safe = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const within = /[\p{L}\p{N}_.]/u;

  // Where a term begins a word of a text, and where it is one.
  function places(text, term) {
    const begins = [];
    let whole = 0;
    for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
      if (at && within.test(text[at - 1]) && text[at - 1] !== ".") continue;
      begins.push(at);
      const after = text[at + term.length];
      if (!after || !within.test(after)) whole += 1;
    }
    return { begins, whole };
  }

  // What a term is worth in a section: most as its heading, then as a public name, then by how often it is said.
  function worth(one, term) {
    let score = 0;
    if (one.heading === term) score += 40;
    const heading = places(one.heading, term);
    score += heading.whole ? 20 : heading.begins.length ? 10 : 0;
    const dot = term.lastIndexOf(".");
    if (dot > 0 && one.anchor.endsWith(term.slice(dot))) {
      const head = term.slice(0, dot);
      const meant = head === "model" ? /\.(trainable|sequential|model)\.\w+$/ : null;
      if (meant ? meant.test(one.anchor) : one.anchor.endsWith(term)) score += 80;
    } else if (dot < 0 && one.anchor.endsWith("." + term)) score += 15;
    const said = places(one.words, term);
    if (said.begins.length) score += 1 + Math.log2(1 + said.begins.length) + (said.whole ? 1 + Math.log2(said.whole) : 0);
    return score;
  }

  function marked(text, folded, terms) {
    const found = terms.flatMap((term) => places(folded, term).begins.map((at) => [at, at + term.length]));
    found.sort((a, b) => a[0] - b[0]);
    const from = Math.max(0, (found.length ? found[0][0] : 0) - 60);
    const start = from ? text.indexOf(" ", from) + 1 : 0;
    let shown = start ? "… " : "", at = start;
    for (const [a, b] of found) {
      if (a < at || a > start + 260) continue;
      shown += safe(text.slice(at, a)) + "<mark>" + safe(text.slice(a, b)) + "</mark>";
      at = b;
    }
    return shown + safe(text.slice(at, Math.max(at, start + 280))) + (text.length > start + 280 ? " …" : "");
  }

  class Search {
    constructor(docs) {
      this.all = docs.map((doc) => {
        const [page, anchor = ""] = doc.location.split("#");
        const title = plain(doc.title), text = plain(doc.text);
        const language = page.startsWith(own + "/") ? 1.5 : page.startsWith(other + "/") ? 0.05 : 1;
        return {
          location: doc.location, page, anchor: fold(anchor), title, text, language,
          heading: fold(title), words: fold(text),
        };
      });
      this.pages = new Map(this.all.filter((one) => !one.anchor).map((one) => [one.page, one]));
    }

    query(query) {
      const terms = [...new Set(fold(query).split(/[\s,;:()*"]+/).filter(Boolean))];
      if (!terms.length) return { items: [] };
      const found = [];
      for (const one of this.all) {
        const each = terms.map((term) => worth(one, term));
        const hits = each.filter(Boolean).length;
        if (!hits) continue;
        const sum = each.reduce((a, b) => a + b, 0);
        let score = sum * (hits / terms.length) ** 3 * one.language * (one.anchor ? 1 : 1.2);
        const named = terms.some((term) => term.includes(".")); // names are at home in the reference, which is English
        if (own === "es" && one.language > 1 && hits === terms.length && !named) score += 200;
        found.push([one, score, Object.fromEntries(terms.map((term, i) => [term, each[i] > 0]))]);
      }
      found.sort((a, b) => b[1] - a[1]);
      const groups = new Map();
      for (const [one, score, met] of found.slice(0, 120)) {
        const group = groups.get(one.page) || [];
        group.push(this.shown(one, score, met, terms));
        groups.set(one.page, group);
      }
      for (const [page, group] of groups) {
        if (group.some((item) => !item.location.includes("#"))) continue;
        const whole = this.pages.get(page);
        if (whole) group.push(this.shown(whole, 0, {}, terms));
        else groups.delete(page);
      }
      return { items: [...groups.values()] };
    }

    shown(one, score, terms, words) {
      const text = score ? marked(one.text, one.words, words) : "";
      return { location: one.location, title: safe(one.title), text, score, terms };
    }
  }

  const Others = window.Worker;
  window.Worker = class extends EventTarget {
    constructor(url, options) {
      if (!String(url).includes("/workers/search")) return new Others(url, options);
      super();
    }
    postMessage({ type, data }) {
      let answer;
      if (type === 0) {
        this.index = new Search(data.docs);
        answer = { type: 1 };
      } else answer = { type: 3, data: this.index.query(data) };
      setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data: answer })));
    }
    terminate() {}
  };
  window.__search = Search; // for the tests
})();
