import type { Runtime } from '../util/runtime.js'

/** Ways to sign in; `auto` chooses by the machine and the server. */
export const LOGIN_METHODS = ['auto', 'browser', 'device', 'paste'] as const

export type LoginMethod = (typeof LOGIN_METHODS)[number]

/** Default ports of the callback; a client is registered with all of them. */
export const CALLBACK_PORTS = [28_682, 28_683, 28_684, 28_685] as const

/** Names of this machine that a redirect URI may have; some servers accept only one of them. */
export const CALLBACK_HOSTS = ['127.0.0.1', 'localhost', '::1'] as const

export type CallbackHost = (typeof CALLBACK_HOSTS)[number]

/** Where the browser may return to. */
export interface CallbackChoice {
  callbackHost: CallbackHost
  /** The one port to use; without it, the first free one of the usual ones. */
  callbackPort: number | undefined
}

/** The redirect URI of a port (RFC 8252 §7.3). */
export function redirectUriOf(host: CallbackHost, port: number): string {
  return `http://${host === '::1' ? '[::1]' : host}:${port}/callback`
}

/** The redirect URIs that a client has to have registered, the first choice first. */
export function redirectUrisOf({ callbackHost, callbackPort }: CallbackChoice): string[] {
  const ports = callbackPort === undefined ? CALLBACK_PORTS : [callbackPort]
  return ports.map((port) => redirectUriOf(callbackHost, port))
}

/** Reads host and port of one of our redirect URIs. */
export function addressOf(redirectUri: string): { host: CallbackHost; port: number } {
  const { hostname, port } = new URL(redirectUri)
  const host = CALLBACK_HOSTS.find((known) => known === hostname.replace(/[[\]]/g, ''))
  return { host: host ?? '127.0.0.1', port: Number(port) }
}

/** Tells whether this runs in CI, where nobody can be asked to sign in. */
export function isCi(env: Runtime['env']): boolean {
  const value = env['CI']
  return value !== undefined && value !== '' && value !== '0' && value !== 'false'
}
