// What was typed into the wizard, kept in the tab: a session that ends in the middle, or a page that is loaded anew, does
// not cost it. It holds no secret; a sign-out forgets it.

import { onSession, session } from "../../api/session";

export interface Draft {
  readonly name: string;
  readonly provider: string;
  readonly values: Readonly<Record<string, string>>;
}

const KEY = "univrs.resource.";

export function readDraft(template: string): Draft | null {
  const text = sessionStorage.getItem(KEY + template);
  if (text === null) return null;
  try {
    const { name, provider, values } = JSON.parse(text) as Partial<Draft>;
    const isText = (value: unknown): value is string => typeof value === "string";
    if (!isText(name) || !isText(provider) || typeof values !== "object" || values === null || !Object.values(values).every(isText)) return null;
    return { name, provider, values };
  } catch {
    return null;
  }
}

export function keepDraft(template: string, draft: Draft) {
  sessionStorage.setItem(KEY + template, JSON.stringify(draft));
}

export function dropDraft(template: string) {
  sessionStorage.removeItem(KEY + template);
}

onSession(() => {
  // Signing in again changes the token; only a sign-out takes it away.
  if (session().token !== null) return;
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(KEY)) sessionStorage.removeItem(key);
});
