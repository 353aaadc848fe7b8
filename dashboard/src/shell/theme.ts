// Light or dark: the system's choice unless this browser was told otherwise.

export type Theme = "system" | "light" | "dark";

const KEY = "univrs.theme";

export function theme(): Theme {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function applyTheme(chosen: Theme = theme()) {
  if (chosen === "system") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, chosen);
    document.documentElement.dataset.theme = chosen;
  }
  window.dispatchEvent(new Event("univrs:theme"));
}
