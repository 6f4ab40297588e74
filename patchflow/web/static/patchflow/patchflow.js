// Small comforts. Every page works without this file: menus are <details>, verbs are forms, ages are rendered by the server.
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

  // --- colours: light or dark, kept on this machine
  const paintSwitches = () => all("[data-theme-switch]").forEach((button) => {
    button.hidden = false;
    all("[data-when]", button).forEach((word) => { word.hidden = word.dataset.when !== root.dataset.bsTheme; });
  });
  const switchTheme = () => {
    root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    try { localStorage.setItem("patchflow-theme", root.dataset.bsTheme); } catch { /* lasts for this page */ }
    paintSwitches();
  };

  // --- single keys can be switched off (WCAG 2.1.4); modifiers and the keys of the browser are never taken
  let keysOn = true;
  try { keysOn = localStorage.getItem("patchflow-keys") !== "off"; } catch { /* on */ }
  const paintKeys = () => all("[data-keys-switch]").forEach((button) => {
    button.hidden = false;
    all("[data-when]", button).forEach((word) => { word.hidden = word.dataset.when !== (keysOn ? "on" : "off"); });
  });
  const switchKeys = () => {
    keysOn = !keysOn;
    try { localStorage.setItem("patchflow-keys", keysOn ? "on" : "off"); } catch { /* lasts for this page */ }
    paintKeys();
  };

  // --- menus close on Escape and on a click elsewhere
  const menus = () => all("details.menu[open], details.who[open]");
  const closeMenus = (except) => menus().forEach((menu) => { if (!except || !menu.contains(except)) menu.open = false; });

  // --- ages stay fresh: the same words as the server's (patchflow/web/words.py)
  const [DAY, HOUR, MINUTE, SECOND] = (document.body.dataset.units || "d h min s").split(" ");
  const duration = (seconds) => {
    const s = Math.abs(Math.trunc(seconds));
    const days = Math.trunc(s / 86400), hours = Math.trunc(s / 3600) % 24, minutes = Math.trunc(s / 60) % 60;
    const two = (a, A, b, B) => (b ? `${a} ${A} ${b} ${B}` : `${a} ${A}`);
    if (days >= 14) return `${days} ${DAY}`;
    if (days) return two(days, DAY, hours, HOUR);
    if (hours) return two(hours, HOUR, minutes, MINUTE);
    return minutes ? `${minutes} ${MINUTE}` : `${s} ${SECOND}`;
  };
  const skew = Date.now(); // ages move on by the time since loading, so a wrong clock of the viewer does no harm
  const seen = new WeakMap();
  const age = (time) => {
    const served = Date.parse(document.body.dataset.served || "") || skew;
    const distance = (served + (Date.now() - skew) - Date.parse(time.dateTime)) / 1000;
    const words = duration(distance);
    let text = words;
    if (time.classList.contains("ago")) {
      const { ago, in: ahead, now } = document.body.dataset;
      text = Math.abs(distance) < 10 ? now : (distance > 0 ? ago : ahead).replace("{}", words);
    }
    if (seen.get(time) !== text) { time.textContent = text; seen.set(time, text); }
  };
  const refresh = () => all("time.ago, time.age").forEach(age);

  // --- cells of a rollout: one stop for Tab, then the arrows
  const rove = (from = document) => all(".cells", from).forEach((list) => {
    const cells = all("a", list);
    const current = list.querySelector("a[aria-current]") || cells[0];
    cells.forEach((cell) => { cell.tabIndex = cell === current ? 0 : -1; });
  });
  const arrow = (event) => {
    const cell = event.target.closest(".cells a");
    if (!cell) return false;
    const cells = all("a", cell.closest(".cells"));
    const row = Math.max(1, cells.filter((other) => other.offsetTop === cells[0].offsetTop).length);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row };
    const next = event.key === "Home" ? cells[0] : event.key === "End" ? cells.at(-1) : cells[cells.indexOf(cell) + (steps[event.key] ?? NaN)];
    if (!next) return false;
    cell.tabIndex = -1; next.tabIndex = 0; next.focus();
    return true;
  };

  // --- keys: "/" finds; what carries data-key answers to it. A link is followed (J K on the board); a button that acts is
  //     only brought into focus, and Enter acts (A C R D): one stray key never votes
  const keyed = (key) => all("[data-key]").find((element) => element.dataset.key.toLowerCase() === key && element.offsetParent !== null);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { const open = menus()[0]; if (open) { open.open = false; open.querySelector("summary").focus(); } return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (arrow(event)) { event.preventDefault(); return; }
    if (!keysOn) return;
    const field = all("[data-focus-key]").find((element) => element.dataset.focusKey === event.key && element.offsetParent !== null);
    if (field) { event.preventDefault(); field.focus(); field.select?.(); return; }
    const element = keyed(event.key.toLowerCase());
    if (element) { event.preventDefault(); if (element.matches("a")) element.click(); else element.focus(); }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-switch]")) { switchTheme(); return; }
    if (event.target.closest("[data-keys-switch]")) { switchKeys(); return; }
    const copied = event.target.closest("[data-copy]");
    if (copied && navigator.clipboard) {
      navigator.clipboard.writeText(copied.dataset.copy).then(() => {
        copied.dataset.done = document.body.dataset.copied;
        setTimeout(() => { delete copied.dataset.done; }, 1500);
      }, () => { /* no permission: the title still shows it whole */ });
    }
    if (event.target.closest("button[aria-disabled=true]")) event.preventDefault();
    closeMenus(event.target);
  });

  // --- a form that came back wrong says so first
  const errors = document.getElementById("errors");
  if (errors) errors.focus();

  // A page that renews itself waits while it holds what somebody has typed and not sent.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id !== "live") return;
    const typed = document.querySelectorAll("main input:not([type=hidden]), main textarea");
    if ([...typed].some((field) => field.value !== field.defaultValue)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    refresh(); rove(event.target);
    if (event.target.id === "problem") event.target.focus();
  });

  paintSwitches(); paintKeys(); rove(); refresh();
  setInterval(refresh, 10000);
})();
