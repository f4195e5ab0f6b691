import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import {
  codedError,
  describeNetworkError,
  type NetworkFailure,
} from '../../upstream/upstream-error.js'
import type { Clock } from '../../util/runtime.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import { answerOf } from '../client.js'
import { explainFailure } from '../explain.js'
import type { Probe } from '../probe.js'

/** Creates the checks of the network path to the target, or to the HTTP proxy in between. */
export function reachChecks(probe: Probe): Check[] {
  const { url, proxy } = probe
  const place = proxy ?? url
  const host = place.hostname.replace(/[[\]]/g, '')
  const port = Number(place.port) || (place.protocol === 'https:' ? 443 : 80)
  const via = proxy === undefined ? '' : `proxy ${proxy.host}, `
  return [
    {
      id: 'reach.dns',
      needs: [],
      async run() {
        if (isIP(host) !== 0) return skip(`${via}${host} is an address`)
        const { lookup } = await import('node:dns/promises')
        const found = await lookup(host, { all: true }).catch((error: unknown) => {
          return describeNetworkError(error)
        })
        if (!Array.isArray(found)) return explainFailure(found, host)
        return pass(`${via}${found.map(({ address }: LookupAddress) => address).join(', ')}`)
      },
    },
    {
      id: 'reach.tcp',
      needs: ['reach.dns'],
      async run() {
        const failure = await connectTcp(probe, host, port)
        if (failure !== undefined) return explainFailure(failure, `${host}:${port}`)
        return pass(`${via}${host.includes(':') ? `[${host}]` : host}:${port} is open`)
      },
    },
    {
      id: 'reach.tls',
      needs: ['reach.tcp'],
      run: () => (proxy === undefined ? checkTls(probe, host, port) : checkThroughProxy(probe)),
    },
  ]
}

async function checkTls(probe: Probe, host: string, port: number): Promise<Verdict> {
  const { url, clock } = probe
  if (url.protocol === 'https:') {
    const found = await connectTls(probe, host, port, true)
    if (found.kind === 'failed') return explainFailure(found.failure, url.host)
    return describeCertificate(found, clock.now())
  }
  const { discover } = await probe.anonymous()
  const isOdd = discover?.kind === 'failed' && discover.failure.cause !== 'timeout'
  const answer = discover && answerOf(discover)
  // many servers answer plain http on a TLS port with 400; JSON is from an application
  const isBadRequest =
    answer?.status === 400 && !/\bjson\b/i.test(answer.header('content-type') ?? '')
  if (!isOdd && !isBadRequest) return skip('plain http')
  const found = await connectTls(probe, host, port, false)
  if (found.kind === 'failed') return skip('plain http')
  const hint = `Write https:// instead of http:// in the URL: https://${url.host}${url.pathname}.`
  return fail('the port speaks TLS, and the URL says http', hint, 'TARGET_UNREACHABLE')
}

/** Through a tunnel, Node does not expose the certificate; it only verifies it. */
async function checkThroughProxy(probe: Probe): Promise<Verdict> {
  const { discover } = await probe.anonymous()
  if (discover?.kind === 'failed' && discover.failure.cause === 'unreachable') {
    return explainFailure(discover.failure, probe.url.host)
  }
  return probe.url.protocol === 'https:' ? pass('through the proxy') : skip('plain http')
}

interface ConnectOptions {
  clock: Pick<Clock, 'after'>
  ca: readonly string[]
  timeoutMs: number
}

/** Opens and closes a TCP connection; resolves with the failure, if there is one. */
async function connectTcp(
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
type TlsResult =
  | { readonly kind: 'failed'; readonly failure: NetworkFailure }
  | { readonly kind: 'open'; readonly protocol: string; readonly certificate: PeerCertificate }

/**
 * Makes a TLS handshake with the same trusted authorities as requests, and closes the connection.
 *
 * @param verify Whether an invalid certificate is a failure.
 */
async function connectTls(
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
