// Headless Chromium of this machine, watched: an error in the console, a request to elsewhere or an uncaught exception
// is a fault of the page, whatever the test looked at.

import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly faults: string[];
  /** Patterns of what is expected to fail in this visit, such as a socket of a server that is stopped on purpose. */
  readonly expected: RegExp[];
}

interface Options {
  width?: number;
  height?: number;
  dark?: boolean;
}

export async function visit(browser: Browser, home: string, { width = 1440, height = 900, dark = false }: Options = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  const faults: string[] = [];
  const expected: RegExp[] = [];
  const fault = (text: string) => {
    if (!expected.some((pattern) => pattern.test(text))) faults.push(text);
  };
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") fault(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => fault(`exception: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(home) && !url.startsWith("data:") && !url.startsWith("blob:")) fault(`a request to elsewhere: ${url}`);
  });
  page.setDefaultTimeout(60_000);
  return { page, context, faults, expected };
}

/** Types `g` and a letter until the view is there: on a busy machine the two may come too far apart to be one. */
export async function go(page: Page, letter: string, title: string): Promise<void> {
  const heading = page.getByRole("heading", { level: 1, name: title, exact: true });
  for (let tries = 1; ; tries += 1) {
    await page.keyboard.press("g");
    await page.keyboard.press(letter);
    const there = await heading.waitFor({ timeout: 5_000 }).then(() => true, () => false);
    if (there) return;
    if (tries === 20) throw new Error(`g and ${letter} do not lead to ${title}`);
  }
}

/** Opens the palette and types; answers when `found` is offered. */
export async function seek(page: Page, text: string, found: string): Promise<void> {
  await page.keyboard.press("Control+K");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "combobox");
  await page.keyboard.type(text);
  await page.getByRole("dialog").getByRole("option", { name: found }).first().waitFor();
}
