import { STATELESS_VERSION } from '../../mcp/versions.js'
import { isObject, stringMember, stringsMember } from '../../util/json.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import { answerOf, resultOf, rpcErrorOf } from '../client.js'
import { explain } from '../explain.js'
import { type Handshake, initializeChecked } from '../handshake.js'
import { CONTENT_KINDS, type ContentKind, type List } from '../lists.js'
import { type Probe, resultsOf } from '../probe.js'

const NEEDS = ['reach.tcp', 'reach.tls', 'auth.token']

/** Creates the checks of the stateless and the session-based protocol. One of them must work. */
export function protocolChecks(probe: Probe): Check[] {
  return [
    { id: 'protocol.modern', needs: NEEDS, run: () => checkStateless(probe) },
    { id: 'protocol.legacy', needs: NEEDS, run: () => checkSessionBased(probe) },
  ]
}

async function checkStateless(probe: Probe): Promise<Verdict> {
  const handshake = await probe.handshake()
  probe.seen.push(...resultsOf(handshake))
  const { discover, session } = handshake
  if (session?.era === 'stateless')
    return pass(`server/discover ${STATELESS_VERSION}${named(handshake)}`)
  const answer = discover && answerOf(discover)
  if (discover === undefined || answer === undefined) return skip('there is no answer to judge')
  const offered = stringsMember(resultOf(discover) ?? {}, 'supportedVersions')
  if (offered.length > 0) return skip(`not offered; it offers ${offered.join(', ')}`)
  if (answer.status >= 500 && session !== undefined) {
    return warn(
      `server/discover makes it fail with HTTP ${answer.status}`,
      'Answer unknown methods with the error -32601: clients of 2026-07-28 send this one first.',
    )
  }
  const code = rpcErrorOf(discover)?.code
  const how = code === undefined ? `HTTP ${answer.status}` : `error ${code}`
  return skip(`not offered (${how} to server/discover)`)
}

async function checkSessionBased(probe: Probe): Promise<Verdict> {
  const handshake = await probe.handshake()
  const { session, older } = handshake
  if (session?.era === 'stateless') return checkBesides(probe, handshake)
  if (session === undefined) return explainHandshake(handshake, probe.url)
  if (older) {
    return warn(
      `only the HTTP+SSE transport of ${session.version}${named(handshake)}`,
      'Let the server speak Streamable HTTP: `serve` and many clients know nothing older. The bridge does.',
    )
  }
  return pass(`initialize ${session.version}${named(handshake)}`)
}

/** Tries `initialize` at a stateless server too, because most clients still start with it. */
async function checkBesides(probe: Probe, { session }: Handshake): Promise<Verdict> {
  if (session === undefined) return skip('there is no session')
  const found = await initializeChecked(session.client, session.headers)
  if (found.session !== undefined) {
    probe.seen.push({ method: 'initialize', result: resultOf(found.exchange) ?? {} })
    const { version, close } = found.session
    await close()
    return pass(`initialize ${version}`)
  }
  const status = answerOf(found.exchange)?.status ?? 0
  if (status < 500 && status > 0) return skip(`not offered; only ${STATELESS_VERSION}`)
  return warn(
    `initialize makes it fail${status === 0 ? '' : ` with HTTP ${status}`}`,
    'Answer it with the error -32022 and the supported versions: session-based clients send it first.',
  )
}

/**
 * Says why the handshake led to no session.
 *
 * @param url The requested URL, to suggest the endpoint that was meant.
 */
export function explainHandshake(
  { discover, initialize: exchange }: Handshake,
  url?: URL,
): Verdict {
  if (discover?.kind === 'failed') return explain(discover, 'the first request')
  if (exchange === undefined) {
    return discover === undefined
      ? skip('there is no answer to judge')
      : explain(discover, 'server/discover', url)
  }
  const result = resultOf(exchange)
  if (result === undefined) return explain(exchange, 'initialize', url)
  const version = stringMember(result, 'protocolVersion')
  if (version !== undefined) {
    return fail(
      `initialize is answered with the version ${JSON.stringify(version.slice(0, 40))}`,
      'Answer with the requested version, or with another published one, such as 2025-11-25.',
      'PROTOCOL_INVALID',
    )
  }
  const what = isObject(result) ? `a result without "protocolVersion"` : 'no result'
  return fail(
    `initialize is answered with ${what}`,
    'Check that the URL is the MCP endpoint; most servers use /mcp.',
    'PROTOCOL_INVALID',
  )
}

function named({ session }: Handshake): string {
  return session?.server === undefined ? '' : `, ${session.server.slice(0, 60)}`
}

/**
 * Creates the check of all results against the protocol's schemas. It must come after the checks that
 * collect the results.
 */
export function schemaCheck(probe: Probe, lists: (kind: ContentKind) => Promise<List>): Check {
  return {
    id: 'protocol.schema',
    needs: ['protocol.modern', 'protocol.legacy'],
    prepare: loadSchemas,
    async run() {
      await Promise.all(CONTENT_KINDS.map((kind) => lists(kind)))
      const { schemaProblems } = await loadSchemas()
      const problems = [...new Set(probe.seen.flatMap(schemaProblems))]
      const [first, second] = problems
      if (first === undefined) {
        const methods = new Set(probe.seen.map(({ method }) => method))
        return pass(`${probe.seen.length} results of ${methods.size} methods are valid`)
      }
      const more = problems.length - (second === undefined ? 1 : 2)
      const shown = second === undefined ? first : `${first}; ${second}`
      return fail(
        more > 0 ? `${shown}; and ${more} more` : shown,
        'Correct what the server sends there: clients with strict types drop the whole answer.',
        'PROTOCOL_INVALID',
      )
    },
  }
}

const loadSchemas = () => import('./mcp-schemas.js')
