// Texts of strangers (names of labels, messages, log lines) may hold characters that cannot be seen or that turn the
// direction of what follows. They are shown by their numbers, so that no text can pretend to be another.

// Controls but the tab, directions, joiners that hide, separators, tags.
const UNSEEN = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** The text with what cannot be seen shown by its number. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (character) => `⟨${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
