import { discoverProtectedResource } from '../../auth/oauth/discover.js'
import { type BearerChallenge, readBearerChallenge } from '../../auth/oauth/parse-challenge.js'
import { accessHeaders } from '../../auth/oauth/proof-keys.js'
import { INSUFFICIENT_SCOPE, type TokenSource } from '../../auth/tokens/token-source.js'
import type { Verdict } from '../../diagnose/check.js'
import { judgeRefusal } from '../../diagnose/checks/auth.js'
import { explainHandshake } from '../../diagnose/checks/protocol.js'
import {
  answerOf,
  type CheckExchange,
  createHttpClient,
  createSseClient,
  refusalAmong,
} from '../../diagnose/client.js'
import { gateOf } from '../../diagnose/explain.js'
import { type Handshake, openHandshake } from '../../diagnose/handshake.js'
import type { EnsureRequest } from '../../sign-in/flow.js'
import type { HttpAnswer } from '../../upstream/answer-reader.js'
import type { Network } from '../../upstream/http/network.js'
import { ProxyError } from '../../util/errors.js'
import type { Clock, Runtime } from '../../util/runtime.js'

export interface SignInCheckOptions {
  runtime: Pick<Runtime, 'clock'>
  network: Network
  /** Name of the target, for people. */
  name: string
  url: URL
  /** The stored sign-in; `undefined` to ignore it. */
  source: TokenSource | undefined
}

/** What the answer of a target means for the stored sign-in. */
export type SignInCheck =
  /** The stored sign-in is valid; `doubt` says why that could not be checked. */
  | { readonly next: 'keep'; readonly doubt: string | undefined }
  | { readonly next: 'sign-in'; readonly need: Pick<EnsureRequest, 'challenge' | 'refused'> }
  /** The target is open and names no authorization server. */
  | { readonly next: 'nothing' }

type Need = Extract<SignInCheck, { next: 'sign-in' }>['need']

const TIMEOUT_MS = 10_000

/** A token that is refused is refreshed, and the new one is tried too. */
const TRIES = 3

/**
 * Finds out whether a target accepts the stored sign-in, and if not, where to sign in and for what.
 *
 * @throws {ProxyError} when it cannot be reached, or offers no sign-in.
 */
export async function checkStoredSignIn(options: SignInCheckOptions): Promise<SignInCheck> {
  const { source } = options
  let token = await source?.get().catch(() => undefined)
  const contact = () =>
    contactTarget({ ...options, clock: options.runtime.clock, token, timeoutMs: TIMEOUT_MS })
  for (let tries = 1; ; tries++) {
    const reception = await contact()
    if (token === undefined || source === undefined) return withoutToken(options, reception)
    if (reception.kind === 'welcome') source.accepted?.(token)
    if (reception.kind !== 'refused') {
      return {
        next: 'keep',
        doubt: reception.kind === 'welcome' ? undefined : reception.verdict.detail,
      }
    }
    const { challenge, answer } = reception
    if (answer.status === 403 && challenge.error !== INSUFFICIENT_SCOPE) {
      return { next: 'keep', doubt: 'it refuses this account (HTTP 403)' }
    }
    const need: Need = { challenge, refused: token }
    const verdict = await source.refused(token, challenge).catch(() => undefined)
    if (verdict?.next !== 'retry' || tries === TRIES) return { next: 'sign-in', need }
    token = await source.get().catch(() => undefined)
  }
}

async function withoutToken(
  options: SignInCheckOptions,
  reception: Reception,
): Promise<SignInCheck> {
  const { network, runtime, url, name } = options
  if (reception.kind === 'refused')
    return { next: 'sign-in', need: { challenge: reception.challenge } }
  if (reception.kind === 'blocked' || reception.kind === 'unreachable')
    throw explained(name, reception.verdict)
  const deps = { fetch: network.fetch, clock: runtime.clock }
  const described = await discoverProtectedResource(deps, url).catch(() => undefined)
  if (described !== undefined && described.authorizationServers.length > 0) {
    return { next: 'sign-in', need: {} }
  }
  if (reception.kind === 'welcome') return { next: 'nothing' }
  throw explained(name, reception.verdict)
}

/**
 * Finds out whether a target refuses the account after a successful sign-in: by 403, or, where its
 * metadata says that a server exists at its URL, by 404. The token is sent nowhere else.
 *
 * @returns The refusal; `undefined` when the account is admitted, or the answer is not conclusive.
 */
