"use strict";
// Scores like the model `taste`, whose tables are in the element #data, and draws the list.
const LISTED = 10, MATCHES = 8, PAUSE = 700;
const $ = id => document.getElementById(id);
let head, tables, rows, ratings, keys, kinds, before = null, timer = 0;

async function unpack() {
  const bytes = Uint8Array.from(atob($("data").textContent), c => c.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(unpacked).arrayBuffer();
  const end = new Uint8Array(buffer).indexOf(10);
  head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 0, end)));
  const types = { float32: Float32Array, int32: Int32Array, uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array };
  const arrays = {};
  let at = Math.ceil((end + 1) / 4) * 4;
  for (const [name, kind, size] of head.arrays) {
    arrays[name] = new types[kind](buffer, at, size);
    at += arrays[name].byteLength;
  }
  head.n = head.films.length;
  head.position = new Int32Array(head.n).fill(-1);
  arrays.linked.forEach((item, row) => { head.position[item] = row; });
  head.damped = Float64Array.from(arrays.linked, item => (arrays.counts[item] + 1) ** -head.damping);
  tables = Object.entries(head.tables).map(([name, [weight, power]]) => {
    const scales = arrays[`${name}Scales`], width = scales.length;
    return { name, weight, power, width, values: Float32Array.from(arrays[name], (value, i) => value * scales[i % width]) };
  });
  let from = 0;
  rows = Array.from(arrays.sizes, (size, row) => {
    const columns = new Int32Array(size), weights = new Float64Array(size);
    for (let i = 0, column = 0; i < size; i++) {
      columns[i] = column += arrays.gaps[from + i];
      const value = arrays.values[from + i];
      weights[i] = arrays.scales[row] * Math.sign(value) * (value / 127) ** 2;
    }
    from += size;
    return { columns, weights };
  });
  Object.assign(head, arrays);
  keys = head.films.map(film => " " + plain(film[0]));
  kinds = [...new Set(head.films.map(film => film[2].split("|")[0]))].sort();
}

// What each rating says: likes and dislikes, and their share among all of the same kind.
function evidenceOf(rated, passed) {
  const evidence = rated.map(([item, stars]) => {
    const step = Math.round(2 * stars) - 1;
    return { item, like: +head.likes[step], dislike: +head.dislikes[step], liked: head.liked[step] };
  }).concat(passed.map(item => ({ item, like: 0, dislike: +head.passIsDislike, liked: false })));
  const likes = Math.max(1, evidence.reduce((sum, e) => sum + e.like, 0));
  const dislikes = Math.max(1, evidence.reduce((sum, e) => sum + e.dislike, 0));
  for (const e of evidence) e.signed = e.like / likes - head.shared * e.dislike / dislikes;
  return evidence;
}

const vector = (table, item) => table.values.subarray(item * table.width, (item + 1) * table.width);
const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; };
function combined(table, evidence, weigh) {
  const sum = new Float64Array(table.width);
  for (const e of evidence) if (weigh(e)) vector(table, e.item).forEach((value, i) => { sum[i] += value * weigh(e); });
  return sum;
}

// How near each linked item is to a disliked one: by weight, and all of its series.
function nearness(e, visit) {
  const row = head.position[e.item];
  if (row < 0 || !e.dislike) return;
  const { columns, weights } = rows[row], series = head.series[e.item];
  const most = weights.reduce((a, b) => Math.max(a, b), head.least);
  weights.forEach((weight, i) => {
    const inSeries = series >= 0 && head.series[head.linked[columns[i]]] === series;
    if (weight > 0 && !inSeries) visit(head.linked[columns[i]], (weight / most) ** head.power);
  });
  if (series >= 0) for (const item of head.linked) if (head.series[item] === series) visit(item, 1);
}

