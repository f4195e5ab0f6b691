import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  ErrorCode,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  ResultSchema,
  type ServerNotification,
  type ServerRequest,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { startSdkV1Target } from '../../helpers/targets/sdk.js'
import {
  CAPABILITIES,
  type Call,
  describeName,
  PROMPTS,
  promptResult,
  RESOURCES,
  readResource,
  TEMPLATE,
  TOOLS,
} from './contents.js'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

/** Starts what the suite wants of a server, on SDK v1: the older revisions, with sessions. */
export function startEverythingV1() {
  return startSdkV1Target({ server: createServer, resumable: true, retryMs: 100, localOnly: true })
}

function createServer(): Server {
  const server = new Server(
    { name: 'everything-v1', version: '1.0.0' },
    { capabilities: CAPABILITIES },
  )
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.entries(TOOLS).map(([name, { inputSchema }]) => ({
      name,
      description: describeName(name),
      inputSchema,
    })),
  }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) =>
    found(TOOLS[params.name], params.name).run(params.arguments ?? {}, callOf(extra)),
  )
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, prompt]) => ({
      name,
      description: describeName(name),
      arguments: prompt.arguments.map((argument) => ({ name: argument, required: true })),
    })),
  }))
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) =>
    promptResult(found(PROMPTS[params.name], params.name).content(params.arguments ?? {})),
  )
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({
      uri,
      name: uri,
      mimeType,
    })),
  }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: TEMPLATE, name: 'template' }],
  }))
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) =>
    found(readResource(params.uri), params.uri),
  )
  server.setRequestHandler(SubscribeRequestSchema, () => ({}))
  server.setRequestHandler(UnsubscribeRequestSchema, () => ({}))
  server.setRequestHandler(CompleteRequestSchema, ({ params }) => ({
    completion: { values: [`${params.argument.value}-1`] },
  }))
  return server
}

function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new McpError(ErrorCode.InvalidParams, `Unknown: ${name}`)
  return value
}

const callOf = ({ _meta, sendNotification, sendRequest, closeSSEStream }: Extra): Call => ({
  progressToken: _meta?.progressToken,
  notify: (method, params) => sendNotification({ method, params } as ServerNotification),
  ask: (method, params) => sendRequest({ method, params } as ServerRequest, ResultSchema),
  cutStream: () => closeSSEStream?.(),
})
