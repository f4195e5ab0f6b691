import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const NAMES = [
  'delete_uſers',
  'DELETE_USERS',
  'ｄｅｌｅｔｅ_users',
  'delete_users\u200b',
  'dele\u00adte_users',
  ' delete_users',
  'délete_users',
  'ma\u212ae',
  'ſtraße',
  'f\u0131le',
  'F\u0130LE',
  '\ufb01le',
]

let target: RecordingTarget
let stack: Stack
let open: Stack
let listing: Stack
beforeAll(async () => {
  target = await startRecordingTarget({ tools: NAMES.concat('fine').map((name) => tool(name)) })
  const tools = { deny: ['delete_users', 'MAKE', 'STRASSE', 'file'] }
  stack = await startStack({ targets: { t: { url: target.url, tools } } })
  const { identity } = stack
  open = await startStack({ identity, targets: { t: target.url } })
  listing = await startStack({
    identity,
    targets: { t: { url: target.url, tools, methods: ['com.example/*', '*/call'] } },
  })
})
beforeEach(() => target.clear())
afterAll(async () => {
  for (const each of [listing, open, stack]) await each.close()
  await target.close()
})

const send = async (at: Stack, method: string, params: object = {}) =>
  readMessage(await at.post({ jsonrpc: '2.0', id: 1, method, params }))

describe('a tool whose name a lenient target takes for a withheld one', () => {
  it('is not listed', async () => {
    const { result } = await send(stack, 'tools/list')
    expect(result.tools.map(({ name }: { name: string }) => name)).toEqual(['t_fine'])
  })

  it.each(NAMES)('%j is not called', async (name) => {
    const { error } = await send(stack, 'tools/call', { name: `t_${name}`, arguments: {} })
    expect(error).toMatchObject({ code: -32602, message: `Unknown tool: t_${name}` })
    expect(target.of('tools/call')).toEqual([])
  })
})

describe('a method that a lenient target takes for one of MCP', () => {
  const METHODS = ['Tools/Call', 'TOOLS/CALL', 'toolſ/call', 'tools/call ', 'tools//call']

  it.each(METHODS)('%j is refused, whatever the target restricts or lists', async (method) => {
    for (const at of [stack, open, listing]) {
      const { error } = await send(at, method, { name: 'delete_users', arguments: {} })
      expect(error).toMatchObject({ code: -32601, message: `Unknown method: ${method}` })
      const message = { jsonrpc: '2.0', method, params: { name: 'delete_users' } }
      expect((await at.post(message)).status).toBe(202)
    }
    expect(target.requests).toEqual([])
  })
})

describe("a method that is none of MCP's", () => {
  const isPassed = async (at: Stack, method: string) => {
    await send(at, method)
    return target.requests.length > 0
  }

  it('is refused where tools are restricted', async () => {
    expect(await isPassed(stack, 'com.example/delete')).toBe(false)
    expect(await isPassed(stack, 'tools/invoke')).toBe(false)
  })

  it('passes where it is listed', async () => {
    expect(await isPassed(listing, 'org.example/delete')).toBe(false)
    expect(await isPassed(listing, 'com.example/delete')).toBe(true)
  })

  it('passes where nothing is restricted', async () => {
    expect(await isPassed(open, 'vendor/own')).toBe(true)
  })
})