// The scores of all items, and what is needed to say why.
function score(evidence) {
  const scores = Float64Array.from(head.standing), liked = new Float64Array(head.n);
  const content = tables.find(table => table.name === "content"), likes = combined(content, evidence, e => e.like);
  let largest = head.least;
  for (const e of evidence) {
    const row = head.position[e.item];
    if (e.like && row >= 0) rows[row].columns.forEach((column, i) => {
      liked[head.linked[column]] += rows[row].weights[i] * head.damped[column];
    });
  }
  for (const item of head.linked) largest = Math.max(largest, liked[item]);
  for (let item = 0; item < head.n; item++) {
    if (head.fresh[item]) liked[item] = dot(vector(content, item), likes);
    scores[item] += liked[item] / largest;
  }
  for (const e of evidence) nearness(e, (item, near) => { scores[item] -= head.dislike * near; });
  const sizes = tables.map(table => {
    const ours = combined(table, evidence, e => e.signed), shared = new Float64Array(head.n);
    let size = 1e-9;
    for (let item = 0; item < head.n; item++) {
      shared[item] = dot(vector(table, item), ours);
      size = Math.max(size, Math.abs(shared[item]));
    }
    const factor = table.weight * size ** table.power;
    shared.forEach((value, item) => { scores[item] += factor * value; });
    return factor;
  });
  return { scores, largest, sizes };
}

// The items listed, best first; of a series only the best few stand at their full score.
function listed(count) {
  const rated = [...ratings], { passed, seen } = head.mine;
  let scores, why = null;
  if (!rated.length) {
    scores = Float64Array.from(head.likedBy);
  } else {
    const evidence = evidenceOf(rated, []);
    why = { evidence, ...score(evidence) };
    scores = Float64Array.from(why.scores);
    if (passed.length && head.passes) {
      const other = score(evidenceOf(rated, passed)).scores;
      scores.forEach((value, item) => { scores[item] = value + head.passedWeight * (other[item] - value); });
    }
  }
  for (const item of [...ratings.keys(), ...passed, ...seen]) scores[item] = -Infinity;
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  if (why && head.seriesCap) {
    const members = new Map();
    for (const item of order) {
      const series = head.series[item], held = members.get(series) || 0;
      members.set(series, held + 1);
      if (series >= 0 && held >= head.seriesCap) scores[item] -= head.seriesStep;
    }
    order.sort((a, b) => scores[b] - scores[a] || a - b);
  }
  return { items: order.filter(item => scores[item] > -Infinity).slice(0, count), why };
}

// The liked items that add most to an item's score: none, one, or two where the second says at least half as much.
function because(item, why) {
  const parts = [];
  for (const e of why.evidence.filter(e => e.liked)) {
    const row = head.position[e.item], column = head.position[item];
    let part = 0;
    if (e.like && row >= 0 && column >= 0) {
      const at = rows[row].columns.indexOf(column);
      if (at >= 0) part = rows[row].weights[at] * head.damped[column] / why.largest;
    }
    tables.forEach((table, i) => {
      const product = dot(vector(table, item), vector(table, e.item));
      part += product * e.signed * why.sizes[i];
      if (table.name === "content" && e.like && head.fresh[item]) part += product / why.largest;
    });
    if (part > 0) parts.push([part, e.item]);
  }
  parts.sort((a, b) => b[0] - a[0]);
  return parts.slice(0, 2).filter(part => part[0] >= head.second * parts[0][0]).map(part => part[1]);
}

const plain = text => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
function find(query) {
  const words = plain(query).split(" ").filter(Boolean);
  if (!words.length) return [];
  const fits = [];
  keys.forEach((key, item) => { if (words.every(word => key.includes(" " + word))) fits.push(item); });
  const begins = item => +keys[item].startsWith(" " + words.join(" "));
  return fits.sort((a, b) => begins(b) - begins(a) || head.counts[b] - head.counts[a]).slice(0, MATCHES);
}

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}
const named = item => head.films[item][0] + (head.films[item][1] ? ` (${head.films[item][1]})` : "");

// Stars are a slider: arrow keys, a click, or a finger that slides.
function stars(item) {
  const slider = make("input", "stars");
  Object.assign(slider, { type: "range", min: 0, max: 5, step: 0.5, value: ratings.get(item) || 0 });
  const show = () => {
    slider.style.setProperty("--share", `${slider.value * 20}%`);
    slider.setAttribute("aria-valuetext", +slider.value ? `${slider.value} of 5 stars` : "not rated");
  };
  slider.setAttribute("aria-label", `Stars for ${named(item)}`);
  const follow = event => {
    const box = slider.getBoundingClientRect();
    slider.value = Math.min(5, Math.max(0, Math.ceil(10 * (event.clientX - box.left) / box.width) / 2));
    show();
  };
  let was = 0;
  slider.onpointerdown = event => {
    was = ratings.get(item) || 0;
    event.preventDefault();
    slider.focus({ preventScroll: true });
    slider.setPointerCapture(event.pointerId);
    follow(event);
  };
  slider.onpointermove = event => { if (slider.hasPointerCapture(event.pointerId)) follow(event); };
  slider.onpointerup = () => rate(item, +slider.value === was ? 0 : +slider.value);
  slider.oninput = show;
  slider.onchange = () => rate(item, +slider.value);
  show();
  return slider;
}

