// node web.js SCRIPT CASE: trains the exported model as the case says, and prints what it came to.
const fs = require("fs");
const pynn = require(process.argv[2]);
const given = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));
pynn.load().then((model) => {
  const history = given.epochs ? model.fit(given.x, given.y, { epochs: given.epochs }) : {};
  const weights = Object.fromEntries(Object.entries(model.weights()).map(([key, w]) => [key, Array.from(w.values)]));
  const predicted = Array.from(model.predict(given.x));
  console.log(JSON.stringify({ exact: model.exact, weights, predicted, history }));
}, (error) => { console.error(error.message); process.exit(1); });
