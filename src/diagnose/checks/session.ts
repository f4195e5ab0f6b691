import { readAnswer } from '../../upstream/answer-reader.js'
import { type Check, pass, skip, type Verdict, warn } from '../check.js'
import { answerOf } from '../client.js'
import { explainFailure } from '../explain.js'
import type { Probe } from '../probe.js'

const NEEDS = ['protocol.modern', 'protocol.legacy']

/** Creates the checks of the session and of the GET stream, for people. */
export function sessionChecks(probe: Probe): Check[] {
  return [
    { id: 'protocol.session', needs: NEEDS, run: () => checkSession(probe) },
    { id: 'protocol.stream', needs: NEEDS, run: () => checkStream(probe) },
  ]
}

async function checkSession(probe: Probe): Promise<Verdict> {
  const { era, version, sessionId } = await probe.session()
  if (era === 'stateless') return skip(`${version} has no sessions`)
  if (sessionId === undefined) return skip('no session id is issued')
  return pass('issued; replicas of the server have to share it')
}

/**
 * Opens the stream for messages of the server that belong to no request, and closes it at once.
 *
 * @see [MCP 2025-11-25](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server)
 */
async function checkStream(probe: Probe): Promise<Verdict> {
  const { era, version, sessionId, headers } = await probe.session()
  if (era === 'stateless') return skip('notifications come by subscriptions/listen')
  if ((await probe.handshake()).older) return pass('the one stream of HTTP+SSE')
  const { network, url, clock, timeoutMs } = probe
  const upstream = await network.connect(url)
  const fields = {
    ...headers,
    accept: 'text/event-stream',
    'mcp-protocol-version': version,
    ...(sessionId !== undefined && { 'mcp-session-id': sessionId }),
  }
  const request = { method: 'GET' as const, headers: Object.entries(fields).flat() }
  const exchange = await readAnswer({ clock, upstream }, request, undefined, timeoutMs)
  await upstream.close()
  if (exchange.kind === 'failed') {
    const { detail, hint = '' } = explainFailure(exchange.failure, 'the GET stream')
    return warn(detail, hint)
  }
  const answer = answerOf(exchange)
  const isStream = /^text\/event-stream\b/i.test(answer?.header('content-type') ?? '')
  if (answer?.status === 200 && isStream) return pass('the GET stream opens')
  if (answer?.status === 405) return skip('there is no GET stream (405)')
  return warn(
    `GET is answered with HTTP ${answer?.status}, which is neither a stream nor 405`,
    'Answer GET with an event stream, or with 405 where there is none: some clients give up on anything else.',
  )
}
