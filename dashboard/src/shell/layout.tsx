// The frame of all views: menu, head, keys, and what is shown while it is not known who asks.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { callerName, callerQuery } from "../api/caller";
import { asProblem } from "../api/problem";
import { orgsQuery, plansQuery } from "../api/queries";
import { chooseOrg, onSession, session, signOut } from "../api/session";
import { feed } from "../live/feed";
import { Button } from "../ui/button";
import { useNow } from "../ui/clock";
import { Icon } from "../ui/icons";
import { Failed, Loading } from "../ui/states";
import { Help } from "./help";
import { read } from "./keys";
import { LiveBadge, NoPicture } from "./live-badge";
import { MENU } from "./menu";
import { Palette } from "./palette";
import { SignIn } from "./sign-in";
import { applyTheme, type Theme, theme } from "./theme";

export function Layout() {
  const client = useQueryClient();
  const caller = useQuery(callerQuery);
  useEffect(() => onSession(() => void client.resetQueries()), [client]);
  const known = caller.data !== undefined;
  const stranger = caller.error !== null && asProblem(caller.error).status === 401;
  useEffect(() => {
    if (stranger) feed.stop();
    else if (known) feed.start();
  }, [known, stranger]);
  if (caller.isPending) return <Loading what="Asking the server who you are" />;
  const problem = caller.error ? asProblem(caller.error) : null;
  if (problem?.status === 401) return <SignIn known={session().token !== null} detail={problem.detail} />;
  if (problem && !known) return <Failed error={caller.error} retry={() => void caller.refetch()} />;
  return <Frame />;
}

