import type { PeerCertificate, TLSSocket } from 'node:tls'
import {
  codedError,
  describeNetworkError,
  type NetworkFailure,
} from '../upstream/upstream-error.js'
import type { Clock } from '../util/runtime.js'
import { pass, type Verdict, warn } from './check.js'

export interface ConnectOptions {
  clock: Pick<Clock, 'after'>
  ca: readonly string[]
  timeoutMs: number
}

/** Opens and closes a TCP connection; resolves with the failure, if there is one. */
export async function connectTcp(
  { clock, timeoutMs }: ConnectOptions,
  host: string,
  port: number,
): Promise<NetworkFailure | undefined> {
  const { connect } = await import('node:net')
  return new Promise((resolve) => {
    const socket = connect({ host, port, autoSelectFamily: true })
    const cancel = clock.after(timeoutMs, () => socket.destroy(codedError('ETIMEDOUT')))
    const end = (failure: NetworkFailure | undefined) => {
      cancel()
      socket.destroy()
      resolve(failure)
    }
    socket.once('connect', () => end(undefined))
    socket.once('error', (error) => end(describeNetworkError(error)))
  })
}

/** The result of a TLS handshake. */
export type TlsResult =
  | { readonly kind: 'failed'; readonly failure: NetworkFailure }
  | { readonly kind: 'open'; readonly protocol: string; readonly certificate: PeerCertificate }

/**
 * Makes a TLS handshake with the same trusted authorities as requests, and closes the connection.
 *
 * @param verify Whether an invalid certificate is a failure.
 */
export async function connectTls(
  { clock, ca, timeoutMs }: ConnectOptions,
  host: string,
  port: number,
  verify: boolean,
): Promise<TlsResult> {
  const [{ connect, rootCertificates }, { isIP }] = await Promise.all([
    import('node:tls'),
    import('node:net'),
  ])
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({
      host,
      port,
      rejectUnauthorized: verify,
      ...(isIP(host) === 0 && { servername: host }),
      // loading Node's own list takes a tenth of a second, and is not needed without verification
      ...(!verify && { ca: [] }),
      ...(verify && ca.length > 0 && { ca: [...rootCertificates, ...ca] }),
    })
    const cancel = clock.after(timeoutMs, () => socket.destroy(codedError('ETIMEDOUT')))
    const end = (result: TlsResult) => {
      cancel()
      socket.destroy()
      resolve(result)
    }
    socket.once('secureConnect', () => {
      const protocol = socket.getProtocol() ?? 'TLS'
      end({ kind: 'open', protocol, certificate: socket.getPeerCertificate() })
    })
    socket.once('error', (error) => {
      // OpenSSL's own codes mean the same as EPROTO
      const code = (error as NodeJS.ErrnoException).code ?? ''
      const known = /^ERR_SSL_|^ECONNRESET$/.test(code) ? codedError('EPROTO') : error
      end({ kind: 'failed', failure: describeNetworkError(known) })
    })
  })
}

const DAY_MS = 86_400_000

const SOON_DAYS = 14

/** Judges how long a certificate is still valid; the handshake has verified the rest. */
export function describeCertificate(
  { protocol, certificate }: Extract<TlsResult, { kind: 'open' }>,
  now: number,
): Verdict {
  const days = Math.floor((Date.parse(certificate.valid_to) - now) / DAY_MS)
  const version = protocol.replace(/^TLSv/, 'TLS ')
  if (Number.isNaN(days)) return pass(version)
  const left = days === 1 ? '1 day left' : `${days} days left`
  if (days >= SOON_DAYS) return pass(`${version}, ${left}`)
  // short-lived certificates are renewed late on purpose
  const life = (Date.parse(certificate.valid_to) - Date.parse(certificate.valid_from)) / DAY_MS
  if (days >= life / 6) return pass(`${version}, ${left} of ${Math.round(life)}`)
  return warn(`${version}, ${left}`, 'Renew the certificate of the server before it expires.')
}
