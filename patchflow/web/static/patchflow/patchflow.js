// Small comforts. Every page works without this file: menus are <details>, verbs are forms, ages are rendered by the server.
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const typing = (target) => target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

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

  // --- pages that renew themselves can be held still (WCAG 2.2.2)
  let renewing = true;
  try { renewing = localStorage.getItem("patchflow-renewing") !== "off"; } catch { /* on */ }
  const paintRenewing = () => all("[data-renewing-switch]").forEach((button) => {
    button.hidden = false;
    all("[data-when]", button).forEach((word) => { word.hidden = word.dataset.when !== (renewing ? "on" : "off"); });
  });
  const switchRenewing = () => {
    renewing = !renewing;
    try { localStorage.setItem("patchflow-renewing", renewing ? "on" : "off"); } catch { /* lasts for this page */ }
    paintRenewing();
  };

  // --- menus close on Escape, on a click elsewhere, and when the focus goes elsewhere while they lie over the page
  const menus = () => all("details.menu[open], details.who[open], details.pick[open]");
  const overlaid = (menu) => getComputedStyle(menu.querySelector("summary").nextElementSibling).position !== "static";
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
    if (event.key === "Escape") {
      const open = menus().find((menu) => menu.contains(event.target)) || menus()[0];
      if (open) { open.open = false; open.querySelector("summary").focus(); }
      return;
    }
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
    if (event.target.closest("[data-renewing-switch]")) { switchRenewing(); return; }
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
  document.addEventListener("focusin", (event) => menus().forEach((menu) => {
    if (overlaid(menu) && !menu.contains(event.target)) menu.open = false;
  }));

  // --- a form is sent once: a second click while its answer is on the way would do the same again
  const AGAIN_AFTER = 10000; // no answer by then: whoever stopped waiting may send again
  const sent = new WeakMap();
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (Date.now() - (sent.get(event.target) ?? -AGAIN_AFTER) < AGAIN_AFTER) { event.preventDefault(); return; }
    sent.set(event.target, Date.now());
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) all("form").forEach((form) => sent.delete(form)); // come back to by the browser's own button
  });

  // --- the place in which one is stands in sight in a long menu
  const rail = document.querySelector(".rail > nav"), here = rail?.querySelector("[aria-current]");
  if (here) rail.scrollTop += Math.max(0, here.getBoundingClientRect().bottom - rail.getBoundingClientRect().bottom);

  // --- a long list of boxes: what is chosen is counted and in sight, and the list can be narrowed by a word. Its order is
  //     the server's: a browser that comes back ticks boxes by their order
  const narrow = (list) => {
    const rows = Array.from(list.children), boxes = all("input[type=checkbox]", list);
    if (rows.length <= 12 || boxes.length !== rows.length) return;
    const { narrow: label, chosen: form, shown } = document.body.dataset;
    const tools = document.createElement("div"), field = document.createElement("input"), count = document.createElement("span");
    tools.className = "narrow";
    Object.assign(field, { type: "search", placeholder: label, ariaLabel: label, autocomplete: "off" });
    count.setAttribute("role", "status");
    const paint = () => {
      const [chosen, inSight] = [boxes.filter((box) => box.checked).length, rows.filter((row) => !row.hidden).length];
      count.textContent = form.replace("{}", chosen).replace("{}", boxes.length);
      if (inSight < boxes.length) count.textContent += ` · ${shown.replace("{}", inSight)}`;
    };
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
      paint();
    });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    list.addEventListener("change", paint);
    window.addEventListener("pageshow", paint);
    tools.append(field, count);
    list.before(tools);
    paint();
    const first = rows.find((row, n) => boxes[n].checked);
    if (first) list.scrollTop = first.offsetTop - list.offsetTop;
  };
  all(".field fieldset > div").forEach(narrow);

  // --- a form that came back wrong says so first
  const errors = document.getElementById("errors");
  if (errors) errors.focus();

  // --- a page that renews itself waits while somebody aims at a cell with the mouse, and says so; no longer than for some
  //     seconds after the last movement, so that a forgotten pointer stops nothing
  const AIMS = 5000;
  let aimed = 0;
  document.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") aimed = event.target.closest(".cells") ? Date.now() : 0;
  }, { passive: true });
  const aiming = () => {
    const waits = Date.now() - aimed < AIMS, live = document.getElementById("live");
    if (live) live.textContent = waits ? document.body.dataset.waits : "";
    return waits;
  };

  // --- it also waits while it holds what somebody has typed and not sent, and keeps the reader's place: the focus, a focused
  //     cell where it was on the screen, what was opened or closed, and how far a text was scrolled
  document.addEventListener("htmx:beforeRequest", (event) => {
    const every = (event.target.getAttribute("hx-trigger") || "").startsWith("every ");
    if (every && !renewing) { event.preventDefault(); return; }
    if (event.target.id !== "live") return;
    const typed = document.querySelectorAll("main input:not([type=hidden]), main textarea");
    if ([...typed].some((field) => field.value !== field.defaultValue) || aiming()) event.preventDefault();
  });
  const like = (element) => [
    element.tagName, element.id, element.getAttribute("href") ?? element.closest("form")?.getAttribute("action") ?? "", element.name ?? "", element.value ?? "",
    element.tagName === "SUMMARY" ? element.parentElement.id || element.textContent.trim() : "",
  ].join(" ");
  const same = (element) => all(element.tagName.toLowerCase()).filter((other) => like(other) === like(element));
  const mark = (element) => ({ like: like(element), tag: element.tagName.toLowerCase(), nth: same(element).indexOf(element) });
  const find = (marked) => all(marked.tag).filter((element) => like(element) === marked.like)[marked.nth];
  const scrolled = () => all("main pre, main .scroll");
  let place = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target, focused = document.activeElement;
    if (event.detail.requestConfig?.elt?.id === "live" && aiming()) { event.detail.shouldSwap = false; return; }
    place = {
      top: focused.closest(".cells") ? focused.getBoundingClientRect().top : null,
      focused: part.contains(focused) && focused !== part ? mark(focused) : null,
      opened: all("details > summary", part).map((summary) => [mark(summary), summary.parentElement.open]),
      scrolled: scrolled().map((box) => [box.scrollLeft, box.scrollTop]),
    };
  });
  const restore = () => {
    const { top, focused, opened, scrolled: before } = place;
    place = null;
    opened.forEach(([summary, open]) => { const found = find(summary); if (found) found.parentElement.open = open; });
    const boxes = scrolled();
    if (boxes.length === before.length) boxes.forEach((box, n) => { [box.scrollLeft, box.scrollTop] = before[n]; });
    const again = focused && document.activeElement === document.body ? find(focused) : null;
    if (!again) return;
    if (again.closest(".cells")) { all("a", again.closest(".cells")).forEach((cell) => { cell.tabIndex = -1; }); again.tabIndex = 0; }
    again.focus({ preventScroll: true });
    if (top !== null) scrollBy({ top: again.getBoundingClientRect().top - top, behavior: "instant" });
  };
  document.addEventListener("htmx:afterSwap", (event) => {
    refresh(); rove(event.target);
    if (place) restore();
    if (event.target.id === "problem") event.target.focus();
  });

  paintSwitches(); paintKeys(); paintRenewing(); rove(); refresh();
  setInterval(refresh, 10000);
})();
