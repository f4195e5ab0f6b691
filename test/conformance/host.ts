import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Client, type Tool } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { isObject, type JsonObject } from '../../src/util/json.js'
import { createBrowser, createHome } from '../helpers/bridge.js'
import { BIN } from '../helpers/cli.js'
import type { Scene } from './stage.js'

/** `older` begins with `initialize`; `modern` asks for 2026-07-28 first. */
export type Era = 'older' | 'stateless'

interface Call {
  name: string
  arguments: JsonObject
}

/**
 * The SDK's own starts the bridge twice to ask for 2026-07-28, and ends the first in the middle of a
 * sign-in; with a class of its own it asks the one that stays.
 */
class Transport extends StdioClientTransport {}

/**
 * Starts the bridge as hosts do and uses all that the server has, so that the scenario sees what it
 * looks for. Failures are no exceptions here: the scenario knows whether there should be one.
 *
 * @returns What happened, and what the bridge said.
 */
export async function playHost(scene: Scene, era: Era): Promise<string> {
  const transport = new Transport({
    command: process.execPath,
    args: [BIN, 'stdio', scene.url],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: '/nonexistent',
      MCP_DESCOPE_HOME: createHome(),
      MCP_DESCOPE_LOG_LEVEL: 'debug',
      BROWSER: createBrowser(true).path,
      ...clientOf(scene),
    },
    stderr: 'pipe',
  })
  const stderr = text(transport.stderr as Readable)
  const client = new Client(
    { name: 'conformance-host', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: {} },
      versionNegotiation: { mode: era === 'stateless' ? 'auto' : 'legacy' },
    },
  )
  client.setRequestHandler('elicitation/create', ({ params }) => ({
    action: 'accept',
    content: JSON.stringify(params).includes('"confirmed"') ? { confirmed: true } : {},
  }))
  const story: string[] = []
  const tell = (what: unknown) => void story.push(JSON.stringify(what))
  const failed = (error: Error) => void story.push(`${error.stack}`)
  try {
    await client.connect(transport)
    tell({ version: client.getNegotiatedProtocolVersion() })
    await useAll(client, scene, tell, failed)
  } catch (error) {
    failed(error as Error)
  }
  await client.close()
  return `${story.join('\n')}\n${await stderr}`
}

/** Scenarios in which even the first request must be one of 2026-07-28: the bridge is told so. */
const STRICT = ['http-standard-headers', 'request-metadata']

/** The client that is registered already, where the scenario has one, and what else it wants. */
function clientOf({ scenario, context }: Scene): Record<string, string> {
  const given = {
    ...(STRICT.includes(scenario) && { MCP_DESCOPE_PROTOCOL: '2026-07-28' }),
    MCP_DESCOPE_CLIENT_ID: context['client_id'],
    MCP_DESCOPE_CLIENT_SECRET: context['client_secret'],
    // what this scenario expects; nothing is there
    ...(scenario === 'auth/basic-cimd' && {
      MCP_DESCOPE_CLIENT_METADATA_URL: 'https://conformance-test.local/client-metadata.json',
    }),
  }
  return Object.fromEntries(
    Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

async function useAll(
  client: Client,
  scene: Scene,
  tell: (what: unknown) => void,
  failed: (error: Error) => void,
): Promise<void> {
  const tools = await listTools(client, tell)
  // its server has nothing but a list
  if (scene.scenario === 'json-schema-ref-no-deref') return
  for (const call of callsFor(tools, scene)) {
    await client.callTool(call).then(tell, failed)
  }
  const has = client.getServerCapabilities()
  if (has?.resources !== undefined) {
    const { resources } = await client.listResources()
    for (const { uri } of resources) await client.readResource({ uri }).then(tell, failed)
  }
  if (has?.prompts !== undefined) {
    const { prompts } = await client.listPrompts()
    for (const { name } of prompts) await client.getPrompt({ name }).then(tell, failed)
  }
}

async function listTools(client: Client, tell: (what: unknown) => void): Promise<Tool[]> {
  const { tools } = await client.listTools()
  tell(tools.map(({ name }) => name))
  if (tools[0]?.name !== 'login') return tools
  // all that there is before somebody signed in, and what assistants do with it
  tell(await client.callTool({ name: 'login' }))
  return (await client.listTools()).tools
}

function callsFor(tools: readonly Tool[], { context }: Scene): Call[] {
  const given = context['toolCalls']
  if (Array.isArray(given)) return given
  const schema = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema
  return tools
    .filter(({ name }) => name !== 'login')
    .map(({ name }) => ({
      name,
      arguments:
        name === 'json_schema_echo' && isObject(schema) ? { schema } : { a: 2, b: 3, region: 'x' },
    }))
}
