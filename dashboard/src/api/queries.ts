// What views ask of the server beside the socket, each under one key, so that views share answers.

import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";

import { api, taken } from "./client";

/** How long an answer that the socket does not renew is taken as current. */
const FRESH = 4000;

export const clusterQuery = queryOptions({
  queryKey: ["cluster"],
  queryFn: () => taken(api.GET("/api/cluster")),
  refetchInterval: FRESH,
});

export const problemsQuery = queryOptions({
  queryKey: ["problems"],
  queryFn: () => taken(api.GET("/api/problems")),
  refetchInterval: FRESH,
  placeholderData: keepPreviousData,
});

export const plansQuery = queryOptions({
  queryKey: ["plans"],
  queryFn: () => taken(api.GET("/api/plans", { params: { query: { limit: 1000 } } })),
  refetchInterval: FRESH,
});

export const auditQuery = infiniteQueryOptions({
  queryKey: ["audit"],
  queryFn: ({ pageParam }) => taken(api.GET("/api/audit", { params: { query: { limit: 1000, cursor: pageParam } } })),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.next_cursor ?? undefined,
});

export const eventsQuery = queryOptions({
  queryKey: ["events"],
  queryFn: async () => {
    // The history is oldest first; the last pages are wanted, and it is bounded by the server.
    const items = [];
    let cursor: string | undefined;
    do {
      const page = await taken(api.GET("/api/events", { params: { query: { limit: 1000, cursor } } }));
      items.push(...page.items);
      cursor = page.next_cursor ?? undefined;
    } while (cursor && items.length < 20_000);
    return items;
  },
  staleTime: 30_000,
});

export const secretsQuery = queryOptions({
  queryKey: ["secrets"],
  queryFn: () => taken(api.GET("/api/secrets", { params: { query: { limit: 1000 } } })),
});

export const tokensQuery = queryOptions({
  queryKey: ["tokens"],
  queryFn: () => taken(api.GET("/api/tokens", { params: { query: { limit: 1000 } } })),
});

export const orgsQuery = queryOptions({
  queryKey: ["orgs"],
  queryFn: () => taken(api.GET("/api/orgs", { params: { query: { limit: 1000 } } })),
  staleTime: 60_000,
});

export const imagesQuery = queryOptions({
  queryKey: ["images"],
  queryFn: () => taken(api.GET("/api/images", { params: { query: { limit: 1000 } } })),
});

/** The version is part of the key, so that a new one is asked for at once. */
export const workloadHistoryQuery = (workload: string, version: number) =>
  queryOptions({
    queryKey: ["history", workload, version],
    queryFn: () => taken(api.GET("/api/workloads/{workload}/history", { params: { path: { workload } } })),
  });

export const explainQuery = (workload: string) =>
  queryOptions({
    queryKey: ["explain", workload],
    queryFn: () => taken(api.GET("/api/workloads/{workload}/explain", { params: { path: { workload } } })),
    refetchInterval: FRESH,
    placeholderData: keepPreviousData,
  });

export const templatesQuery = queryOptions({
  queryKey: ["templates"],
  queryFn: () => taken(api.GET("/api/templates", { params: { query: { limit: 1000 } } })),
  staleTime: 300_000,
});

export const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: () => taken(api.GET("/api/providers")),
  refetchInterval: FRESH,
});

export const quotaQuery = (org: string | undefined) =>
  queryOptions({
    queryKey: ["quota", org],
    queryFn: () => taken(api.GET("/api/orgs/{org}/quota", { params: { path: { org: org ?? "" } } })),
    enabled: org !== undefined,
  });

/** What a resource wrote last, asked for again while it is looked at. */
export const resourceLinesQuery = (resource: string, tail: number) =>
  queryOptions({
    queryKey: ["resource-lines", resource, tail],
    queryFn: () => taken(api.GET("/api/resources/{resource}/logs", { params: { path: { resource }, query: { tail } } })),
    refetchInterval: FRESH,
    placeholderData: keepPreviousData,
  });
