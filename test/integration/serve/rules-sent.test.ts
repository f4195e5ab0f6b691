import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ConfigInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

type Rules = NonNullable<NonNullable<ConfigInput['targets']>[string]['rules']>

const ABOUT_TOOL: Rules = [{ when: 'tool.annotations.destructiveHint == true', deny: 'no-dest' }]

const ABOUT_ARGUMENTS: Rules = [
  { when: 'tool.name == "transfer" && arguments.to != "home"', deny: 'Only home' },
]

const MIRRORING = {
  name: 'transfer',
  inputSchema: { type: 'object', properties: { to: { type: 'string', 'x-mcp-header': 'To' } } },
}

let identity: Identity
let target: RecordingTarget
let modern: ModernRecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget({
    tools: [{ ...tool('read'), annotations: { destructiveHint: false } }],
  })
  modern = await startModernRecordingTarget({ tools: [MIRRORING] as never, lenient: true })
})
afterEach(() => {
  target.clear()
  target.intercept(undefined)
  modern.clear()
})
afterAll(async () => {
  for (const { close } of [target, modern, identity]) await close()
})

const bearer = async (stack: Stack, sub: string) => ({
  authorization: `Bearer ${await stack.token({ sub })}`,
})

const callOf = (name: string, id: string | number = 'c') => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call' },
  params: { name, arguments: {} },
})

/** Starts a proxy that has not listed the target yet, and holds the target's list until it is let go. */
async function startHeld() {
  const stack = await startStack({
    identity,
    targets: { t: { url: target.url, prefix: '', rules: ABOUT_TOOL } },
  })
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const came = new Promise<void>((resolve) => {
    target.intercept(async ({ rpc }) => {
      if (rpc !== 'tools/list') return false
      resolve()
      await gate
      return false
    })
  })
  return { stack, came, release }
}

describe('a call that waits until its tool is known', () => {
  it('is answered and not sent when it is cancelled', async () => {
    const { stack, came, release } = await startHeld()
    const auth = await bearer(stack, 'ann')
    const waiting = stack.post(callOf('read', 41), auth)
    await came
    const params = { requestId: 41 }
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params }
    await stack.post(cancel, await bearer(stack, 'bob'))
    expect((await stack.post(cancel, auth)).status).toBe(202)
    const { id, error } = await readMessage(await waiting)
    expect(id).toBe(41)
    expect(error.message).toContain('cancelled')
    release()
    expect(await readMessage(await stack.post(callOf('read'), auth))).toHaveProperty('result')
    expect(target.of('tools/call')).toHaveLength(1)
    await stack.close()
  })

  it('is not sent when its client leaves', async () => {
    const { stack, came, release } = await startHeld()
    const auth = await bearer(stack, 'ann')
    const abort = new AbortController()
    const headers = { 'content-type': 'application/json', ...auth }
    const body = JSON.stringify(callOf('read'))
    const left = fetch(stack.url, { method: 'POST', body, headers, signal: abort.signal })
    await came
    abort.abort()
    await expect(left).rejects.toThrow()
    await vi.waitFor(() =>
      expect(stack.logs().some((line) => line['outcome'] === 'client_left')).toBe(true),
    )
    release()
    expect(await readMessage(await stack.post(callOf('read'), auth))).toHaveProperty('result')
    expect(target.of('tools/call')).toHaveLength(1)
    await stack.close()
  })
})

describe('the list that a tool is looked up in', () => {
  it('is asked for anew where it failed for another caller', async () => {
    const stack = await startStack({
      identity,
      targets: { t: { url: target.url, prefix: '', rules: ABOUT_TOOL } },
    })
    let refusals = 0
    target.intercept(({ rpc }, response) => {
      if (rpc !== 'tools/list' || refusals++ > 0) return false
      response.writeHead(500, { 'content-type': 'text/plain' }).end('because of bob')
      return true
    })
    const call = async (sub: string) =>
      readMessage(await stack.post(callOf('read'), await bearer(stack, sub)))
    const answers = await Promise.all([call('bob'), call('ann')])
    expect(answers.filter(({ error }) => error !== undefined)).toHaveLength(1)
    await stack.close()
  })

  it('is asked for anew after it failed', async () => {
    const stack = await startStack({
      identity,
      targets: { t: { url: target.url, prefix: '', rules: ABOUT_TOOL } },
    })
    target.intercept(({ rpc }, response) => {
      if (rpc !== 'tools/list') return false
      response.writeHead(500, { 'content-type': 'text/plain' }).end('because of bob')
      return true
    })
    const call = async (sub: string) =>
      readMessage(await stack.post(callOf('read'), await bearer(stack, sub)))
    expect(await call('bob')).toHaveProperty('error')
    target.intercept(undefined)
    expect(await call('ann')).toHaveProperty('result')
    await stack.close()
  })
})

it('a header that says another argument than a rule allowed does not reach the target', async () => {
  const stack = await startStack({
    identity,
    targets: { t: { url: modern.url, rules: ABOUT_ARGUMENTS } },
  })
  const send = async (to: string, headers: Record<string, string>) =>
    postStateless(stack, modernRequest('tools/call', { name: 't_transfer', arguments: { to } }), {
      ...(await bearer(stack, 'ann')),
      ...headers,
    })
  const refused = await send('home', { 'mcp-param-to': 'abroad' })
  expect(refused.status).toBe(400)
  expect(refused.message).toMatchObject({ error: { code: -32020 } })
  expect(modern.of('tools/call')).toHaveLength(0)
  const sent = await send('home', { 'mcp-param-to': 'home', 'mcp-other': 'abroad' })
  expect(sent.message).toHaveProperty('result')
  const [request] = modern.of('tools/call')
  expect(request?.headers).toMatchObject({ 'mcp-param-to': 'home' })
  expect(request?.headers).not.toHaveProperty('mcp-other')
  expect((await send('abroad', {})).message).toMatchObject({ error: { message: 'Only home' } })
  await stack.close()
})
