import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { objectText, putMembers } from '../member-text.js'

const ODD_STRUCTURE = /"structuredContent"\s*:\s*[^{\s]/

/**
 * Changes in a response what its client may not get to see: tools whose annotations are not valid,
 * and for clients of the older era structure that is no object, which the text repeats.
 *
 * @param learn Returns the tools of a list that may be shown.
 * @see [MCP 2026-07-28, key changes](https://modelcontextprotocol.io/specification/2026-07-28/changelog)
 */
export function fitResult(
  text: string,
  method: string,
  isModern: boolean,
  learn: (result: JsonObject) => JsonObject[] | undefined,
): string {
  const isOdd = method === 'tools/call' && !isModern && ODD_STRUCTURE.test(text)
  if (method !== 'tools/list' && !isOdd) return text
  const result = tryParseJson(objectText(text, 'result'))
  if (!isObject(result)) return text
  const fitted = isOdd ? withObject(result) : withTools(result, learn(result), isModern)
  return fitted === result ? text : putMembers(text, { result: JSON.stringify(fitted) })
}

function withObject(result: JsonObject): JsonObject {
  const { structuredContent, ...others } = result
  return isObject(structuredContent) ? result : others
}

function withTools(
  result: JsonObject,
  shown: JsonObject[] | undefined,
  isModern: boolean,
): JsonObject {
  const sent = result['tools']
  const tools = isModern ? shown : shown?.map(olderTool)
  if (tools === undefined || !Array.isArray(sent)) return result
  const isSame = tools.length === sent.length && tools.every((tool, at) => tool === sent[at])
  return isSame ? result : { ...result, tools }
}

function olderTool(tool: JsonObject): JsonObject {
  const { outputSchema, ...others } = tool
  if (outputSchema === undefined) return tool
  return isObject(outputSchema) && outputSchema['type'] === 'object' ? tool : others
}
