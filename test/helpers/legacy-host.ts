import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import type { JsonObject } from '../../src/util/json.js'

/** A real client of SDK v1, which never speaks 2026-07-28, with a user, a model and a project. */
export interface LegacyHost {
  readonly client: Client
  /** Notifications so far, as `method` or `method data`. */
  readonly heard: string[]
  /** What it was asked, in order. */
  readonly asked: { method: string; params: unknown }[]
  /** Calls a tool; resolves with the text of its result. */
  call(name: string, args?: JsonObject): Promise<string>
  close(): Promise<void>
}

export interface LegacyHostOptions {
  capabilities?: JsonObject
  /** What the user does when asked. */
  elicit?: () => JsonObject | Promise<JsonObject>
}

export const HOST_CAPABILITIES = { elicitation: {}, sampling: {}, roots: { listChanged: true } }

/** Connects a host. It can do all that hosts can do, unless `capabilities` say otherwise. */
export async function connectHost(
  transport: unknown,
  options: LegacyHostOptions = {},
): Promise<LegacyHost> {
  const capabilities = options.capabilities ?? HOST_CAPABILITIES
  const client = new Client({ name: 'legacy host é', version: '1.0.0' }, { capabilities })
  const heard: string[] = []
  const asked: LegacyHost['asked'] = []
  if ('elicitation' in capabilities) {
    client.setRequestHandler(ElicitRequestSchema, ({ method, params }) => {
      asked.push({ method, params })
      const answer = { action: 'accept' as const, content: { name: 'Ada' } }
      return (options.elicit?.() ?? answer) as typeof answer
    })
  }
  if ('sampling' in capabilities) {
    client.setRequestHandler(CreateMessageRequestSchema, ({ method, params }) => {
      asked.push({ method, params })
      const content = { type: 'text' as const, text: 'a word' }
      return { model: 'test-model', role: 'assistant' as const, content }
    })
  }
  if ('roots' in capabilities) {
    client.setRequestHandler(ListRootsRequestSchema, ({ method, params }) => {
      asked.push({ method, params })
      return { roots: [{ uri: 'file:///project', name: 'project' }] }
    })
  }
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ method, params }) => {
    heard.push(`${method} ${params.data}`)
  })
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ method, params }) => {
    heard.push(`${method} ${params.uri}`)
  })
  for (const schema of [
    ToolListChangedNotificationSchema,
    PromptListChangedNotificationSchema,
    ResourceListChangedNotificationSchema,
  ]) {
    client.setNotificationHandler(schema, ({ method }) => {
      heard.push(method)
    })
  }
  await client.connect(transport as Transport)
  return {
    client,
    heard,
    asked,
    async call(name, args = {}) {
      const { content } = await client.callTool({ name, arguments: args })
      return (content as { text: string }[]).map(({ text }) => text).join('\n')
    },
    close: () => client.close(),
  }
}
