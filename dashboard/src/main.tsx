// The entry: puts the page together and starts it.

import "./styles.css";

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { callerQuery } from "./api/caller";
import { ApiProblem } from "./api/problem";
import { router } from "./router";
import { applyTheme } from "./shell/theme";

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
