// Parts of a page arrive one by one, and at first with a height that is not theirs. Until the first run of a page has
// ended, the class `loading` hides what stands below its title, so that nothing moves under a visitor's eyes.
document.documentElement.classList.add("loading");
const started = performance.now();
const waiting = setInterval(() => {
  const find = (names) => [...document.querySelectorAll(names)];
  const speaks = find('[data-testid="stMain"] :is([data-testid="stProgress"], [data-testid="stAlert"])').length > 0;
  const outlined = find('[data-testid="stSkeleton"]').some((box) => box.getBoundingClientRect().top < innerHeight);
  const ended = find('[data-testid="stApp"][data-test-script-state="notRunning"] .head').length > 0;
  if ((ended && !outlined) || speaks || performance.now() - started > 10000) {
    clearInterval(waiting);
    document.documentElement.classList.remove("loading");
  }
}, 50);

// On a narrow window the menu lies over the page: it closes once a page is chosen.
document.addEventListener("click", (event) => {
  if (innerWidth < 768 && event.target.closest?.('[data-testid="stSidebarNavLink"]'))
    document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
});
