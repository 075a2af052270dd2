// Streamlit keeps the scroll of its main box when the page in it changes. Here a link to another view begins at the
// top, and a step back or forward returns to where that view was left. One set of listeners serves a whole visit.

const LONGEST = 6000; // milliseconds that a view may take to come
const STILL = 20; // frames after which a view that has come is taken to hold still

// What makes an address another view: a film's own page by its films, all others by their viewer.
function viewOf(address) {
  const { pathname, searchParams } = new URL(address, location.href);
  const names = pathname.endsWith("/film") ? ["item", "away"] : ["user"];
  return [pathname, ...names.map((name) => searchParams.get(name) ?? "")].join("\n");
}

function install() {
  const left = new Map(); // view -> where it was left
  let current = viewOf(location.href);
  let turn = 0;
  const box = () => document.querySelector('[data-testid="stMain"]');
  const isRunning = () => document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "running";

  // Keep a view at a position until it has come and holds still there, the visitor scrolls, or time is up.
  function keep(view, top) {
    turn += 1;
    const mine = turn;
    const ends = performance.now() + LONGEST;
    let still = 0;
    const step = () => {
      if (mine !== turn || performance.now() > ends) return;
      const main = box();
      if (main && viewOf(location.href) === view) {
        current = view;
        main.scrollTop = top;
        still = !isRunning() && Math.abs(main.scrollTop - top) < 2 ? still + 1 : 0;
      }
      if (still < STILL) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  document.addEventListener(
    "click",
    (event) => {
      const anchor = event.composedPath().find((node) => node instanceof HTMLAnchorElement && node.href);
      if (!anchor || anchor.target === "_blank" || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const to = new URL(anchor.href);
      current = viewOf(location.href);
      if (to.origin !== location.origin || viewOf(to) === current) return;
      left.set(current, box()?.scrollTop ?? 0);
      keep(viewOf(to), 0);
    },
    true,
  );
  addEventListener("popstate", () => {
    const view = viewOf(location.href);
    if (view === current) return;
    left.set(current, box()?.scrollTop ?? 0);
    keep(view, left.get(view) ?? 0);
  });
  const stop = () => (turn += 1);
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(kind, stop, { passive: true, capture: true });
}

export default function () {
  window.recengineScroll ??= install() ?? true;
}
