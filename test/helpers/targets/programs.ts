import { readFileSync } from 'node:fs'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { ClientCapabilities } from '@modelcontextprotocol/sdk/types.js'
import type { TargetInput } from '../../../src/config/types.js'
import { buildProcess } from '../processes/build.js'
import type { Stack } from '../stack.js'

let script: Promise<string> | undefined

/** Makes a target of the server on stdio; `mode` says how it misbehaves. */
export async function programTarget(more: TargetInput = {}, mode?: string): Promise<TargetInput> {
  script ??= buildProcess('stdio-target')
  const args = mode === undefined ? [await script] : [await script, mode]
  return { command: process.execPath, args, ...more }
}

/** A client of SDK v1 with a session, and what it sends with each request. */
export interface Connected {
  readonly client: Client
  readonly transport: StreamableHTTPClientTransport
  /** Calls a tool and returns its text. */
  call(name: string, args?: Record<string, unknown>): Promise<string>
}

/** Connects a client of SDK v1 for a user. */
export async function connectAs(
  { url, token }: Pick<Stack, 'url' | 'token'>,
  sub: string,
  options: { capabilities?: ClientCapabilities; prepare?: (client: Client) => void } = {},
): Promise<Connected> {
  const { capabilities = {}, prepare } = options
  const client = new Client({ name: 'test', version: '1.0.0' }, { capabilities })
  prepare?.(client)
  const authorization = `Bearer ${await token({ sub })}`
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { authorization } },
  })
  await client.connect(transport as never)
  return {
    client,
    transport,
    async call(name, args = {}) {
      const result = await client.callTool({ name, arguments: args })
      return textOf(result)
    },
  }
}

export function textOf(result: unknown): string {
  const { content } = result as { content: { text: string }[] }
  return content[0]?.text ?? ''
}

/** Tells whether a process runs; one that ended and that nobody asked for does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