function rate(item, value) {
  ratings.delete(item);
  if (value) ratings.set(item, value);
  keep();
  $("status").textContent = value ? `${named(item)}: ${value} ★` : `${named(item)}: not rated`;
  clearTimeout(timer);
  timer = setTimeout(() => { draw(value ? `Updated after ${named(item)} (${value} ★)` : `Updated without ${named(item)}`); }, PAUSE);
}

// Where ratings are kept: another file taken home, with other ratings in it, begins with its own.
function storageKey() {
  let sum = 0;
  for (const letter of JSON.stringify([head.n, head.mine])) sum = (sum * 31 + letter.codePointAt(0)) | 0;
  return `recengine ${sum}`;
}
function keep() {
  try { localStorage.setItem(storageKey(), JSON.stringify([...ratings])); } catch { /* the page keeps nothing then */ }
}
function kept() {
  try {
    const known = JSON.parse(localStorage.getItem(storageKey()));
    if (Array.isArray(known)) return known.filter(([item, value]) => head.films[item] && value > 0 && value <= 5);
  } catch { /* as it was taken home */ }
  return head.mine.stars;
}

function row(item) {
  return make("li", "row", make("span", "title", named(item)), stars(item));
}

function card(item, rank, why, isNew) {
  const [title, year, genres] = head.films[item], names = genres.split("|");
  const tile = make("div", "tile", make("span", "rank", rank), make("h3", "title", title), make("p", "meta", [year, ...names.slice(0, 2)].filter(Boolean).join(" · ")));
  let turn = 0;
  for (const letter of title) turn = (turn * 31 + letter.codePointAt(0)) % 40;
  const hue = (kinds.indexOf(names[0]) * 137.5 + turn) % 360;  // the golden angle keeps neighbours apart
  tile.style.setProperty("--hue", hue);
  if (isNew) tile.append(make("span", "new", "New"));
  const reasons = why ? because(item, why) : [], note = make("p", "note");
  if (!why) note.append("Popular with everyone");
  else if (reasons.length) {
    note.append("Because you loved ");
    reasons.forEach((reason, i) => note.append(i ? " and " : "", make("b", "title", head.films[reason][0])));
  }
  return make("li", "card", tile, note, stars(item));
}

function draw(message) {
  const { items, why } = listed(LISTED);
  $("list").replaceChildren(...items.map((item, i) => card(item, i + 1, why, before && !before.includes(item))));
  $("list").dataset.items = items.join(" ");
  before = items;
  $("status").textContent = message || (why ? `From ${ratings.size} ${ratings.size === 1 ? "rating" : "ratings"}` : "Rate something to make this list yours. Until then: what is popular.");
  $("rated-title").textContent = `Your ratings (${ratings.size})`;
  $("rated").replaceChildren(...[...ratings.keys()].reverse().map(row));
  search();
}

function search() {
  const query = $("query").value, matches = find(query);
  $("matches").replaceChildren(...matches.map(row));
  if (query.trim() && !matches.length) $("matches").append(make("li", "note", `No match for “${query}” in this catalogue.`));
}

function save() {
  const cell = text => `"${(/^[=+\-@\t\r]/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"`;
  const lines = [...ratings].map(([item, value]) => `${cell(head.films[item][0])},${head.films[item][1] || ""},${value}`);
  const address = URL.createObjectURL(new Blob(["title,year,rating\r\n" + lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
  Object.assign(make("a"), { href: address, download: "ratings.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

unpack().then(() => {
  ratings = new Map(kept());
  $("query").oninput = search;
  $("save").onclick = save;
  $("reset").onclick = () => { ratings = new Map(head.mine.stars); keep(); draw(); };
  draw();
}).catch(error => { console.error(error); $("status").textContent = "This browser cannot unpack the file. A newer one can."; });
