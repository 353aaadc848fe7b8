import { expect, it } from "vitest";

import type { ClusterEvent } from "../../api/client";
import { subjectOf } from "../overview/subject";
import { merged } from "./merge";

const event = (revision: number, message = "m") => ({ revision, kind: "workload_created", message }) as ClusterEvent;

it("history and live events are one list without doubles", () => {
  expect(merged([event(1), event(2), event(3)], [event(2), event(3), event(3, "other"), event(4)])).toEqual([
    event(1), event(2), event(3), event(3, "other"), event(4),
  ]);
  expect(merged([], [event(1)])).toEqual([event(1)]);
  expect(merged([event(1)], [])).toEqual([event(1)]);
});

it("a subject is a kind and a name", () => {
  expect(subjectOf("workload/web")).toEqual({ kind: "workload", name: "web" });
  expect(subjectOf("workload web")).toEqual({ kind: "workload", name: "web" });
  expect(subjectOf("something else entirely")).toBeNull();
});
