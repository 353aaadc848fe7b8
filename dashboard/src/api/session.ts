// The token of this tab and the organisation that is looked at. The token lives in the tab's session storage only, so
// no other site can make the browser send it.

const TOKEN = "univrs.token";
const ORG = "univrs.org";

export interface Session {
  readonly token: string | null;
  readonly org: string | null;
}

type Listener = () => void;
const listeners = new Set<Listener>();
let current: Session = { token: sessionStorage.getItem(TOKEN), org: sessionStorage.getItem(ORG) };

export function session(): Session {
  return current;
}

export function onSession(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function change(next: Session) {
  current = next;
  store(TOKEN, next.token);
  store(ORG, next.org);
  for (const listener of listeners) listener();
}

function store(key: string, value: string | null) {
  if (value === null) sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, value);
}

export function signIn(token: string) {
  change({ ...current, token });
}

export function signOut() {
  change({ token: null, org: null });
}

export function chooseOrg(org: string | null) {
  change({ ...current, org });
}

/** Headers that say who asks and for whom. */
export function credentials({ token, org }: Session = current): Record<string, string> {
  const headers: Record<string, string> = {};
  if (token) headers["Authorization"] = `Bearer ${token}`;
  if (org) headers["X-Univrs-Org"] = org;
  return headers;
}

/** Address and protocols of a WebSocket of this server. A browser sends no headers with it. */
export function socketAddress(path: string, query: URLSearchParams, { token, org }: Session = current) {
  const parameters = new URLSearchParams(query);
  if (org) parameters.set("org", org);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const text = parameters.toString();
  const url = `${scheme}//${location.host}${path}${text ? `?${text}` : ""}`;
  return { url, protocols: token ? [`univrs.bearer.${token}`] : [] };
}
