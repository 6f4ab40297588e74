// Before the first paint: the colours the viewer chose, else those of the system. Loaded without defer, so nothing flashes.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("patchflow-theme"); } catch { /* storage is switched off: the system decides */ }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
})();
