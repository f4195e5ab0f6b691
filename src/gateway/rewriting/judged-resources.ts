import type { Principal } from '../../auth/principal.js'
import {
  findMember,
  membersAt,
  objectText,
  putMembers,
  replaceAt,
  withoutMember,
} from '../../mcp/json-text.js'
import type { Message } from '../../mcp/message.js'
import {
  type JsonObject,
  objectMember,
  ownMember,
  stringMember,
  stringsMember,
  tryParseJson,
} from '../../util/json.js'
import { foldName } from '../../util/text.js'
import { audible } from '../routing/judge.js'
import { knownArguments } from '../routing/uri-readings.js'
import { ACKNOWLEDGED } from '../streams/subscription-filter.js'
import type { Target } from '../target.js'

/**
 * Makes of a notification what this caller may hear of the target's resources: an update of one that
 * the caller may not read is not passed on, and a subscription acknowledges no such one.
 *
 * @returns `undefined` when the caller does not get it.
 */
export function withoutHiddenResources(
  target: Target,
  text: string,
  principal: Principal | undefined,
): string | undefined {
  const message = tryParseJson(text)
  const method = ownMember((message ?? {}) as JsonObject, 'method')
  if (method === 'notifications/resources/updated') {
    const uri = onlyUri(text, objectMember(message, 'params'))
    const decision = uri === undefined ? undefined : target.resourcePolicy.decide(uri, principal)
    return decision?.allowed ? text : undefined
  }
  if (method !== ACKNOWLEDGED) return text
  const accepted = objectMember(objectMember(message, 'params'), 'notifications')
  if (accepted === undefined) return text
  const heard = audible(target, accepted, principal)
  return replaceAt(text, ['params', 'notifications'], JSON.stringify(heard))
}

/** Tells whether this caller may hear of what a notification is about. */
export function mayHear(target: Target, text: string, principal: Principal | undefined): boolean {
  const { isOpen } = target.resourcePolicy
  return isOpen || withoutHiddenResources(target, text, principal) !== undefined
}

/** Returns the URI of an update; `undefined` when it is none, or a client could read another one. */
function onlyUri(text: string, params: JsonObject | undefined): string | undefined {
  const place = findMember(text, 0, 'params')
  if (place === undefined || params === undefined) return undefined
  const alike = membersAt(text, place.start).filter(({ key }) => foldName(key) === 'uri')
  return alike.length === 1 ? stringMember(params, 'uri') : undefined
}

/**
 * Creates the function that leaves those values out of a completion that lead to resources which are
 * not in the caller's list, or may do so.
 *
 * @param asWritten The target's own template.
 * @returns `undefined` when no value of this template can.
 */
export function createCompletionFilter(
  { resourcePolicy }: Target,
  { params }: Message,
  asWritten: string,
  principal: Principal | undefined,
): ((text: string) => string) | undefined {
  // a target may decode it before it compares
  const template = asWritten.replace(/%7b/gi, '{').replace(/%7d/gi, '}')
  const known = knownArguments(ownMember(params, 'context'))
  if (resourcePolicy.isWhollyListed(template, principal, known)) return undefined
  const name = stringMember(objectMember(params, 'argument') ?? {}, 'name')
  const isListed = (value: string) =>
    name !== undefined &&
    resourcePolicy.isWhollyListed(template, principal, { ...known, [name]: value })
  return (text) => withoutValues(text, isListed)
}

/** Leaves values out of the answer to a completion, and what their number would tell. */
export function withoutValues(text: string, isListed: (value: string) => boolean): string {
  const result = objectMember(tryParseJson(text), 'result')
  const completion = result && objectMember(result, 'completion')
  if (completion === undefined) return text
  const values = stringsMember(completion, 'values')
  const kept = values.filter(isListed)
  if (kept.length === values.length) return text
  const written = objectText(objectText(text, 'result'), 'completion')
  const changed = putMembers(withoutMember(written, 'total'), { values: JSON.stringify(kept) })
  return replaceAt(text, ['result', 'completion'], changed)
}
