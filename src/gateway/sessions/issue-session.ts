import { OWN_INFO } from '../../mcp/meta.js'
import type { JsonObject } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import { newSessionKey, type TargetSession } from './sealed-sessions.js'
import { closeSession } from './target-session.js'

/** A target that answered `initialize`. */
export interface Opening {
  target: Target
  session: TargetSession
  result: JsonObject
  /** The result as it was written. */
  text: string
}

const VERSION_FORM = /^\d{4}-\d{2}-\d{2}$/

/** The first version that was published. */
const OLDEST_VERSION = '2024-10-07'

/** Characters of one target's session id, where those of all targets must fit into one header. */
const MAX_SESSION_ID = 1_500

/** Leaves out those of several targets whose answer would break the merged one. */
export function leaveUnusable(
  context: GatewayContext,
  request: Request,
  opened: readonly Opening[],
): readonly Opening[] {
  if (context.targets.length === 1) return opened
  return opened.filter((opening) => {
    const reason = whyUnusable(opening)
    if (reason !== undefined) leaveOut(context, request, opening, reason)
    return reason === undefined
  })
}

function whyUnusable({ session: { id = '', version } }: Opening): string | undefined {
  if (id.length > MAX_SESSION_ID) return TOO_LONG
  const isVersion = VERSION_FORM.test(version) && version >= OLDEST_VERSION
  return isVersion ? undefined : 'its answer to initialize names no version of MCP'
}

const TOO_LONG = 'its session id is too long'

/**
 * Seals the targets' sessions into one session id. Where it would be too long for a header, the
 * client's description of itself is left out first, then the targets' cookies, then the target with
 * the longest id.
 *
 * @param merge Makes the result of `initialize` from the targets that stay.
 */
export function issueSession(
  context: GatewayContext,
  request: Request,
  params: JsonObject,
  usable: readonly Opening[],
  merge: (opened: readonly Opening[]) => JsonObject,
): { result: JsonObject; headers: Record<string, string> } {
  const { principal } = request.exchange.caller
  const key = newSessionKey()
  let opened = usable
  for (;;) {
    const result = merge(opened)
    if (opened.every(({ session }) => session.id === undefined)) return { result, headers: {} }
    const version = String(result['protocolVersion'])
    const targets = new Map(opened.map(({ target, session }) => [target.name, session]))
    const seal = (initialize: JsonObject, parts = targets) =>
      context.sessions.seal({ key, version, initialize, targets: parts }, principal)
    const least = withoutExtras(params)
    const sealed = seal(params) ?? seal(least) ?? seal(least, withoutCookies(targets))
    if (sealed !== undefined) return { result, headers: { 'mcp-session-id': sealed } }
    if (!context.sessions.canSeal || opened.length === 1) {
      closeAllOf(context, request, opened)
      return { result, headers: {} }
    }
    const longest = opened.reduce((a, b) => (lengthOf(b) > lengthOf(a) ? b : a))
    leaveOut(context, request, longest, TOO_LONG)
    opened = opened.filter((opening) => opening !== longest)
  }
}

const lengthOf = ({ session }: Opening) => session.id?.length ?? 0

function leaveOut(
  context: GatewayContext,
  request: Request,
  { target, session }: Opening,
  reason: string,
): void {
  const { name } = target
  const text = `Target "${name}" is left out: ${reason}`
  context.logger.warn('target_unavailable', text, { target: name })
  void closeSession(context, request, target, session)
}

/** Ends sessions at targets that will not be used. */
export function closeAllOf(
  context: GatewayContext,
  request: Request,
  opened: readonly Opening[],
): void {
  for (const { target, session } of opened) void closeSession(context, request, target, session)
}

/** A session without load-balancer cookies is better than none. */
function withoutCookies(targets: ReadonlyMap<string, TargetSession>): Map<string, TargetSession> {
  return new Map([...targets].map(([name, { cookies: _cookies, ...session }]) => [name, session]))
}

/** Returns the least that opening a session later needs, when all would not fit into a header. */
function withoutExtras({ protocolVersion }: JsonObject): JsonObject {
  return { protocolVersion, capabilities: {}, clientInfo: OWN_INFO }
}
