// The entry: puts the page together and starts it.

import "./styles.css";

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { callerQuery } from "./api/caller";
import { isHere } from "./api/here";
import { ApiProblem } from "./api/problem";
import { onSession, session } from "./api/session";
import { feed } from "./live/feed";
import { router } from "./router";
import { applyTheme } from "./shell/theme";
import { commandsFor } from "./ui/cli";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refuses it refuses again; what did not arrive may arrive.
      retry: (count, error) => count < 2 && !(error instanceof ApiProblem && error.body.status < 500 && error.body.status !== 429),
      staleTime: 2000,
      refetchIntervalInBackground: false,
    },
  },
});
const isOver = (error: unknown) => error instanceof ApiProblem && error.body.status === 401;
const askAgainWho = () => void client.resetQueries({ queryKey: callerQuery.queryKey });
client.getQueryCache().config.onError = (error, query) => {
  if (isOver(error) && query.queryKey[0] !== "caller") askAgainWho();
};
client.getMutationCache().config.onError = (error) => {
  if (isOver(error)) askAgainWho();
};

commandsFor(session().org);
onSession(() => commandsFor(session().org));

// What the first view needs is under way before there is anything to draw: its code, who asks, and the picture. Who will
// have to sign in first does not try the socket, for the browser would note its failure.
const matched = router.matchRoutes(router.latestLocation) as readonly { routeId: string }[];
for (const route of Object.values(router.routesById)) if (matched.some(({ routeId }) => routeId === route.id)) router.loadRouteChunk(route)?.catch(() => undefined); // the router tries again, and shows why not
if (session().token !== null || isHere(location.hostname)) feed.start();
client.fetchQuery(callerQuery).catch(() => undefined); // the layout says it

applyTheme();
const place = document.getElementById("root");
if (!place) throw new Error("the page has no place for the dashboard");
createRoot(place).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
