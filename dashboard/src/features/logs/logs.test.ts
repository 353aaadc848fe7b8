import { describe, expect, it } from "vitest";

import { visible } from "../../ui/visible";
import { plain, spans } from "./sgr";
import { EVERYTHING, type Entry, LogStore, LONGEST } from "./store";

const entry = (text: string, more: Partial<Entry> = {}): Entry => ({ at: "", stream: "stdout", instance: "in_a", container: "app", text, ...more });

describe("lines of strangers", () => {
  it("colours become classes", () => {
    expect(spans("\u001b[1;31mbad\u001b[0m good")).toEqual([
      { text: "bad", classes: "sgr-red sgr-bold" },
      { text: " good", classes: "" },
    ]);
    expect(spans("\u001b[38;5;196mx\u001b[4my")).toEqual([
      { text: "x", classes: "" },
      { text: "y", classes: "sgr-underline" },
    ]);
  });
  it.each([
    ["cursor", "\u001b[2J\u001b[10;5Hx"], ["title", "\u001b]0;evil\u0007x"], ["link", "\u001b]8;;http://evil\u001b\\x"], ["device", "\u001bP1;2qx\u001b\\x"],
    ["lone escape at the end", "x\u001b"], ["eight bit", "\u009b31mx"], ["charset", "\u001b(Bx"],
  ])("other sequences are dropped: %s", (_, line) => {
    expect(spans(line).map((span) => span.text).join("")).toBe("x");
    expect(plain(line)).toBe("x");
  });
  it("directions and other unseen characters are shown by number", () => {
    expect(visible("a\u202egnp.exe")).toBe("a⟨202E⟩gnp.exe");
    expect(visible("\u2066\u200b\u0007\u{e0041}")).toBe("⟨2066⟩⟨200B⟩⟨0007⟩⟨E0041⟩");
    expect(visible("tab\tand ünïcode שלום 👍")).toBe("tab\tand ünïcode שלום 👍");
  });
});

describe("the store", () => {
  it("filters by words, instance and stream, also what comes later", () => {
    const store = new LogStore();
    store.add([entry("GET /a"), entry("\u001b[31mGET\u001b[0m /b", { stream: "stderr" }), entry("POST /a", { instance: "in_b" })]);
    store.choose({ ...EVERYTHING, query: "get /" });
    expect(store.shown).toBe(2);
    store.add([entry("get /c"), entry("put")]);
    expect(store.window(0, 9).map((line) => line.number)).toEqual([1, 2, 4]);
    store.choose({ ...EVERYTHING, onlyErrors: true });
    expect(store.shown).toBe(1);
    store.choose({ ...EVERYTHING, instance: "in_b" });
    expect(store.window(0, 9)[0]?.text).toBe("POST /a");
    store.choose(EVERYTHING);
    expect(store.shown).toBe(5);
  });
  it("drops the oldest lines, and counts them", () => {
    const store = new LogStore(100, 10);
    store.choose({ ...EVERYTHING, query: "line" });
    store.add(Array.from({ length: 250 }, (_, at) => entry(`line ${at}`)));
    expect(store.total).toBeLessThanOrEqual(100);
    expect(store.total + store.dropped).toBe(250);
    expect(store.shown).toBe(store.total);
    expect(store.window(store.shown - 1, store.shown)[0]?.text).toBe("line 249");
  });
  it("cuts a line of ten megabytes for showing", () => {
    const store = new LogStore();
    store.add([entry("x".repeat(10_000_000))]);
    const [line] = store.window(0, 1);
    expect(line?.text).toHaveLength(LONGEST);
    expect(line?.cut).toBe(10_000_000 - LONGEST);
  });
});
