import { afterEach, describe, expect, it } from 'vitest'
import { keepUntil } from '../../helpers/keep.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const keep = keepUntil(afterEach)

const OLD = '2025-11-25'
const hello = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: { protocolVersion: OLD, capabilities: {}, clientInfo: { name: 'c', version: '1' } },
}
const LISTS = {
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
} as const

async function begin(stack: Stack): Promise<Record<string, string>> {
  const response = await stack.post(hello)
  await response.text()
  const id = response.headers.get('mcp-session-id')
  return { 'mcp-protocol-version': OLD, ...(id !== null && { 'mcp-session-id': id }) }
}

async function states(stack: Stack) {
  const answer = await fetch(`${stack.origin}/readyz`)
  const body = (await answer.json()) as { targets: Record<string, string> }
  return body.targets
}

const answersOdd = (status: number, body: string) => (target: RecordingTarget) =>
  target.intercept((request, response) => {
    if (!(String(request.rpc) in LISTS)) return false
    const id = JSON.stringify(request.message?.['id'])
    const type = body.startsWith('{') ? 'application/json' : 'text/plain'
    response.writeHead(status, { 'content-type': type }).end(body.replace('ID', id))
    return true
  })

describe('a list that a target did not declare', () => {
  it.each(['required', 'none'] as const)(
    'is not asked of it, and its tools and state stay, with sessions %s',
    async (sessions) => {
      const plain = keep(
        await startRecordingTarget({
          handlers: {
            initialize: () => ({
              protocolVersion: OLD,
              capabilities: { tools: {} },
              serverInfo: { name: 'plain', version: '1' },
            }),
          },
        }),
      )
      answersOdd(500, 'boom')(plain)
      const full = keep(await startRecordingTarget({ sessions, prompts: [{ name: 'hello' }] }))
      const stack = keep(await startStack({ targets: { plain: plain.url, full: full.url } }))
      const session = await begin(stack)
      for (const [method, member] of Object.entries(LISTS)) {
        const answer = await readMessage(
          await stack.post({ jsonrpc: '2.0', id: 2, method }, session),
        )
        expect(answer.result[member]).toBeInstanceOf(Array)
        expect(answer.result._meta).toBeUndefined()
        expect(plain.of(method)).toHaveLength(0)
      }
      const level = { jsonrpc: '2.0', id: 3, method: 'logging/setLevel', params: { level: 'info' } }
      expect((await readMessage(await stack.post(level, session))).result).toEqual({})
      expect(plain.of('logging/setLevel')).toHaveLength(0)
      const tools = await readMessage(
        await stack.post({ jsonrpc: '2.0', id: 4, method: 'tools/list' }, session),
      )
      expect(tools.result.tools).toHaveLength(2)
      expect(await states(stack)).toEqual({ plain: 'ok', full: 'ok' })
      expect(stack.logText()).not.toContain('target_unavailable')
    },
  )

  it('is not asked of a target of 2026-07-28 either', async () => {
    const handlers = {
      'server/discover': () => ({ supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }),
    }
    const plain = keep(await startModernRecordingTarget({ handlers }))
    const full = keep(await startModernRecordingTarget({ prompts: [{ name: 'hello' }] }))
    const stack = keep(await startStack({ targets: { plain: plain.url, full: full.url } }))
    const { message } = await postStateless(stack, modernRequest('prompts/list'))
    expect(message.result.prompts).toMatchObject([{ name: 'full_hello' }])
    expect(plain.of('prompts/list')).toHaveLength(0)
  })

  it.each([
    ['an internal error', 200, '{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"x"}}'],
    ['404 text', 404, 'Not found'],
    ['500', 500, 'boom'],
    ['501', 501, ''],
  ])(
    'and that its only target answers with %s does not make it down',
    async (_title, status, body) => {
      const target = keep(await startRecordingTarget())
      answersOdd(status, body)(target)
      const stack = keep(await startStack({ targets: { t: target.url } }))
      const session = await begin(stack)
      const list = { jsonrpc: '2.0', id: 2, method: 'prompts/list' }
      expect((await readMessage(await stack.post(list, session))).error).toBeDefined()
      expect(await states(stack)).toEqual({ t: 'ok' })
    },
  )

  it.each([502, 503, 504])(
    'is another thing than a target that is not reached: %d',
    async (status) => {
      const target = keep(await startRecordingTarget())
      answersOdd(status, '')(target)
      const stack = keep(await startStack({ targets: { t: target.url } }))
      await stack.post({ jsonrpc: '2.0', id: 2, method: 'prompts/list' }, await begin(stack))
      expect(await states(stack)).toEqual({ t: 'down' })
    },
  )
})

describe('a list that is null', () => {
  it.each([...Object.entries(LISTS), ['tools/list', 'tools']])(
    'is empty: %s',
    async (method, member) => {
      const handlers = { [method]: () => ({ [member]: null, _meta: { kept: true } }) }
      const target = keep(await startRecordingTarget({ handlers }))
      const other = keep(await startRecordingTarget())
      const single = keep(await startStack({ targets: { t: target.url } }))
      const several = keep(await startStack({ targets: { t: target.url, o: other.url } }))
      for (const stack of [single, several]) {
        const list = { jsonrpc: '2.0', id: 2, method }
        const { result } = await readMessage(await stack.post(list, await begin(stack)))
        expect(result[member]).toEqual(
          stack === several && method === 'tools/list' ? [expect.anything()] : [],
        )
        if (stack === single) expect(result._meta).toEqual({ kept: true })
        else expect(result._meta).toBeUndefined()
        expect(Object.values(await states(stack))).not.toContain('down')
      }
    },
  )
})
