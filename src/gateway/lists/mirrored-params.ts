import { decodeHeaderValue } from '../../mcp/headers.js'
import type { Message } from '../../mcp/message.js'
import {
  type MirroredParam,
  paramHeaders,
  scanParams,
} from '../../upstream/translate/param-headers.js'
import { headerPairs } from '../../upstream/upstream.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { isObject, ownMember, tryParseJson } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { accessKey, type Request } from '../request.js'
import type { Route } from '../routing/route.js'
import type { Target } from '../target.js'
import { readList } from './target-lists.js'

const PARAM = 'mcp-param-'

/** How long it is known which arguments of a tool are repeated in headers. */
const KNOWN_MS = 10_000

const MAX_KNOWN = 10_000

/** Headers that say what the arguments say, or why there are none. */
type CheckedParams = { headers: readonly string[] } | { problem: string }

const NONE: CheckedParams = { headers: [] }

/**
 * Creates the function that compares `Mcp-Param-*` with the arguments of a call. A target may read
 * either, so that whoever decides by the arguments needs both to agree. Other headers of MCP that
 * nobody knows are left out.
 *
 * @see [MCP 2026-07-28, Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)
 */
export function createMirroredParams(context: GatewayContext) {
  const known = new BoundedMap<string, { params: readonly MirroredParam[]; until: number }>(
    MAX_KNOWN,
  )

  async function paramsOf(
    request: Request,
    target: Target,
    tool: string,
  ): Promise<readonly MirroredParam[] | undefined> {
    const key = JSON.stringify([accessKey(request, target), tool])
    const now = context.clock.now()
    const found = known.get(key)
    if (found !== undefined && now < found.until) return found.params
    const deadline = now + context.timeouts.list
    const page = { method: 'tools/list', cursor: undefined, deadline }
    const part = await readList(context, request, target, page)
    if ('failure' in part) return undefined
    const schema = part.pages.map((page) => schemaOf(page, tool)).find(Boolean)
    const scan = schema === undefined ? undefined : scanParams(schema)
    if (!scan?.valid) return undefined
    known.set(key, { params: scan.params, until: now + KNOWN_MS })
    return scan.params
  }

  return async (
    request: Request,
    { params }: Message,
    { target, name = '' }: Route<Target>,
  ): Promise<CheckedParams> => {
    if (request.meta === undefined) return NONE
    const sent = headerPairs(request.exchange.extraHeaders()).filter(([header]) =>
      header.startsWith(PARAM),
    )
    if (sent.length === 0) return NONE
    const mirrored = await paramsOf(request, target, name)
    if (mirrored === undefined) {
      return { problem: 'Mcp-Param headers cannot be compared: the tool is in no list' }
    }
    const args = ownMember(params, 'arguments')
    for (const [header, value] of sent) {
      const about = mirrored.filter((param) => param.header === header)
      const [, written] = paramHeaders(about, args)
      if (written !== undefined && decodeHeaderValue(written) === decodeHeaderValue(value)) continue
      const said = JSON.stringify(value.slice(0, 100))
      return { problem: `The header ${header} is ${said}; the arguments say something else` }
    }
    return { headers: sent.flat() }
  }
}

/** Finds a tool's schema among those of a page; of two tools of one name, none. */
function schemaOf(page: string, tool: string): unknown {
  const message = tryParseJson(page)
  const result = isObject(message) ? ownMember(message, 'result') : undefined
  const tools = isObject(result) ? ownMember(result, 'tools') : undefined
  if (!Array.isArray(tools)) return undefined
  const [found, ...others] = tools.filter((it) => isObject(it) && ownMember(it, 'name') === tool)
  return others.length === 0 && isObject(found)
    ? (ownMember(found, 'inputSchema') ?? {})
    : undefined
}
