// A map of films: points in a pixel buffer, and labels, rings and the visitor on a second canvas above it. Filling
// pixels is the same work with and without a graphics card: 60,000 points take a few milliseconds.
// What changes often (colours, ratings, the film looked for) comes as a component of its own, the overlay, so that the
// points, a megabyte or two, are sent once.

const bridge = (globalThis.recengineMap ??= {});
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const HALF = 0xfefefefe;
const SPREAD = 12, FINGER = 26; // pixels around a point that belong to it
const FAR = 0.6, NEAR = 400; // how far out and in the map zooms, against the whole of it

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function read(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const floats = new Float32Array(bytes.slice(start).buffer);
  const n = head.ids.length;
  return { ...head, n, x: floats.subarray(0, n), y: floats.subarray(n), index: new Map(head.ids.map((id, i) => [id, i])) };
}

// Offsets of the pixels of a disc in a buffer of this width: those well inside, and those on its edge.
const discs = new Map();
function disc(radius, width) {
  const key = `${Math.round(radius * 4)} ${width}`;
  if (!discs.has(key)) {
    if (discs.size > 200) discs.clear();
    const solid = [], edge = [], reach = Math.ceil(radius + 0.5);
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const inside = radius + 0.5 - Math.hypot(dx, dy);
        if (inside >= 0.75) solid.push(dy * width + dx);
        else if (inside >= 0.25) edge.push(dy * width + dx);
      }
    }
    discs.set(key, { solid, edge, reach });
  }
  return discs.get(key);
}

class Chart {
  constructor(root) {
    this.root = root;
    this.points = null;
    this.overlay = null;
    this.hidden = new Set();
    this.pictures = new Map();
    this.hovered = -1;
    this.pointers = new Map();
    this.base = make("canvas", { "aria-hidden": "true" });
    this.top = make("canvas", { "aria-hidden": "true" });
    this.card = make("a", { class: "card", hidden: "", tabindex: "-1" });
    this.plane = make("div", { class: "plane", role: "application", tabindex: "0" }, this.base, this.top, this.card);
    this.legend = make("div", { class: "legend", role: "group" });
    const press = (label, text, act) => {
      const button = make("button", { type: "button", "aria-label": label, title: label }, text);
      button.onclick = act;
      return button;
    };
    const keys = make(
      "div",
      { class: "keys" },
      press("Zoom in", "+", () => this.zoom(1.6)),
      press("Zoom out", "−", () => this.zoom(1 / 1.6)),
      press("Show the whole map", "⤢", () => this.fly(this.whole())),
    );
    root.replaceChildren(make("div", { class: "frame" }, this.plane, keys), this.legend);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.plane);
    document.fonts.addEventListener("loadingdone", () => {
      this.pictures.clear();
      this.paint();
    });
    const app = document.querySelector(".stApp");
    if (app) new MutationObserver(() => this.paint()).observe(app, { attributes: true }); // the theme may have changed
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  // --- what is shown

  setPoints(points) {
    if (this.points?.version === points.version) return;
    const before = this.points;
    this.points = points;
    this.hovered = -1;
    if (before && this.view && !CALM.matches) { // points glide to where the other map has them
      const fromX = points.x.slice(), fromY = points.y.slice();
      points.ids.forEach((id, i) => {
        const j = before.index.get(id);
        if (j !== undefined) [fromX[i], fromY[i]] = [before.x[j], before.y[j]];
      });
      this.glide = { fromX, fromY, start: performance.now() };
    }
    this.resize();
    if (before && this.view) this.fly(this.whole());
  }

  setOverlay(overlay) {
    const before = this.overlay;
    this.overlay = overlay;
    this.codes = Uint8Array.from(atob(overlay.codes), (letter) => letter.charCodeAt(0));
    if (before?.colouring !== overlay.colouring) this.hidden.clear();
    const last = before?.trail.at(-1), now = overlay.trail.at(-1);
    this.step = last && now && String(last) !== String(now) && !CALM.matches ? { from: last, start: performance.now() } : null;
    this.plane.setAttribute("aria-label", overlay.label);
    this.drawLegend();
    this.recolour();
    if (overlay.focus !== before?.focus) this.goTo(overlay.focus);
    this.paint();
  }

  get ready() {
    return this.points && this.overlay?.version === this.points.version && this.view;
  }

