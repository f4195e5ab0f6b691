import { type BearerChallenge, readBearerChallenge } from '../auth/oauth/parse-challenge.js'
import type { Network } from '../upstream/http/network.js'
import type { HttpAnswer } from '../upstream/read-answer.js'
import type { Clock } from '../util/runtime.js'
import type { Verdict } from './check.js'
import { explainHandshake } from './checks/protocol.js'
import { type CheckExchange, createHttpClient, createSseClient, refusalAmong } from './client.js'
import { gateOf } from './explain.js'
import { type Handshake, shakeHands } from './handshake.js'

/** How a target receives a client, with a token or without one. */
export type Reception =
  | { readonly kind: 'welcome' }
  | { readonly kind: 'refused'; readonly challenge: BearerChallenge; readonly answer: HttpAnswer }
  /** `blocked`: something in front of the target answers; `broken`: the answer is not MCP. */
  | { readonly kind: 'blocked' | 'broken'; readonly verdict: Verdict }
  | { readonly kind: 'unreachable'; readonly verdict: Verdict }

export interface AskOptions {
  clock: Pick<Clock, 'after'>
  network: Network
  url: URL
  token: string | undefined
  timeoutMs: number
}

/**
 * Finds out how a target receives a client. Some targets accept `initialize` from anyone and require
 * a token for the rest, so the list of tools is requested too.
 */
export async function askTarget(options: AskOptions): Promise<Reception> {
  const { clock, network, url, token, timeoutMs } = options
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const client = createHttpClient(clock, await network.connect(url), timeoutMs)
  const openSse = () => createSseClient(clock, network, url, timeoutMs)
  const hands = await shakeHands({ client, headers, openSse })
  try {
    const tools = await hands.session?.request('tools/list')
    return judge(hands, tools, url)
  } finally {
    await hands.session?.close().catch(() => undefined)
    await hands.session?.client.close().catch(() => undefined)
    await client.close().catch(() => undefined)
  }
}

function judge(hands: Handshake, tools: CheckExchange | undefined, url: URL): Reception {
  const { discover, initialize, session } = hands
  const answer = refusalAmong(discover, initialize, tools)
  if (answer !== undefined) {
    const gate = gateOf(answer)
    if (gate !== undefined) return { kind: 'blocked', verdict: gate }
    const challenge = readBearerChallenge(answer.header('www-authenticate')) ?? {}
    return { kind: 'refused', challenge, answer }
  }
  if (session !== undefined) return { kind: 'welcome' }
  const verdict = explainHandshake(hands, url)
  const isAway = verdict.code === 'TARGET_UNREACHABLE'
  return { kind: isAway ? 'unreachable' : 'broken', verdict }
}
