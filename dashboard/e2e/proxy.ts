// A server between the page and the daemon that answers one path by itself: for logs larger than a test can write.

import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";

export interface Proxy {
  readonly url: string;
  end(): void;
}

export async function proxy(daemon: string, path: string, answer: (response: ServerResponse) => void): Promise<Proxy> {
  const target = new URL(daemon);
  const server = createServer((asked: IncomingMessage, response) => {
    if (asked.url?.startsWith(path)) {
      answer(response);
      return;
    }
    const passed = request(new URL(asked.url ?? "/", target), { method: asked.method, headers: asked.headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    passed.on("error", () => response.destroy());
    asked.pipe(passed);
  });
  server.on("upgrade", (asked, socket, head) => {
    const onward = connect(Number(target.port), target.hostname, () => {
      const headers = asked.rawHeaders.reduce((lines, part, at) => lines + (at % 2 ? `: ${part}\r\n` : part), "");
      onward.write(`GET ${asked.url} HTTP/1.1\r\n${headers}\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  const port = address && typeof address === "object" ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    end: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
