import { isObject, type JsonObject } from '../../../src/util/json.js'
import { RpcFailure } from './contents.js'
import type { RecordedRequest } from './record.js'

export const STATELESS_VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
export const VERSION_KEY = `${META}/protocolVersion`
export const CAPABILITIES_KEY = `${META}/clientCapabilities`
export const SERVER_INFO_KEY = `${META}/serverInfo`
export const SUBSCRIPTION_KEY = `${META}/subscriptionId`

const NAMED_BY: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

/**
 * Checks one request against the rules of 2026-07-28: the envelope in `_meta`, and the headers that
 * must repeat what the body says.
 *
 * @returns The first rule that is broken, as the error that a server must answer with.
 *
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
 */
export function brokenRule(request: RecordedRequest, tools: JsonObject[]): RpcFailure | undefined {
  const { headers, message = {} } = request
  const method = String(message['method'])
  const params = isObject(message['params']) ? message['params'] : {}
  const meta = isObject(params['_meta']) ? params['_meta'] : {}
  const version = meta[VERSION_KEY]
  if (typeof version !== 'string') {
    const supported = {
      supported: [STATELESS_VERSION],
      requested: params['protocolVersion'] ?? null,
    }
    return method === 'initialize'
      ? failure(-32022, 'Unsupported protocol version', supported)
      : failure(-32602, `_meta has no ${VERSION_KEY}`)
  }
  if (!isObject(meta[CAPABILITIES_KEY])) return failure(-32602, `_meta has no ${CAPABILITIES_KEY}`)
  if (headers['mcp-protocol-version'] !== version) {
    return failure(-32020, 'MCP-Protocol-Version differs from _meta')
  }
  if (version !== STATELESS_VERSION) {
    const data = { supported: [STATELESS_VERSION], requested: version }
    return failure(-32022, 'Unsupported protocol version', data)
  }
  if (!method.startsWith('notifications/') && headers['mcp-method'] !== method) {
    return failure(-32020, 'Mcp-Method differs from the body')
  }
  const member = NAMED_BY[method]
  if (member !== undefined && decoded(headers['mcp-name']) !== params[member]) {
    return failure(-32020, 'Mcp-Name differs from the body')
  }
  return method === 'tools/call' ? brokenParam(request, tools, params) : undefined
}

function brokenParam(
  { headers }: RecordedRequest,
  tools: JsonObject[],
  params: JsonObject,
): RpcFailure | undefined {
  const schema = tools.find((tool) => tool['name'] === params['name'])?.['inputSchema']
  for (const { name, value } of annotated(schema, params['arguments'])) {
    const sent = decoded(headers[`mcp-param-${name.toLowerCase()}`])
    const expected = value === undefined || value === null ? undefined : String(value)
    if (sent !== expected) return failure(-32020, `Mcp-Param-${name} differs from the body`)
  }
  return undefined
}

/** The arguments that the schema wants repeated in headers, with their values. */
function annotated(schema: unknown, value: unknown): { name: string; value: unknown }[] {
  if (!isObject(schema)) return []
  const header = schema['x-mcp-header']
  const own = typeof header === 'string' ? [{ name: header, value }] : []
  const properties = isObject(schema['properties']) ? schema['properties'] : {}
  const inner = Object.entries(properties).flatMap(([key, property]) =>
    annotated(property, isObject(value) ? value[key] : undefined),
  )
  return [...own, ...inner]
}

/** Undoes the Base64 form of header values that are not plain ASCII. */
export function decoded(value: string | string[] | undefined): string | undefined {
  if (typeof value !== 'string') return undefined
  const base64 = /^=\?base64\?(.*)\?=$/.exec(value)?.[1]
  return base64 === undefined ? value : Buffer.from(base64, 'base64').toString('utf8')
}

function failure(code: number, message: string, data?: unknown): RpcFailure {
  return new RpcFailure(code, message, { status: 400, data })
}
