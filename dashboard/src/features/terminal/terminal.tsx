// A command in an instance, with a terminal. The terminal itself is loaded when one is opened.

import "@xterm/xterm/css/xterm.css";

import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Screen } from "@xterm/xterm";
import { useEffect, useMemo, useRef, useState } from "react";

import { useCan } from "../../api/caller";
import type { Workload } from "../../api/client";
import { socketAddress } from "../../api/session";
import { usePicture } from "../../live/use-live";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Command } from "../../ui/copy";
import { CheckField, SelectField, TextField } from "../../ui/field";
import { Panel } from "../../ui/page";
import { instancesOf } from "../workloads/spec";
import { frame, INPUT, read, SIZE, words } from "./protocol";
import { opened } from "./styles";

interface Session {
  readonly number: number;
  readonly command: string[];
  readonly instance: string;
  readonly tty: boolean;
}

export function Terminal({ workload }: { workload: Workload }) {
  const all = usePicture((picture) => picture.instances);
  const running = useMemo(() => instancesOf(all, workload.name).filter((instance) => instance.phase === "running"), [all, workload.name]);
  const [line, setLine] = useState("sh");
  const [instance, setInstance] = useState("");
  const [tty, setTty] = useState(true);
  const [session, setSession] = useState<Session | null>(null);
  const can = useCan();
  const read = words(line);
  const chosen = instance || running[0]?.id || "";
  const blocked = can("workload_exec") ?? (read === null ? "a quote is not closed" : read.length === 0 ? "there is no command" : running.length === 0 ? "no instance is running" : null);
  return (
    <div className="grid gap-4">
      <Panel>
        <form
          className="grid items-end gap-3 md:grid-cols-[2fr_1fr_auto_auto]"
          onSubmit={(event) => {
            event.preventDefault();
            if (read && !blocked) setSession({ number: (session?.number ?? 0) + 1, command: read, instance: chosen, tty });
          }}
        >
          <TextField label="Command" className="font-mono" value={line} onChange={(event) => setLine(event.target.value)} />
          <SelectField label="Instance" value={chosen} onChange={(event) => setInstance(event.target.value)}>
            {running.map((one) => (
              <option key={one.id} value={one.id}>
                {one.id} on {one.node_name}
              </option>
            ))}
          </SelectField>
          <CheckField label="Terminal" checked={tty} onChange={(event) => setTty(event.target.checked)} />
          <Button look="main" type="submit" reason={blocked}>
            {session ? "Run anew" : "Run"}
          </Button>
        </form>
      </Panel>
      {session ? <Window key={session.number} workload={workload.name} session={session} /> : null}
      <Command line={command("exec", tty ? "-it" : "-i", workload.name, chosen ? "--instance" : null, chosen || null, "--", ...(read ?? []))} />
    </div>
  );
}

function Window({ workload, session }: { workload: string; session: Session }) {
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState("connecting");
  useEffect(() => {
    if (!place.current) return;
    const screen = new Screen({ screenReaderMode: true, convertEol: !session.tty, fontSize: 13, cursorBlink: false });
    const fit = new FitAddon();
    screen.loadAddon(fit);
    const release = opened(() => screen.open(place.current as HTMLElement));
    fit.fit();
    const query = new URLSearchParams(session.command.map((word) => ["command", word]));
    query.set("tty", String(session.tty));
    query.set("instance", session.instance);
    const { url, protocols } = socketAddress(`/api/workloads/${encodeURIComponent(workload)}/exec`, query);
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    let ended = false;
    socket.onopen = () => {
      setState("running");
      if (session.tty) socket.send(frame(SIZE, JSON.stringify({ cols: screen.cols, rows: screen.rows })));
      screen.focus();
    };
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      const told = read(data);
      if (told?.kind === "output") screen.write(told.bytes);
      else if (told?.kind === "end") {
        ended = true;
        setState(told.code === null ? "ended" : `ended with exit code ${told.code}`);
      }
    };
    socket.onclose = () => {
      if (!ended) setState("the connection ended; the server's reason is in the tab Events or its log");
    };
    const typed = screen.onData((text) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame(INPUT, session.tty ? text : text.replaceAll("\r", "\n")));
    });
    const sized = screen.onResize(({ cols, rows }) => {
      if (session.tty && socket.readyState === WebSocket.OPEN) socket.send(frame(SIZE, JSON.stringify({ cols, rows })));
    });
    const watch = new ResizeObserver(() => fit.fit());
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      typed.dispose();
      sized.dispose();
      ended = true;
      socket.close();
      screen.dispose();
      release();
    };
  }, [workload, session]);
  return (
    <section aria-label={`Terminal: ${session.command.join(" ")}`} className="grid gap-2">
      <p role="status" className="text-dim">
        {session.command.join(" ")} in {session.instance}: {state}
      </p>
      <div ref={place} className="h-96 overflow-hidden rounded-lg border border-line bg-black p-2" />
    </section>
  );
}
