// The command line that does the same as a click, for copying.

/** A word as a shell reads it back. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The organisation that was chosen, which commands have to name as well. */
let organisation: string | null = null;

export function commandsFor(chosen: string | null) {
  organisation = chosen;
}

/** `univrs` with these words; what is null or false is left out. */
export function command(...words: (string | number | null | undefined | false)[]): string {
  const whose = organisation === null ? [] : ["--org", organisation];
  const given = [...whose, ...words].filter((word) => word !== null && word !== undefined && word !== false);
  return ["univrs", ...given.map((word) => quoted(String(word)))].join(" ");
}
