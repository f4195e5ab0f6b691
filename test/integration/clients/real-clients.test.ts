import { createMCPClient } from '@ai-sdk/mcp'
import { Experimental_StdioMCPTransport as StdioTransport } from '@ai-sdk/mcp/mcp-stdio'
import { afterEach, describe, expect, it } from 'vitest'
import { createHome } from '../../helpers/bridge.js'
import { BIN } from '../../helpers/cli.js'
import { buildGoClient } from '../../helpers/clients/go.js'
import { keepUntil } from '../../helpers/keep.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSdkV1Target } from '../../helpers/targets/sdk.js'
import { startSdkV2Target } from '../../helpers/targets/sdk-v2.js'

const GO = {
  'v1.8.0': await buildGoClient('v1.8.0'),
  'v1.2.0': await buildGoClient('v1.2.0'),
}

const keep = keepUntil(afterEach)

const front = async (...urls: string[]): Promise<Stack> =>
  keep(await startStack({ targets: Object.fromEntries(urls.map((url, n) => [`t${n}`, url])) }))

const older = async () => keep(await startSdkV1Target()).url
const stateless = async () => keep(await startSdkV1Target({ sessions: 'none' })).url
const dual = async () => keep(await startSdkV2Target({ legacy: 'sessions' })).url
const modern = async () => keep(await startSdkV2Target({ legacy: 'reject' })).url

const TARGETS: [string, (() => Promise<string>)[]][] = [
  ['an older target', [older]],
  ['an older target without sessions', [stateless]],
  ['a target of both eras', [dual]],
  ['a target of 2026-07-28', [modern]],
  ['an older and a newer target', [older, modern]],
]

describe('the client of the AI SDK with its defaults', () => {
  it.each(TARGETS)('calls a tool through serve on %s', async (_title, starts) => {
    const stack = await front(...(await Promise.all(starts.map((start) => start()))))
    const headers = { authorization: `Bearer ${await stack.token()}` }
    const client = await createMCPClient({ transport: { type: 'http', url: stack.url, headers } })
    const { t0_echo: echo } = await client.tools()
    const result = await echo?.execute?.({ text: 'hi' }, {
      toolCallId: '1',
      messages: [],
      context: {},
    } as never)
    expect(JSON.stringify(result)).toContain('hi')
    await client.close()
  })

  it.each(TARGETS.slice(0, 4))('calls a tool through the bridge on %s', async (_title, starts) => {
    const [url = ''] = await Promise.all(starts.map((start) => start()))
    const env = { PATH: process.env['PATH'] ?? '', CI: '1', MCP_DESCOPE_HOME: createHome() }
    const transport = new StdioTransport({
      command: process.execPath,
      args: [BIN, 'stdio', url],
      env,
    })
    const client = await createMCPClient({ transport })
    const { echo } = await client.tools()
    const result = await echo?.execute?.({ text: 'hi' }, {
      toolCallId: '1',
      messages: [],
      context: {},
    } as never)
    expect(JSON.stringify(result)).toContain('hi')
    await client.close()
  })
})

describe.each(Object.entries(GO))('a client on go-sdk %s', (_version, run) => {
  it.skipIf(run === undefined).each(TARGETS)(
    'calls a tool before and after what the era has no more, on %s',
    async (_title, starts) => {
      const stack = await front(...(await Promise.all(starts.map((start) => start()))))
      const outcome = await run?.(stack.url, 't0_echo', await stack.token())
      expect(JSON.stringify(outcome?.content)).toContain('hi')
      expect(outcome).not.toHaveProperty('call')
      // whoever comes with initialize still has a session of its own
      expect(stack.logText()).not.toContain('cut_off')
    },
  )

  it.skipIf(run === undefined).each([200, 400, 404, 406, 500, 501])(
    'connects to a target that answers GET with %d',
    async (status) => {
      const target = keep(await startRecordingTarget({ sessions: 'required' }))
      target.intercept((request, response) => {
        if (request.method !== 'GET') return false
        response.writeHead(status, { 'content-type': 'text/html' }).end('<p>No</p>')
        return true
      })
      const stack = await front(target.url)
      const outcome = await run?.(stack.url, 't0_echo', await stack.token())
      expect(outcome).not.toHaveProperty('connect')
      expect(outcome?.content).toBeDefined()
    },
  )
})
