import { isObject, type JsonObject } from '../util/json.js'
import { memberText, memberTexts, putMembers } from './member-text.js'

/**
 * Takes `params`, and a `cursor` in them, out of a message where they are null: some serializers write
 * every member of a type, and servers refuse that.
 *
 * @returns `undefined` when there are none.
 */
export function withoutNulls(message: JsonObject, text: string): string | undefined {
  const { params } = message
  if (params === null) return withoutMember(text, 'params')
  if (!isObject(params) || params['cursor'] !== null) return undefined
  return putMembers(text, { params: withoutMember(memberText(text, 'params') ?? '{}', 'cursor') })
}

function withoutMember(object: string, member: string): string {
  const kept = memberTexts(object).filter(([name]) => name !== member)
  return `{${kept.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`
}
