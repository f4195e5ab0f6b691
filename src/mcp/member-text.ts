import { ownMember } from '../util/json.js'
import { type Member, scanMembers, skipSpace } from './scan.js'

/**
 * Reads and changes members of objects in JSON text, so that the rest stays as it was written:
 * numbers too large for us, order, spelling. Every text must have passed `JSON.parse`; one that is no
 * object has no members.
 */
function membersOf(text: string): Member[] {
  const start = skipSpace(text, 0)
  if (text[start] !== '{') return []
  return scanMembers(text, start, { maxDepth: Number.POSITIVE_INFINITY }) ?? []
}

/** Lists the members of an object with the text of each value. */
export function memberTexts(object: string): [string, string][] {
  return membersOf(object).map(({ key, start, end }) => [key, object.slice(start, end)])
}

/** Returns the text of a member; `undefined` when there is none. */
export function memberText(object: string, key: string): string | undefined {
  const member = membersOf(object).find((found) => found.key === key)
  return member && object.slice(member.start, member.end)
}

/** Returns the text of a member when it is an object, else that of an empty one. */
export function objectText(object: string, key: string): string {
  const value = memberText(object, key)
  return value?.startsWith('{') ? value : '{}'
}

/** Puts members, given as JSON texts, into an object; each replaces the one that has its name. */
export function putMembers(object: string, members: Readonly<Record<string, string>>): string {
  const present = membersOf(object)
  const missing = new Map(Object.entries(members))
  let result = ''
  let from = 0
  for (const { key, start, end } of present) {
    const value = ownMember(members, key)
    if (value === undefined) continue
    missing.delete(key)
    result += object.slice(from, start) + value
    from = end
  }
  result += object.slice(from)
  if (missing.size === 0) return result
  const open = skipSpace(result, 0) + 1
  const added = [...missing].map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')
  return result.slice(0, open) + added + (present.length > 0 ? ',' : '') + result.slice(open)
}
