import { memberText, memberTexts, putMembers } from '../../mcp/json-text.js'
import { isObject, ownMember } from '../../util/json.js'
import { foldName } from '../../util/text.js'
import type { SharedRequest } from '../shared/shared-request.js'

/** The member of `_meta` that tells a program who calls: claims, or a JWT. */
export const IDENTITY_META = 'mcp-descope-proxy/identity'

/**
 * Tells a program who calls, in the `_meta` of each message. What a client wrote there itself is taken
 * out, also when the program is told nothing.
 *
 * @param identity As JSON text.
 */
export function withIdentityMeta(
  asked: SharedRequest,
  identity: string | undefined,
): SharedRequest {
  const { message } = asked
  if (message === undefined) return asked
  // an answer to a request of the program has no params
  const holder = 'method' in message ? 'params' : 'result'
  const own = holder === 'params' ? identity : undefined
  const held = ownMember(message, holder)
  const meta = isObject(held) ? ownMember(held, '_meta') : undefined
  const isForged = isObject(meta) && Object.keys(meta).some(isIdentity)
  if (own === undefined && !isForged) return asked
  if (held !== undefined && !isObject(held)) return asked
  return { ...asked, text: withMeta(asked.text, holder, own) }
}

const isIdentity = (name: string) => foldName(name) === IDENTITY_META

function withMeta(text: string, holder: string, identity: string | undefined): string {
  const held = memberText(text, holder) ?? '{}'
  const written = memberText(held, '_meta') ?? '{}'
  const others = (written.startsWith('{') ? memberTexts(written) : []).filter(
    ([name]) => !isIdentity(name),
  )
  const own = identity === undefined ? [] : [[IDENTITY_META, identity] as const]
  const members = [...others, ...own].map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  return putMembers(text, { [holder]: putMembers(held, { _meta: `{${members.join(',')}}` }) })
}
