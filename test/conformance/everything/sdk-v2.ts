import {
  createRequestStateCodec,
  fromJsonSchema,
  type McpHttpHandler,
  McpServer,
  type Notification,
  ProtocolError,
  ProtocolErrorCode,
  type RequestMethod,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server'
import type { JsonObject } from '../../../src/util/json.js'
import { startSdkV2Target } from '../../helpers/targets/sdk.js'
import {
  CAPABILITIES,
  type Call,
  describeName,
  PROMPTS,
  promptResult,
  RESOURCES,
  readResource,
  say,
  TEMPLATE,
  TOOLS,
} from './contents.js'
import { registerAsking } from './input-required.js'
import { form } from './schemas.js'

const codec = createRequestStateCodec<JsonObject>({
  key: crypto.getRandomValues(new Uint8Array(32)),
})

/** Starts what the suite wants of a server, on SDK v2: all revisions, the older ones with sessions. */
export function startEverythingV2() {
  return startSdkV2Target({
    server: createServer,
    legacy: 'sessions',
    retryMs: 100,
    localOnly: true,
  })
}

function createServer(notify: McpHttpHandler['notify']): McpServer {
  const server = new McpServer(
    { name: 'everything-v2', version: '2.0.0' },
    { capabilities: CAPABILITIES, requestState: { verify: codec.verify } },
  )
  for (const [name, { inputSchema, run }] of Object.entries(TOOLS)) {
    const schema = fromJsonSchema<JsonObject>(inputSchema)
    const config = { description: describeName(name), inputSchema: schema }
    server.registerTool(name, config, (args, ctx) => run(args, callOf(ctx)) as never)
  }
  registerModern(server, notify)
  registerAsking(server, codec)
  registerContents(server)
  return server
}

/** What only 2026-07-28 asks for. */
function registerModern(server: McpServer, notify: McpHttpHandler['notify']): void {
  const region = { type: 'string', 'x-mcp-header': 'Region' } as const
  const inputSchema = fromJsonSchema<JsonObject>({ type: 'object', properties: { region } })
  const config = { description: 'wants its region in a header', inputSchema }
  server.registerTool('test_region_header', config, (args) => say(String(args['region'])))
  const simple: Record<string, (ctx: ServerContext) => unknown> = {
    test_streaming_elicitation: () => 'asks nothing',
    test_logging_tool: ({ mcpReq }) => mcpReq.log('info', 'only for those who set a level'),
    test_trigger_tool_change: () => notify.toolsChanged(),
    test_trigger_prompt_change: () => notify.promptsChanged(),
  }
  for (const [name, run] of Object.entries(simple)) {
    server.registerTool(name, { description: describeName(name) }, async (ctx) => {
      await run(ctx)
      return say('Done.')
    })
  }
}

function registerContents(server: McpServer): void {
  for (const [name, prompt] of Object.entries(PROMPTS)) {
    const properties = prompt.arguments.map((argument) => [argument, { type: 'string' }] as const)
    const argsSchema = fromJsonSchema<JsonObject>(form(Object.fromEntries(properties)))
    const config = {
      description: describeName(name),
      ...(prompt.arguments.length > 0 && { argsSchema }),
    }
    server.registerPrompt(
      name,
      config,
      (args: JsonObject) => promptResult(prompt.content(args)) as never,
    )
  }
  for (const [uri, { mimeType }] of Object.entries(RESOURCES)) {
    server.registerResource(uri, uri, { mimeType }, () => readResource(uri) as never)
  }
  const template = new ResourceTemplate(TEMPLATE, { list: undefined })
  server.registerResource('template', template, {}, ({ href }) => {
    const result = readResource(href)
    if (result === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, href)
    return result as never
  })
  const { server: plain } = server
  plain.setRequestHandler('resources/subscribe', () => ({}))
  plain.setRequestHandler('resources/unsubscribe', () => ({}))
  plain.setRequestHandler('completion/complete', ({ params }) => ({
    completion: { values: [`${params.argument.value}-1`] },
  }))
}

const callOf = ({ mcpReq, http }: ServerContext): Call => ({
  progressToken: mcpReq._meta?.progressToken,
  notify: (method, params) => mcpReq.notify({ method, params } as Notification),
  ask: (method, params) => mcpReq.send({ method: method as RequestMethod, params }) as never,
  cutStream: () => http?.closeSSE?.(),
})
