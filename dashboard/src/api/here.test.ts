import { expect, it } from "vitest";

import { isHere } from "./here";

it("only loopback is this machine", () => {
  for (const host of ["localhost", "cluster.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]) expect(isHere(host)).toBe(true);
  for (const host of ["example.com", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "[::2]", ""]) expect(isHere(host)).toBe(false);
});