function Frame() {
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const shown = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
  // The menu of a narrow screen is open at one view; going to another closes it.
  const [menuAt, setMenuAt] = useState<string | null>(null);
  const menu = menuAt === path;
  const leader = useRef<number | null>(null);
  const before = useRef<string | undefined>(undefined);

  useEffect(() => {
    function keys(event: KeyboardEvent) {
      const target = event.target as HTMLElement;
      const inField = target.matches("input, textarea, select, [contenteditable], .xterm *") || document.querySelector("dialog[open]") !== null;
      const ctrl = event.ctrlKey || event.metaKey;
      if (event.altKey) return;
      const { command, leader: next } = read({ key: event.key, at: event.timeStamp, ctrl, inField }, leader.current);
      leader.current = next;
      if (!command) return;
      event.preventDefault();
      if (command.kind === "palette") setPalette(true);
      else if (command.kind === "help") setHelp(true);
      else if (command.kind === "go") void navigate({ to: command.to });
      else document.querySelector<HTMLElement>("[data-filter]")?.focus();
    }
    window.addEventListener("keydown", keys);
    return () => window.removeEventListener("keydown", keys);
  }, [navigate]);

  // A new view is announced by its heading, which takes the focus; the first one is announced by the browser.
  useEffect(() => {
    const was = before.current;
    before.current = shown;
    if (was === undefined || was === shown) return;
    // The view may have to be fetched and filled first.
    let looks = 0;
    const timer = window.setInterval(() => {
      const heading = document.getElementById("page-title");
      looks += 1;
      if (!heading && looks < 100) return;
      window.clearInterval(timer);
      if (!document.activeElement?.matches("main input, main textarea, main select")) heading?.focus();
    }, 60);
    return () => window.clearInterval(timer);
  }, [shown]);

  return (
    <div className="grid min-h-screen grid-cols-[minmax(0,1fr)] grid-rows-[3rem_1fr] md:grid-cols-[13rem_minmax(0,1fr)]">
      <a href="#page-title" className="sr-only z-50 rounded bg-fill px-3 py-1 text-white focus:not-sr-only focus:absolute focus:m-2">
        Skip to the view
      </a>
      <header className="sticky top-0 z-30 col-span-full flex items-center gap-3 border-b border-line bg-panel px-3">
        <button type="button" aria-label="Menu" aria-expanded={menu} className="grid size-8 place-items-center rounded hover:bg-raised md:hidden" onClick={() => setMenuAt(menu ? null : path)}>
          <Icon name="menu" />
        </button>
        <Link to="/" className="flex items-center gap-2 rounded px-1 text-[1.05rem] font-semibold tracking-tight">
          <img src="/icon.svg" alt="" width="22" height="22" />
          Univrs
        </Link>
        <OrgChoice />
        <button
          type="button"
          className="ml-auto flex h-8 items-center gap-2 rounded-md border border-line bg-bg px-2.5 text-dim hover:text-text md:w-64"
          onClick={() => setPalette(true)}
        >
          <Icon name="search" />
          <span className="flex-1 text-left max-md:sr-only">
            Find<span className="sr-only"> a view, a workload or a node</span>
          </span>
          <kbd aria-hidden="true" className="font-mono text-[0.82rem] max-md:hidden">
            Ctrl K
          </kbd>
        </button>
        <LiveBadge />
        <ThemeChoice />
      </header>
      <nav
        aria-label="Views"
        className={`${menu ? "max-md:fixed max-md:inset-x-0 max-md:top-12 max-md:bottom-0 max-md:z-20 max-md:overflow-y-auto" : "max-md:hidden"} flex flex-col gap-3 border-r border-line bg-panel p-2.5 md:sticky md:top-12 md:h-[calc(100vh-3rem)] md:overflow-y-auto`}
      >
        {MENU.map((group) => (
          <div key={group.title}>
            <p className="px-2 pb-0.5 text-[0.8rem] font-medium text-dim">{group.title}</p>
            <ul>
              {group.entries.map((entry) => (
                <li key={entry.to}>
                  <Link
                    to={entry.to}
                    activeOptions={{ exact: entry.to === "/", includeSearch: false }}
                    className="flex items-center gap-2.5 rounded-md px-2 py-[5px] hover:bg-raised"
                    activeProps={{ className: "bg-raised font-medium text-accent" }}
                  >
                    <Icon name={entry.icon} />
                    <span className="flex-1">{entry.label}</span>
                    {entry.to === "/plans" ? <Waiting /> : null}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        ))}
        <Who />
      </nav>
      <main className="min-w-0 p-4 lg:px-6">
        <NoPicture />
        <Outlet />
      </main>
      {palette ? <Palette onClose={() => setPalette(false)} /> : null}
      {help ? <Help onClose={() => setHelp(false)} /> : null}
    </div>
  );
}

/** How many plans wait for somebody's approval. */
function Waiting() {
  const { data } = useQuery(plansQuery);
  const now = useNow();
  const count = data?.items.filter((plan) => plan.status === "waiting_for_approval" && Date.parse(plan.expires_at) > now).length ?? 0;
  if (count === 0) return null;
  return (
    <span className="tone-warn rounded-full px-1.5 text-[0.8rem]">
      {count}
      <span className="sr-only"> waiting</span>
    </span>
  );
}

function Who() {
  const { data } = useQuery(callerQuery);
  return (
    <div className="mt-auto grid gap-1 border-t border-line px-2 pt-2.5 text-[0.86rem] text-dim">
      <p className="break-words">You are the {callerName(data?.principal)}.</p>
      {session().token ? (
        <Button small onClick={signOut}>
          Sign out
        </Button>
      ) : null}
      <p>
        Keys: <kbd className="font-mono">?</kbd>
      </p>
    </div>
  );
}

function OrgChoice() {
  const orgs = useQuery(orgsQuery);
  const caller = useQuery(callerQuery);
  const items = orgs.data?.items ?? [];
  if (items.length < 2) return null;
  return (
    <select aria-label="Organisation" className="h-8 rounded-md border border-line bg-panel px-2" value={caller.data?.org} onChange={(event) => chooseOrg(event.target.value)}>
      {items.map((org) => (
        <option key={org.id}>{org.name}</option>
      ))}
    </select>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function ThemeChoice() {
  const [chosen, setChosen] = useState<Theme>(theme);
  return (
    <button
      type="button"
      aria-label={`Colours: ${chosen}. Change to ${NEXT[chosen]}`}
      title={`Colours: ${chosen}`}
      className="grid size-8 place-items-center rounded hover:bg-raised"
      onClick={() => {
        applyTheme(NEXT[chosen]);
        setChosen(NEXT[chosen]);
      }}
    >
      <Icon name="light" className={chosen === "dark" ? "fill-current" : ""} />
    </button>
  );
}