export async function refusalOfAccount(
  options: SignInCheckOptions,
  token: string,
): Promise<string | undefined> {
  const { network, runtime, url } = options
  const { clock } = runtime
  const reception = await contactTarget({ ...options, clock, token, timeoutMs: TIMEOUT_MS }).catch(
    () => undefined,
  )
  if (reception?.kind === 'refused') {
    const isOfAccount =
      reception.answer.status === 403 && reception.challenge.error !== INSUFFICIENT_SCOPE
    return isOfAccount ? 'HTTP 403' : undefined
  }
  if (reception?.kind !== 'broken' || reception.status !== 404) return undefined
  const deps = { fetch: network.fetch, clock }
  const described = await discoverProtectedResource(deps, url).catch(() => undefined)
  return described === undefined ? undefined : 'HTTP 404, as if nothing were there'
}

/**
 * Explains why a sign-in failed before it was shown to the user, when the target names no authorization
 * server and none was found by guessing: it probably requires a token from its operator.
 */
export async function explainGuess(
  options: SignInCheckOptions,
  need: Need,
  error: unknown,
): Promise<unknown> {
  const { network, runtime, url, name } = options
  const deps = { fetch: network.fetch, clock: runtime.clock }
  const { discoverAuthorizationServer } = await import('../../auth/oauth/server-metadata.js')
  try {
    const described = await discoverProtectedResource(deps, url, need.challenge?.resourceMetadata)
    if (described !== undefined) return error
    if ((await discoverAuthorizationServer(deps, url.origin)) !== undefined) return error
  } catch {
    return error
  }
  const { clock } = runtime
  const again = await contactTarget({ ...options, clock, token: undefined, timeoutMs: TIMEOUT_MS })
  if (again.kind !== 'refused') return error
  const { detail } = await judgeRefusal(again.answer, async () => false)
  const what = `${name} requires a credential and does not publish how to sign in: ${detail}`
  return new ProxyError('CREDENTIAL_REFUSED', what, {
    hint: 'If its operator gave you a token, pass that: MCP_DESCOPE_TOKEN or `--header` with `stdio`, a "credential" in the configuration of `serve`.',
    cause: error,
  })
}

function explained(name: string, { detail, hint, code = 'PROTOCOL_INVALID' }: Verdict): ProxyError {
  return new ProxyError(code, `${name}: ${detail}`, hint === undefined ? {} : { hint })
}

/** The reaction of a target to a client, with a token or without one. */
type Reception =
  | { readonly kind: 'welcome' }
  | { readonly kind: 'refused'; readonly challenge: BearerChallenge; readonly answer: HttpAnswer }
  /** `blocked`: something in front of the target answers; `broken`: the answer is not MCP. */
  | { readonly kind: 'blocked'; readonly verdict: Verdict }
  | { readonly kind: 'broken'; readonly verdict: Verdict; readonly status: number | undefined }
  | { readonly kind: 'unreachable'; readonly verdict: Verdict }

interface ContactOptions {
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
async function contactTarget(options: ContactOptions): Promise<Reception> {
  const { clock, network, url, token, timeoutMs } = options
  const headers = token === undefined ? {} : accessHeaders(token)
  const client = createHttpClient(clock, await network.connect(url), timeoutMs)
  const openSse = () => createSseClient(clock, network, url, timeoutMs)
  const handshake = await openHandshake({ client, headers, openSse })
  try {
    const tools = await handshake.session?.request('tools/list')
    return judge(handshake, tools, url)
  } finally {
    await handshake.session?.close().catch(() => undefined)
    await handshake.session?.client.close().catch(() => undefined)
    await client.close().catch(() => undefined)
  }
}

function judge(handshake: Handshake, tools: CheckExchange | undefined, url: URL): Reception {
  const { discover, initialize, session } = handshake
  const answer = refusalAmong(discover, initialize, tools)
  if (answer !== undefined) {
    const gate = gateOf(answer)
    if (gate !== undefined) return { kind: 'blocked', verdict: gate }
    const challenge = readBearerChallenge(answer.header('www-authenticate')) ?? {}
    return { kind: 'refused', challenge, answer }
  }
  if (session !== undefined) return { kind: 'welcome' }
  const verdict = explainHandshake(handshake, url)
  const isAway = verdict.code === 'TARGET_UNREACHABLE'
  if (isAway) return { kind: 'unreachable', verdict }
  const last = initialize ?? discover
  return { kind: 'broken', verdict, status: last && answerOf(last)?.status }
}
