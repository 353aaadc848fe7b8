// The terminal writes its styles into elements that the content policy refuses, rightly so in general. Here they get
// their texts into style sheets made by this page's own code, which the policy allows.

/** Opens the terminal; what comes back removes its style sheets. */
export function opened(open: () => void): () => void {
  const create = document.createElement.bind(document);
  const sheets: CSSStyleSheet[] = [];
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    if (name !== "style") return create(name, options);
    const sheet = new CSSStyleSheet();
    sheets.push(sheet);
    document.adoptedStyleSheets.push(sheet);
    const stand = create("span");
    stand.hidden = true;
    Object.defineProperty(stand, "textContent", { set: (text: string) => sheet.replaceSync(text), get: () => "" });
    return stand;
  });
  try {
    open();
  } finally {
    // The method of the prototype is back; nothing else sees the stand-in.
    delete (document as { createElement?: unknown }).createElement;
  }
  return () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !sheets.includes(sheet));
  };
}
