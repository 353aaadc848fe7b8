// What a problem or an audit entry is about: `workload/web` as a kind and a name.

export interface Subject {
  readonly kind: string;
  readonly name: string;
}

export function subjectOf(text: string): Subject | null {
  const found = /^([a-z_]+)[/ ](\S+)$/.exec(text);
  return found?.[1] && found[2] ? { kind: found[1], name: found[2] } : null;
}
