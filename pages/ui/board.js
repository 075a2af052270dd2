// A grid of films that can be rated in half stars: one component for all of them, so that quick clicks are all kept.
// Every act becomes an event with an id made here. All events that Python has not acknowledged are sent each time: none
// is lost when the next click overtakes it, and one that is sent twice is one row in the log.
// Nothing moves under the cursor: a film that was just rated, or that a pointer or the keyboard is on, keeps its
// position for as long as that lasts, and leaves with a fade where the new list has no room for it.

const STAR = "M12 2.6l2.9 6 6.6.9-4.8 4.6 1.2 6.5L12 17.5l-5.9 3.1 1.2-6.5L2.5 9.5l6.6-.9z";
const MARKS = {
  watchlist: { done: "On your watchlist", name: (film) => `Add ${film} to your watchlist`, icon: "M6 3.5h12V21l-6-4.4L6 21z" },
  seen: { done: "Seen", name: (film) => `I have seen ${film}`, icon: "M2 12s3.6-6.5 10-6.5S22 12 22 12s-3.6 6.5-10 6.5S2 12 2 12z M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6z" },
  pass: { done: "Not interested", name: (film) => `Not interested in ${film}`, icon: "M5 5l14 14 M19 5L5 19" },
};
const HOLD = 2500; // milliseconds that a rated film stays
const FADE = 250;
const boards = new Map(); // by name, so that a board that is drawn anew elsewhere on the page goes on

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function drawn(box, ...paths) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", box);
  svg.setAttribute("aria-hidden", "true");
  for (const [d, transform] of paths) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    if (transform) path.setAttribute("transform", transform);
    svg.append(path);
  }
  return svg;
}

const starRow = () => drawn("0 0 120 24", ...[0, 1, 2, 3, 4].map((star) => [STAR, `translate(${24 * star} 0)`]));
const spoken = (stars) => (stars ? `${stars} star${stars === 1 ? "" : "s"}` : "Not rated");
const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function send(board, event) {
  board.pending.push({ id: newId(), ...event });
  board.root.dataset.waiting = board.pending.length;
  board.setState("events", [...board.pending]);
}

function act(board, card, changed, event) {
  clearTimeout(card.timer);
  card.timer = 0;
  Object.assign(card, { stars: 0, mark: "" }, changed);
  card.until = performance.now() + HOLD;
  send(board, { item: card.item, ...event });
  paint(board, card);
  setTimeout(() => arrange(board), HOLD + 20);
}

