import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import { describeNetworkError } from '../../upstream/upstream-error.js'
import { type Check, fail, pass, skip, type Verdict } from '../check.js'
import { answerOf } from '../client.js'
import { connectTcp, connectTls, describeCertificate } from '../connect.js'
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
