/** Ports of the callback unless one is given; all of them are registered with a client. */
export const CALLBACK_PORTS = [28_682, 28_683, 28_684, 28_685] as const

/** The redirect URI of a port: the loopback address itself (RFC 8252 §7.3). */
export function redirectUriOf(port: number): string {
  return `http://127.0.0.1:${port}/callback`
}