  whole() {
    const [left, bottom, right, top] = this.points.bounds, pad = Math.min(56, this.width / 12);
    const scale = Math.min((this.width - 2 * pad) / (right - left || 1), (this.height - 2 * pad) / (top - bottom || 1));
    return { x: (left + right) / 2, y: (bottom + top) / 2, scale };
  }

  resize() {
    const box = this.plane.getBoundingClientRect();
    if (!this.points || !box.width || !box.height) return;
    const was = this.view && this.fit ? this.view.scale / this.fit : 0;
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    [this.width, this.height] = [Math.round(box.width), Math.round(box.height)];
    for (const canvas of [this.base, this.top]) {
      [canvas.width, canvas.height] = [this.width * this.ratio, this.height * this.ratio];
    }
    this.image = this.base.getContext("2d").createImageData(this.base.width, this.base.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.fit = this.whole().scale;
    this.view = was ? { ...this.view, scale: was * this.fit } : this.whole();
    this.recolour();
    if (this.waiting) this.goTo(this.waiting);
    this.paint();
  }

  recolour() {
    if (!this.root.isConnected) return; // the visitor has left the page: there is no style to read
    const style = getComputedStyle(this.plane);
    this.scheme = getComputedStyle(this.root).colorScheme;
    const dark = this.scheme.includes("dark");
    const abgr = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    this.ground = abgr(...style.backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number));
    this.ink = Object.fromEntries(["ink", "soft", "accent", "surface"].map((name) => {
      const probe = make("i", { style: `color: var(--${name})` });
      this.plane.append(probe);
      const colour = getComputedStyle(probe).color;
      probe.remove();
      return [name, colour];
    }));
    this.font = style.fontFamily;
    this.display = getComputedStyle(this.root).getPropertyValue("--display") || this.font;
    this.pictures.clear();
    const hex = (text) => abgr(...[1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
    this.colours = (this.overlay?.colours ?? []).map((pair) => hex(pair[dark ? 1 : 0]));
    this.css = (this.overlay?.colours ?? []).map((pair) => pair[dark ? 1 : 0]);
    for (const [code, swatch] of [...this.legend.querySelectorAll("i")].entries()) swatch.style.background = this.css[code];
  }

  drawLegend() {
    this.legend.setAttribute("aria-label", this.overlay.colouring);
    this.legend.replaceChildren(...this.overlay.legend.map((text, code) => {
      const button = make("button", { type: "button", "aria-pressed": String(!this.hidden.has(code)) }, make("i"), text);
      button.onclick = () => {
        this.hidden.has(code) ? this.hidden.delete(code) : this.hidden.add(code);
        button.setAttribute("aria-pressed", String(!this.hidden.has(code)));
        this.paint();
      };
      return button;
    }));
  }

  // --- moving

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const { x, y, scale } = this.view;
    const to = Math.min(this.fit * NEAR, Math.max(this.fit * FAR, scale * factor));
    const [dx, dy] = [at[0] - this.width / 2, this.height / 2 - at[1]];
    this.view = { x: x + dx / scale - dx / to, y: y + dy / scale - dy / to, scale: to };
    this.flight = null;
    this.paint();
  }

  pan(dx, dy) {
    this.view = { ...this.view, x: this.view.x - dx / this.view.scale, y: this.view.y + dy / this.view.scale };
    this.flight = null;
    this.paint();
  }

  fly(to) {
    if (CALM.matches) [this.view, this.flight] = [to, null];
    else this.flight = { from: this.view, to, start: performance.now() };
    this.paint();
  }

  goTo(id) {
    this.waiting = this.view ? null : id;
    const i = this.points?.index.get(id);
    if (i === undefined || !this.view) return;
    this.fly({ x: this.points.x[i], y: this.points.y[i], scale: Math.max(this.view.scale, this.fit * 3.5) });
  }

  listen() {
    const position = (event) => {
      const box = this.plane.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.plane.onpointerdown = (event) => {
      if (event.target.closest(".card") || event.button > 1 || !this.view) return;
      this.plane.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, position(event));
      this.moved = this.pointers.size > 1 ? 99 : 0;
    };
    this.plane.onpointermove = (event) => {
      const now = position(event), before = this.pointers.get(event.pointerId);
      if (!before) {
        if (event.pointerType === "mouse") this.hover(this.at(now, SPREAD));
        return;
      }
      this.pointers.set(event.pointerId, now);
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
      if (others.length) { // two fingers
        const [other] = others[0].slice(1);
        const spread = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
        this.zoom(spread(now) / spread(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
        this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
        return;
      }
      this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (this.moved > 4) {
        this.hover(-1);
        this.plane.classList.add("dragged");
      }
      this.pan(now[0] - before[0], now[1] - before[1]);
    };
    this.plane.onpointerup = this.plane.onpointercancel = (event) => {
      const known = this.pointers.delete(event.pointerId);
      this.plane.classList.remove("dragged");
      if (!known || event.type === "pointercancel" || this.moved > 4) return;
      const touch = event.pointerType !== "mouse", i = this.at(position(event), touch ? FINGER : SPREAD);
      if (touch) this.hover(i, true);
      else if (i >= 0) this.open(i, event);
    };
    this.plane.onpointerleave = (event) => event.pointerType === "mouse" && this.hover(-1);
    this.plane.addEventListener("wheel", (event) => {
      if (!this.view) return;
      event.preventDefault();
      this.hover(-1);
      this.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : event.deltaMode ? 12 : 400)), position(event));
    }, { passive: false });
    this.plane.onkeydown = (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !this.view) return;
      const by = 60, act = {
        ArrowLeft: () => this.pan(by, 0), ArrowRight: () => this.pan(-by, 0),
        ArrowUp: () => this.pan(0, by), ArrowDown: () => this.pan(0, -by),
        "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.fly(this.whole()),
        Enter: () => this.hovered >= 0 && this.open(this.hovered, event), Escape: () => this.hover(-1),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
      if (event.key !== "Escape" && event.key !== "Enter") this.hover(this.at([this.width / 2, this.height / 2], 60), true);
    };
    this.card.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab
      event.preventDefault();
      this.open(this.hovered, event);
    };
  }

  at([x, y], reach) { // the nearest point that is shown within reach, -1 for none
    if (!this.ready) return -1;
    const { points, codes, hidden, view } = this;
    const mapX = view.x + (x - this.width / 2) / view.scale, mapY = view.y - (y - this.height / 2) / view.scale;
    let best = (reach / view.scale) ** 2, which = -1;
    for (let i = 0; i < points.n; i++) {
      const dx = points.x[i] - mapX, dy = points.y[i] - mapY, distance = dx * dx + dy * dy;
      if (distance < best && !hidden.has(codes[i])) [best, which] = [distance, i];
    }
    return which;
  }

  address(i) {
    const query = new URLSearchParams(location.search);
    for (const name of ["near", "colour", "projection"]) query.delete(name);
    query.set("item", this.points.ids[i]);
    return `film?${query}`;
  }

  open(i, event) {
    if (event.ctrlKey || event.metaKey || event.button === 1) window.open(this.address(i), "_blank", "noopener");
    else bridge.open?.(this.points.ids[i]);
  }

  hover(i, pinned = false) {
    this.plane.style.cursor = i >= 0 ? "pointer" : "";
    if (i === this.hovered) return;
    this.hovered = i;
    this.card.hidden = i < 0;
    this.card.classList.toggle("pinned", pinned);
    if (i >= 0) {
      const { titles, years, genres, ids, posters } = this.points;
      const name = years[i] ? `${titles[i]} (${years[i]})` : titles[i];
      const query = new URLSearchParams(posters ? { t: titles[i], y: years[i] || "", g: genres[i] } : { t: titles[i], tile: "yes" });
      if (this.points.numbers?.[i]) query.set("m", this.points.numbers[i]);
      const text = make("span", {}, make("b", {}, name), genres[i].split("|").join(", "));
      const value = this.overlay.values[ids[i]] ?? this.overlay.legend[this.codes[i]];
      if (value) text.append(make("em", {}, value));
      this.card.href = this.address(i);
      this.card.replaceChildren(make("img", { src: `poster/v1.svg?${query}`, alt: "", width: "64", height: "96" }), text);
    }
    this.paint();
  }

  // --- drawing

  paint() {
    this.dirty ??= requestAnimationFrame((now) => {
      this.dirty = null;
      this.draw(now);
    });
  }

  draw(now) {
    if (!this.ready || !this.pixels || !this.root.isConnected) return;
    if (getComputedStyle(this.root).colorScheme !== this.scheme) this.recolour();
    const ease = (since, length) => {
      const t = Math.min(1, Math.max(0, (now - since) / length));
      return t * t * (3 - 2 * t);
    };
    if (this.flight) {
      const { from, to, start } = this.flight, t = ease(start, 700), between = (a, b) => a + (b - a) * t;
      this.view = { x: between(from.x, to.x), y: between(from.y, to.y), scale: from.scale * (to.scale / from.scale) ** t };
      if (t === 1) this.flight = null;
    }
    let { x, y } = this.points;
    if (this.glide) {
      const { fromX, fromY, start } = this.glide, t = ease(start, 900);
      if (t === 1) this.glide = null;
      else {
        [x, y] = [x.slice(), y.slice()];
        for (let i = 0; i < x.length; i++) {
          x[i] = fromX[i] + (x[i] - fromX[i]) * t;
          y[i] = fromY[i] + (y[i] - fromY[i]) * t;
        }
      }
    }
    let me = this.overlay.trail.at(-1);
    if (this.step && me) {
      const t = ease(this.step.start, 800), { from } = this.step;
      me = [from[0] + (me[0] - from[0]) * t, from[1] + (me[1] - from[1]) * t];
      if (t === 1) this.step = null;
    }
    this.drawPoints(x, y);
    this.drawTop(x, y, me);
    if (this.flight || this.glide || this.step) this.paint();
    if (!this.root.dataset.painted) {
      performance.mark("map painted");
      this.root.dataset.painted = "yes"; // tests wait for it
    }
  }

  radius() {
    const room = Math.sqrt((this.width * this.height * 0.03) / this.points.n);
    return Math.min(7, Math.min(4, Math.max(1, room)) * (this.view.scale / this.fit) ** 0.4) * this.ratio;
  }

  drawPoints(x, y) {
    const { pixels, colours, codes, ratio, view } = this, { width, height } = this.base, n = this.points.n;
    const scale = view.scale * ratio, left = width / 2 - view.x * scale, top = height / 2 + view.y * scale;
    const shown = colours.map((_, code) => !this.hidden.has(code));
    pixels.fill(this.ground);
    const ends = [n, Math.round(n * 0.2), Math.round(n * 0.03), 0]; // the best known are larger, and above the others
    for (let part = 0; part < 3; part++) {
      const { solid, edge, reach } = disc(this.radius() * [1, 1.25, 1.6][part], width);
      const inner = solid.length, outer = edge.length;
      for (let i = ends[part] - 1; i >= ends[part + 1]; i--) {
        const px = Math.round(x[i] * scale + left), py = Math.round(top - y[i] * scale);
        if (px < reach || py < reach || px >= width - reach || py >= height - reach || !shown[codes[i]]) continue;
        const colour = colours[codes[i]], at = py * width + px, half = (colour & HALF) >>> 1;
        for (let k = 0; k < inner; k++) pixels[at + solid[k]] = colour;
        for (let k = 0; k < outer; k++) pixels[at + edge[k]] = ((pixels[at + edge[k]] & HALF) >>> 1) + half;
      }
    }
    this.base.getContext("2d").putImageData(this.image, 0, 0);
  }

  drawTop(x, y, me) {
    const { ink, view, overlay, points } = this, pen = this.top.getContext("2d");
    const screen = (a, b) => [(a - view.x) * view.scale + this.width / 2, this.height / 2 - (b - view.y) * view.scale];
    const radius = this.radius() / this.ratio;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    const ring = (i, size, colour, width) => {
      const [a, b] = screen(x[i], y[i]);
      pen.beginPath();
      pen.arc(a, b, size, 0, 7);
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
    };
    for (const [id, liked] of overlay.rings) {
      const i = points.index.get(id);
      if (i !== undefined) ring(i, radius * 1.5 + 3, liked ? ink.accent : ink.soft, 2);
    }
    const focus = points.index.get(overlay.focus);
    if (focus !== undefined) {
      ring(focus, radius + 8, ink.surface, 5);
      ring(focus, radius + 8, ink.ink, 2.5);
    }
    if (this.hovered >= 0) ring(this.hovered, radius * 1.5 + 4, ink.ink, 2.5);
    const taken = [];
    if (me) this.drawMe(pen, overlay.trail.map((point) => screen(...point)), screen(...me), taken);
    this.drawLabels(pen, x, y, screen, radius, focus, taken);
    if (this.hovered >= 0) this.placeCard(...screen(x[this.hovered], y[this.hovered]));
  }

  drawMe(pen, trail, [a, b], taken) {
    const { ink } = this;
    pen.lineWidth = 2;
    pen.strokeStyle = ink.accent;
    pen.setLineDash([3, 4]);
    pen.beginPath();
    for (const [c, d] of [...trail.slice(0, -1), [a, b]]) pen.lineTo(c, d);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = ink.accent;
    for (const [c, d] of trail.slice(0, -1)) {
      pen.beginPath();
      pen.arc(c, d, 3, 0, 7);
      pen.fill();
    }
    pen.beginPath();
    pen.arc(a, b, 9, 0, 7);
    pen.fill();
    pen.lineWidth = 3;
    pen.strokeStyle = ink.surface;
    pen.stroke();
    taken.push([a - 14, b - 14, a + 14, b + 14]);
    this.write(pen, taken, "You", a, b - 22, `700 15px ${this.font}`, ink.accent, true);
  }

  // Write a text round a point, if nothing is there yet.
  write(pen, taken, text, x, y, font, colour, always = false) {
    const picture = this.picture(text, font, colour), half = picture.wide / 2;
    const box = [x - half, y - 10, x + half, y + 10];
    if (box[0] < 0 || box[2] > this.width || box[1] < 0 || box[3] > this.height) return false;
    const meets = (other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3];
    if (!always && taken.some(meets)) return false;
    taken.push(box);
    pen.drawImage(picture, Math.round((x - half) * this.ratio) / this.ratio, Math.round((y - 14) * this.ratio) / this.ratio, picture.wide, 28);
    return true;
  }

  // A text with a rim in the colour of the ground: drawn once, since letters cost more than all the points.
  picture(text, font, colour) {
    const key = `${font} ${colour} ${text}`;
    if (!this.pictures.has(key)) {
      if (this.pictures.size > 600) this.pictures.clear();
      const canvas = make("canvas"), pen = canvas.getContext("2d");
      pen.font = font;
      canvas.wide = Math.ceil(pen.measureText(text).width) + 8;
      [canvas.width, canvas.height] = [canvas.wide * this.ratio, 28 * this.ratio];
      pen.scale(this.ratio, this.ratio);
      Object.assign(pen, { font, textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 4 });
      pen.strokeStyle = this.ink.surface;
      pen.strokeText(text, canvas.wide / 2, 14);
      pen.fillStyle = colour;
      pen.fillText(text, canvas.wide / 2, 14);
      this.pictures.set(key, canvas);
    }
    return this.pictures.get(key);
  }

  drawLabels(pen, x, y, screen, radius, focus, taken) {
    const { points, ink, codes, hidden } = this;
    const label = (i, font, colour) => {
      const [a, b] = screen(x[i], y[i]), text = points.titles[i].length > 34 ? `${points.titles[i].slice(0, 32)}…` : points.titles[i];
      if (a < 0 || b < 0 || a > this.width || b > this.height) return false;
      return this.write(pen, taken, text, a, b - radius * 1.6 - 11, font, colour) || this.write(pen, taken, text, a, b + radius * 1.6 + 12, font, colour);
    };
    if (focus !== undefined) label(focus, `600 14px ${this.font}`, ink.ink);
    if (!this.glide) {
      for (const { name, x: a, y: b } of points.islands) {
        this.write(pen, taken, name, ...screen(a, b), `700 ${this.width < 600 ? 17 : 20}px ${this.display}`, ink.ink);
      }
    }
    const most = Math.round((this.width * this.height) / 26_000);
    let written = 0;
    for (let i = 0, tried = 0; i < points.n && written < most && tried < 300; i++) {
      if (hidden.has(codes[i]) || i === focus) continue;
      const [a, b] = screen(x[i], y[i]);
      if (a < 0 || b < 0 || a > this.width || b > this.height) continue;
      tried++;
      if (label(i, `500 12px ${this.font}`, ink.soft)) written++;
    }
  }

  placeCard(a, b) {
    const box = this.card.getBoundingClientRect(), left = a + 18 + box.width > this.width ? a - 18 - box.width : a + 18;
    this.card.style.left = `${Math.max(8, Math.min(this.width - box.width - 8, left))}px`;
    this.card.style.top = `${Math.max(8, Math.min(this.height - box.height - 8, b - box.height / 2))}px`;
  }
}

const charts = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".map");
  if (!charts.has(root)) charts.set(root, new Chart(root));
  const chart = charts.get(root);
  bridge.open = (id) => setTriggerValue("opened", id);
  bridge.show = (overlay) => chart.setOverlay(overlay);
  chart.setPoints(read(data));
  if (bridge.overlay) chart.setOverlay(bridge.overlay);
}
