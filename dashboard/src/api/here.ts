/** Whether a host is this machine, whose server asks for no token as a rule. */
export function isHere(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}
