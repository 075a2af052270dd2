// A grid of films that can be rated in half stars: one component for all of them, so that quick clicks are all kept.
// Every act becomes an event with an id made here. All events that Python has not acknowledged are sent each time: none
// is lost when the next click overtakes it, and one that is sent twice is one row in the log.

const STAR = "M12 2.6l2.9 6 6.6.9-4.8 4.6 1.2 6.5L12 17.5l-5.9 3.1 1.2-6.5L2.5 9.5l6.6-.9z";
const boards = new WeakMap();

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function starRow() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 120 24");
  svg.setAttribute("aria-hidden", "true");
  for (let star = 0; star < 5; star++) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", STAR);
    path.setAttribute("transform", `translate(${24 * star} 0)`);
    svg.append(path);
  }
  return svg;
}

function spoken(stars) {
  return stars ? `${stars} star${stars === 1 ? "" : "s"}` : "not rated";
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".board");
  const board = boards.get(parentElement) ?? { pending: [], cards: new Map() };
  boards.set(parentElement, board);
  board.pending = board.pending.filter((event) => !data.acknowledged.includes(event.id));

  function send(event) {
    board.pending.push({ id: newId(), ...event });
    root.dataset.waiting = board.pending.length;
    setStateValue("events", [...board.pending]);
  }

  function build() {
    const card = { stars: 0, shown: 0 };
    card.rank = make("span", { class: "rank" });
    card.moved = make("span", { class: "moved" });
    card.image = make("img", { loading: "lazy", decoding: "async", width: "300", height: "450" });
    card.name = make("p", { class: "name" });
    card.meta = make("p", { class: "meta" });
    card.note = make("p", { class: "note" });
    card.full = make("div", { class: "full" }, starRow());
    card.control = make("div", { class: "stars", role: "slider", tabindex: "0", "aria-valuemin": "0.5", "aria-valuemax": "5" });
    card.control.append(make("div", { class: "empty" }, starRow()), card.full);
    card.done = make("p", { class: "done" });
    card.undo = make("button", { type: "button", class: "undo" }, "Undo");
    card.like = make("button", { type: "button", class: "like" }, "Like");
    card.pass = make("button", { type: "button", class: "pass", title: "Not interested" }, "Not interested");
    card.root = make(
      "article",
      { class: "card" },
      make("div", { class: "poster" }, card.image, card.moved),
      make("div", { class: "line" }, card.rank, card.name),
      card.meta,
      make("div", { class: "act" }, card.control, make("div", { class: "row" }, card.like, card.done, card.undo, card.pass)),
      card.note,
    );

    const at = (event) => {
      const box = card.control.getBoundingClientRect();
      return Math.min(5, Math.max(0.5, Math.ceil((10 * (event.clientX - box.left)) / box.width) / 2));
    };
    const show = (stars) => {
      card.full.style.width = `${20 * stars}%`;
    };
    const rate = (stars) => {
      clearTimeout(card.timer);
      card.timer = 0;
      if (!(stars > 0) || stars === card.stars) return; // a card that has just left has no width
      card.stars = stars;
      paint(card, "…");
      send({ kind: "rate", item: card.item, stars });
    };
    card.control.onpointermove = (event) => event.pointerType === "mouse" && show(at(event));
    card.control.onpointerleave = () => show(card.stars);
    card.control.onclick = (event) => rate(at(event));
    card.control.onkeydown = (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return; // the browser's: back, another tab, zoom
      const step = { ArrowRight: 0.5, ArrowUp: 0.5, ArrowLeft: -0.5, ArrowDown: -0.5 }[event.key];
      let wanted = step && Math.min(5, Math.max(0.5, (card.timer ? card.wanted : card.stars) + step));
      if (/^[1-5]$/.test(event.key)) wanted = Number(event.key);
      if (event.key === "Home") wanted = 0.5;
      if (event.key === "End") wanted = 5;
      if (event.key === "Enter" && card.timer) return rate(card.wanted);
      if (["Delete", "Backspace"].includes(event.key) && card.stars) return card.undo.click();
      if (!wanted) return;
      event.preventDefault();
      card.wanted = wanted; // a key may be one of several on the way: it counts when no other follows
      show(wanted);
      card.control.setAttribute("aria-valuenow", wanted);
      card.control.setAttribute("aria-valuetext", spoken(wanted));
      clearTimeout(card.timer);
      card.timer = setTimeout(() => rate(wanted), 600);
    };
    card.undo.onclick = () => {
      send({ kind: "undo", item: card.item });
      card.stars = 0;
      card.passed = false;
      paint(card, "");
      card.control.focus({ preventScroll: true });
    };
    card.like.onclick = () => rate(5);
    card.pass.onclick = () => {
      send({ kind: "pass", item: card.item });
      card.passed = true;
      paint(card, "Not interested");
    };
    return card;
  }

  function paint(card, done) {
    const settled = card.stars > 0 || card.passed;
    card.full.style.width = `${20 * card.stars}%`;
    card.control.setAttribute("aria-valuenow", card.stars || 0.5);
    card.control.setAttribute("aria-valuetext", spoken(card.stars));
    card.root.classList.toggle("settled", settled && data.fades);
    card.done.textContent = done;
    card.undo.hidden = !settled;
    card.pass.hidden = settled || !data.passing;
    card.like.hidden = settled || data.starred;
    card.control.hidden = !data.starred;
  }

  const wanted = data.cards.map((film) => {
    const card = board.cards.get(film.item) ?? build();
    board.cards.set(film.item, card);
    card.item = film.item;
    const waiting = board.pending.some((event) => event.item === film.item);
    if (!waiting) {
      card.stars = film.stars;
      card.passed = film.passed;
    }
    if (card.poster !== film.poster) card.image.src = card.poster = film.poster;
    card.image.alt = film.is_film ? `Poster of ${film.name}` : film.name;
    card.rank.textContent = film.rank ?? "";
    card.moved.textContent = film.moved;
    card.moved.className = `moved ${film.moved ? "shown" : ""}`;
    card.name.textContent = card.name.title = film.title;
    card.meta.textContent = card.meta.title = film.meta;
    card.note.replaceChildren(film.note[0], " ", make("b", {}, film.note[1]), " ", film.note[2]);
    card.note.hidden = !film.note.join("");
    card.control.setAttribute("aria-label", `Rate ${film.name}`);
    card.like.setAttribute("aria-label", `Like ${film.name}`);
    card.undo.setAttribute("aria-label", `Undo ${film.name}`);
    card.pass.setAttribute("aria-label", `Not interested in ${film.name}`);
    if (!card.timer) paint(card, waiting ? "…" : film.passed ? "Not interested" : film.stars ? (data.starred ? `${film.stars} ★` : "Liked") : "");
    return card.root;
  });
  const same = root.children.length === wanted.length && wanted.every((card, index) => root.children[index] === card);
  if (!same) {
    const focused = parentElement.getRootNode().activeElement;
    root.replaceChildren(...wanted);
    if (focused && wanted.some((card) => card.contains(focused))) focused.focus({ preventScroll: true });
  }
  for (const [item, card] of board.cards) if (!wanted.includes(card.root)) board.cards.delete(item);
  root.dataset.version = data.version; // tests wait for it
  root.dataset.waiting = board.pending.length;
}
