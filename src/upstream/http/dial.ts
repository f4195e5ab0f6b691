import { createRequire } from 'node:module'
import type { OnReadOpts, Socket, TcpSocketConnectOpts } from 'node:net'
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls'

/** The authorities to trust, and the addresses to connect to. */
export interface Reach {
  /** Trusted instead of Node's own list, PEM. */
  ca?: readonly string[] | undefined
  /** The only family of addresses to connect to; without it both, first the one that answers. */
  family?: 4 | undefined
}

/** Opens sockets to the place of a URL. */
export interface Dialer {
  /**
   * Opens a socket whose bytes are written to a buffer of ours: Node then makes none for each read.
   *
   * @param onReady Called once it is connected, over TLS also checked.
   */
  dial(family: 4 | undefined, onread: OnReadOpts, onReady: () => void): Socket
  /** The host is a name, which may stand for addresses of both families. */
  readonly isName: boolean
}

/** How long an address may take before the next one is tried. */
const ATTEMPT_MS = 1_000

/** Routers forget connections on which nothing is sent. */
const PROBE_MS = 60_000

/** An import would read every export of the module, which takes longer. */
const load = createRequire(import.meta.url)

export function createDialer(url: URL, { ca, family: onlyFamily }: Reach): Dialer {
  const net: typeof import('node:net') = load('node:net')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isName = net.isIP(host) === 0
  const isSecure = url.protocol === 'https:'
  const place = {
    host,
    port: Number(url.port || (isSecure ? 443 : 80)),
    ...{ noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_MS },
    ...{ autoSelectFamily: true, autoSelectFamilyAttemptTimeout: ATTEMPT_MS },
  }
  const options = (family: 4 | undefined, onread: OnReadOpts): TcpSocketConnectOpts => {
    const chosen = onlyFamily ?? family
    return { ...place, onread, ...(chosen !== undefined && { family: chosen }) }
  }
  if (!isSecure) {
    return {
      isName,
      dial: (family, onread, onReady) =>
        net.connect(options(family, onread)).once('connect', onReady),
    }
  }
  const secure = createSecureDialer(host, isName, ca)
  return { isName, dial: (family, onread, onReady) => secure(options(family, onread), onReady) }
}

type SecureDial = (options: TcpSocketConnectOpts, onReady: () => void) => TLSSocket

/** Opens TLS. Later sessions resume the last one, which saves both sides the costly part. */
function createSecureDialer(
  host: string,
  isName: boolean,
  ca: readonly string[] | undefined,
): SecureDial {
  const tls: typeof import('node:tls') = load('node:tls')
  let context: SecureContext | undefined
  let session: Buffer | undefined
  return (options, onReady) => {
    context ??= tls.createSecureContext(ca === undefined ? {} : { ca: [...ca] })
    const all: ConnectionOptions = {
      ...(options as ConnectionOptions),
      secureContext: context,
      ALPNProtocols: ['http/1.1'],
      // an address is no server name (RFC 6066 §3); its certificate is checked all the same
      ...(isName && { servername: host }),
      ...(session !== undefined && { session }),
    }
    const socket = tls.connect(all)
    socket.on('session', (fresh) => {
      session = fresh
    })
    socket.once('error', () => {
      session = undefined
    })
    return socket.once('secureConnect', onReady)
  }
}
