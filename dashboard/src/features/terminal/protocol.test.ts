import { expect, it } from "vitest";

import { END, frame, INPUT, OUTPUT, read, words } from "./protocol";

it("frames carry their kind first", () => {
  expect([...frame(INPUT, "hi")]).toEqual([0, 104, 105]);
  expect(read(frame(OUTPUT, "x").buffer)).toEqual({ kind: "output", bytes: new Uint8Array([120]) });
  expect(read(frame(END, '{"code":3}').buffer)).toEqual({ kind: "end", code: 3 });
  expect(read(frame(END, "nonsense").buffer)).toEqual({ kind: "end", code: null });
  expect(read(frame(9, "x").buffer)).toBeNull();
});

it.each([
  ["sh -c 'echo a b'", ["sh", "-c", "echo a b"]],
  ['say "it\'s" a\\ b ""', ["say", "it's", "a b", ""]],
  ["  ", []],
  ["sh 'open", null],
])("reads %s as words", (line, expected) => expect(words(line)).toEqual(expected));
