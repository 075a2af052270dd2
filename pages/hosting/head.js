// Parts of a page arrive one by one, and at first with a height that is not theirs. Until the first run of a page has
// ended, the class `loading` hides what stands below its title, so that nothing moves under a visitor's eyes.
const root = document.documentElement;
root.classList.add("loading");
try { // a theme that was chosen by hand: Streamlit keeps its name here, and sets the scheme itself once it runs
  const theme = JSON.parse(localStorage.getItem(`stActiveTheme-${location.pathname}-v2`));
  root.style.colorScheme = { Light: "light", Dark: "dark" }[theme] ?? "";
} catch {} // storage that is closed, or holds something else
const started = performance.now();
let height = 0;
let calm = 0; // rounds in which the page has kept its height: boards and maps draw themselves after the run
const waiting = setInterval(() => {
  const find = (names) => [...document.querySelectorAll(names)];
  const speaks = find('[data-testid="stMain"] :is([data-testid="stProgress"], [data-testid="stAlert"])').length > 0;
  const outlined = find('[data-testid="stSkeleton"]').some((box) => box.getBoundingClientRect().top < innerHeight);
  const ended = find('[data-testid="stApp"][data-test-script-state="notRunning"] .head').length > 0;
  const now = document.querySelector('[data-testid="stMainBlockContainer"]')?.scrollHeight ?? 0;
  calm = ended && !outlined && now === height ? calm + 1 : 0;
  height = now;
  if (calm > 4 || speaks || performance.now() - started > 10000) {
    clearInterval(waiting);
    root.classList.remove("loading");
    root.style.colorScheme = "";
  }
}, 50);

// On a narrow window the menu lies over the page: it closes once a page is chosen.
document.addEventListener("click", (event) => {
  if (innerWidth < 768 && event.target.closest?.('[data-testid="stSidebarNavLink"]'))
    document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
});
