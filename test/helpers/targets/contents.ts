import { isObject, type JsonObject } from '../../../src/util/json.js'

/** Throw it in a handler to answer with a JSON-RPC error. */
export class RpcFailure extends Error {
  readonly code: number
  readonly data: unknown
  /** The HTTP status the error travels with. */
  readonly status: number

  constructor(code: number, message: string, { data, status = 200 }: FailureOptions = {}) {
    super(message)
    this.code = code
    this.data = data
    this.status = status
  }

  body(id: unknown): JsonObject {
    const error: JsonObject = { code: this.code, message: this.message }
    if (this.data !== undefined) error['data'] = this.data
    return { jsonrpc: '2.0', id: id ?? null, error }
  }
}

interface FailureOptions {
  data?: unknown
  status?: number
}

/** What a bare target offers. All members are sent as they are, unknown ones too. */
export interface Contents {
  serverInfo: JsonObject
  instructions: string | undefined
  tools: JsonObject[]
  prompts: JsonObject[]
  resources: JsonObject[]
  resourceTemplates: JsonObject[]
  /** Replaces the capabilities that follow from the lists. */
  capabilities: JsonObject | undefined
  /** Adds `listChanged` and `subscribe` to the capabilities. */
  listChanged: boolean
  /** Entries on a page; lists are one page by default. */
  pageSize: number | undefined
}

/** Fills what is missing: one tool `echo` and nothing else. */
export function withDefaults(contents: Partial<Contents>): Contents {
  return {
    serverInfo: { name: 'bare-target', version: '1.0.0' },
    instructions: undefined,
    tools: [tool('echo', { description: 'Returns its arguments.' })],
    prompts: [],
    resources: [],
    resourceTemplates: [],
    capabilities: undefined,
    listChanged: false,
    pageSize: undefined,
    ...contents,
  }
}

/** Makes a tool entry that takes any object. */
export function tool(name: string, members: JsonObject = {}): JsonObject {
  return { name, inputSchema: { type: 'object' }, ...members }
}

export function capabilitiesOf(contents: Contents): JsonObject {
  if (contents.capabilities !== undefined) return contents.capabilities
  const changes = contents.listChanged ? { listChanged: true } : {}
  const subscribe = contents.listChanged ? { subscribe: true } : {}
  const result: JsonObject = { logging: {}, completions: {} }
  if (contents.tools.length > 0) result['tools'] = { ...changes }
  if (contents.prompts.length > 0) result['prompts'] = { ...changes }
  if (contents.resources.length + contents.resourceTemplates.length > 0) {
    result['resources'] = { ...changes, ...subscribe }
  }
  return result
}

export type Answer = (params: JsonObject) => unknown

/** The answers to the methods that both eras have. They read `contents` anew each time. */
export function defaultAnswers(contents: Contents): Record<string, Answer> {
  return {
    'tools/list': (params) => page('tools', contents.tools, params, contents.pageSize),
    'prompts/list': (params) => page('prompts', contents.prompts, params, contents.pageSize),
    'resources/list': (params) => page('resources', contents.resources, params, contents.pageSize),
    'resources/templates/list': (params) =>
      page('resourceTemplates', contents.resourceTemplates, params, contents.pageSize),
    'tools/call': (params) => {
      find(contents.tools, 'name', params['name'], `Unknown tool: ${params['name']}`)
      const called = { tool: params['name'], arguments: params['arguments'] ?? {} }
      return { content: [{ type: 'text', text: JSON.stringify(called) }] }
    },
    'prompts/get': (params) => {
      find(contents.prompts, 'name', params['name'], `Unknown prompt: ${params['name']}`)
      const text = JSON.stringify({ prompt: params['name'], arguments: params['arguments'] ?? {} })
      return { messages: [{ role: 'user', content: { type: 'text', text } }] }
    },
    'resources/read': (params) => {
      const uri = params['uri']
      if (contents.resourceTemplates.length === 0) {
        find(contents.resources, 'uri', uri, `Resource not found: ${uri}`)
      }
      return { contents: [{ uri, mimeType: 'text/plain', text: `contents of ${uri}` }] }
    },
    'completion/complete': (params) => {
      const argument = isObject(params['argument']) ? params['argument'] : {}
      const values = [`${argument['value']}-one`, `${argument['value']}-two`]
      return { completion: { values, total: 2, hasMore: false } }
    },
  }
}

function find(entries: JsonObject[], member: string, wanted: unknown, message: string): void {
  if (!entries.some((entry) => entry[member] === wanted)) throw new RpcFailure(-32602, message)
}

function page(
  member: string,
  entries: JsonObject[],
  params: JsonObject,
  size = entries.length,
): JsonObject {
  const cursor = params['cursor']
  const start = cursor === undefined ? 0 : Number(String(cursor).replace(/^after-/, ''))
  if (!Number.isInteger(start)) throw new RpcFailure(-32602, 'Invalid cursor')
  const end = start + size
  const result: JsonObject = { [member]: entries.slice(start, end) }
  if (end < entries.length) result['nextCursor'] = `after-${end}`
  return result
}