function build(board) {
  const card = { stars: 0, mark: "", until: 0 };
  card.rank = make("span", { class: "rank" });
  card.moved = make("span", { class: "moved" });
  card.image = make("img", { loading: "lazy", decoding: "async", width: "300", height: "450" });
  card.photo = make("a", { tabindex: "-1", "aria-hidden": "true" }, card.image);
  card.name = make("a", { class: "name", id: newId() });
  card.meta = make("p", { class: "meta" });
  card.note = make("p", { class: "note" });
  card.full = make("div", { class: "full" }, starRow());
  card.value = make("output", { class: "value", "aria-hidden": "true" });
  card.control = make("div", { class: "stars", role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-valuemax": "5" });
  card.control.append(make("div", { class: "empty" }, starRow()), card.full, card.value);
  card.done = make("p", { class: "done" });
  card.undo = make("button", { type: "button", class: "undo" });
  card.like = make("button", { type: "button", class: "like" }, "Like");
  card.marks = Object.entries(MARKS).map(([kind, { icon }]) => {
    const button = make("button", { type: "button", class: `mark ${kind}` }, drawn("0 0 24 24", [icon]));
    button.onclick = () => act(board, card, { mark: kind }, { kind });
    return [kind, button];
  });
  card.tools = make("div", { class: "tools" }, card.like, ...card.marks.map(([, button]) => button), card.done, card.undo);
  card.root = make(
    "li",
    { class: "card", "aria-labelledby": card.name.id },
    make("div", { class: "poster" }, card.photo),
    card.moved,
    make("div", { class: "line" }, card.rank, card.name),
    card.meta,
    make("div", { class: "act" }, card.control, card.tools),
    card.note,
  );
  for (const link of [card.photo, card.name]) {
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // a tab of its own
      event.preventDefault();
      board.trigger("open", card.item); // within this page's session, which a plain link would leave
    };
  }
  card.root.onpointerenter = (event) => event.pointerType === "mouse" && (board.over = card);
  card.root.onpointerleave = () => {
    if (board.over === card) board.over = null;
    arrange(board);
  };
  card.root.addEventListener("focusout", () => setTimeout(() => arrange(board)));
  card.undo.onclick = () => {
    act(board, card, {}, { kind: card.stars ? "clear" : "undo" });
    card.control.focus({ preventScroll: true });
  };
  card.like.onclick = () => act(board, card, { stars: 5 }, { kind: "rate", stars: 5 });
  listen(board, card);
  return card;
}

function listen(board, card) {
  const { control } = card;
  const at = (event) => {
    const box = control.getBoundingClientRect();
    return Math.min(5, Math.max(0.5, Math.ceil((10 * (event.clientX - box.left)) / box.width) / 2));
  };
  const show = (stars) => {
    card.full.style.width = `${20 * stars}%`;
  };
  const rate = (stars) => {
    if (stars > 0 && stars !== card.stars) act(board, card, { stars }, { kind: "rate", stars }); // without width: NaN
  };
  let from = null;
  let slid = 0; // when a finger last left the stars: the click that follows is its own
  control.onpointerdown = (event) => {
    from = event.pointerType === "mouse" ? null : event.clientX;
  };
  control.onpointermove = (event) => {
    if (event.pointerType === "mouse") return show(at(event));
    if (from === null || (card.value.hidden && Math.abs(event.clientX - from) < 6)) return;
    control.setPointerCapture(event.pointerId);
    const stars = at(event);
    show(stars);
    card.value.hidden = false;
    card.value.textContent = `${stars} ★`;
    card.value.style.left = `${20 * stars}%`;
  };
  control.onpointerup = (event) => {
    if (card.value.hidden) return;
    slid = performance.now();
    card.value.hidden = true;
    rate(at(event));
    show(card.stars);
  };
  control.onpointercancel = control.onpointerleave = () => {
    card.value.hidden = true;
    from = null;
    show(card.stars);
  };
  control.onclick = (event) => {
    if (performance.now() - slid < 400) return;
    if (at(event) === card.stars) act(board, card, {}, { kind: "clear" });
    else rate(at(event));
  };
  control.onkeydown = (event) => {
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
    control.setAttribute("aria-valuenow", wanted);
    control.setAttribute("aria-valuetext", spoken(wanted));
    clearTimeout(card.timer);
    card.timer = setTimeout(() => {
      card.timer = 0;
      rate(wanted);
    }, 600);
  };
}

function paint(board, card) {
  const { data } = board;
  const aside = card.mark && card.mark !== "watchlist";
  const settled = card.stars > 0 || aside;
  const waiting = board.pending.some((event) => event.item === card.item);
  card.full.style.width = `${20 * card.stars}%`;
  card.control.setAttribute("aria-valuenow", card.stars);
  card.control.setAttribute("aria-valuetext", spoken(card.stars));
  card.root.classList.toggle("settled", settled && data.fades);
  const rated = data.starred ? `${card.stars} ★` : "Liked";
  card.done.textContent = waiting ? "…" : card.stars ? rated : card.mark ? MARKS[card.mark].done : "";
  card.undo.hidden = !card.stars && !card.mark;
  const verb = card.stars || !data.fades ? "Remove" : "Undo"; // what has stood for long is not undone but removed
  card.undo.textContent = verb;
  card.undo.setAttribute("aria-label", card.stars ? `Remove your rating of ${card.film}` : `${verb} ${card.film}`);
  for (const [kind, button] of card.marks) {
    button.hidden = !card.undo.hidden || !data.passing;
    button.title = MARKS[kind].name("it");
    button.setAttribute("aria-label", MARKS[kind].name(card.film));
  }
  card.like.hidden = settled || data.starred;
  card.control.hidden = !data.starred;
}

function fill(board, film) {
  const card = board.cards.get(film.item) ?? build(board);
  board.cards.set(film.item, card);
  card.item = film.item;
  card.film = film.name;
  if (!board.pending.some((event) => event.item === film.item)) Object.assign(card, { stars: film.stars, mark: film.mark });
  if (card.poster !== film.poster) card.image.src = card.poster = film.poster;
  card.image.alt = film.is_film ? `Poster of ${film.name}` : film.name;
  card.rank.textContent = film.rank ?? "";
  card.moved.textContent = film.moved;
  card.moved.className = `moved ${film.moved ? "shown" : ""}`;
  card.name.textContent = card.name.title = film.title;
  card.name.href = card.photo.href = film.address;
  card.meta.textContent = card.meta.title = film.meta;
  card.note.replaceChildren(film.note[0], " ", make("b", {}, film.note[1]), " ", film.note[2]);
  card.note.hidden = !film.note.join("");
  card.control.setAttribute("aria-label", `Rate ${film.name}`);
  card.like.setAttribute("aria-label", `Like ${film.name}`);
  card.value.hidden = true;
  if (!card.timer) paint(board, card);
  return card;
}

function arrange(board) {
  const { root, wanted } = board;
  const now = performance.now();
  const held = new Map();
  board.shown.forEach((card, index) => {
    const holds = now < card.until || card === board.over || card.root.querySelector(":focus-visible");
    if (holds) held.set(index, card);
    else if (card.until && !wanted.includes(card)) {
      held.set(index, card); // one that was acted on fades first
      card.root.classList.add("leaving");
      card.until = 0;
      setTimeout(() => arrange(board), FADE);
    }
  });
  const rest = wanted.filter((card) => ![...held.values()].includes(card))[Symbol.iterator]();
  const shown = [];
  for (let index = 0; index < Math.max(wanted.length, ...[...held.keys()].map((last) => last + 1)); index++) {
    const card = held.get(index) ?? rest.next().value;
    if (card) shown.push(card);
  }
  for (const card of shown) {
    if (!wanted.includes(card)) {
      card.rank.textContent = card.moved.textContent = "";
      card.moved.className = "moved";
      paint(board, card);
    } else card.root.classList.remove("leaving");
  }
  const same = root.children.length === shown.length && shown.every((card, index) => root.children[index] === card.root);
  if (!same) {
    const focused = root.getRootNode().activeElement;
    root.replaceChildren(...shown.map((card) => card.root));
    if (focused && shown.some((card) => card.root.contains(focused))) focused.focus({ preventScroll: true });
  }
  board.shown = shown;
  for (const [item, card] of board.cards) if (!shown.includes(card) && !wanted.includes(card)) board.cards.delete(item);
}

function strip(board, parent) {
  const { data } = board;
  board.strip ??= make("button", { type: "button", class: "strip away" });
  if (!parent.contains(board.strip)) {
    parent.querySelector(".frame").after(board.strip); // outside: a container of queries would hold it
    new IntersectionObserver(([seen]) => board.strip.classList.toggle("away", seen.isIntersecting)).observe(board.root);
    board.strip.onclick = () => parent.querySelector(".frame").scrollIntoView({ behavior: "smooth" });
  }
  board.strip.replaceChildren(
    make("b", {}, data.strip),
    ...data.cards.slice(0, 3).map((film) => {
      const badge = make("i", {}, film.moved || String(film.rank));
      if (film.moved) badge.className = "changed";
      return make("span", {}, make("img", { src: film.poster, alt: film.name, width: "300", height: "450" }), badge);
    }),
  );
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const board = boards.get(data.board) ?? { pending: [], cards: new Map(), shown: [], over: null };
  boards.set(data.board, board);
  Object.assign(board, { data, root: parentElement.querySelector(".board"), setState: setStateValue, trigger: setTriggerValue });
  board.pending = board.pending.filter((event) => !data.acknowledged.includes(event.id));
  board.wanted = data.cards.map((film) => fill(board, film));
  arrange(board);
  const says = parentElement.querySelector(".says");
  if (says.dataset.text !== data.says.join(" ")) says.replaceChildren(data.says[0], " ", make("b", {}, data.says[1]), " ", data.says[2]);
  says.dataset.text = data.says.join(" ");
  says.hidden = !data.says.join("");
  if (data.strip) strip(board, parentElement);
  board.root.setAttribute("aria-label", data.label);
  board.root.className = `board ${data.layout}`;
  board.root.dataset.version = data.version; // tests wait for it
  board.root.dataset.waiting = board.pending.length;
}
