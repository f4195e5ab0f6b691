import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const MIB = 1024 * 1024
const LARGE = 20 * MIB
const CALLS = 25

let target: RecordingTarget
let stack: Stack
/** How much of its answers the target was asked to write so far. */
let poured = 0
const open = new Set<() => void>()
beforeAll(async () => {
  target = await startRecordingTarget()
  target.intercept(({ rpc, message }, outgoing) => {
    if (rpc !== 'tools/call') return false
    const params = message?.['params'] as { name: string } | undefined
    const name = params?.name
    const id = JSON.stringify(message?.['id'])
    const isStream = name === 'stream'
    const end = `"}]},"jsonrpc":"2.0","id":${name === 'text' ? `"${id}"` : id}}`
    outgoing.writeHead(200, {
      'content-type': isStream ? 'text/event-stream' : 'application/json',
    })
    outgoing.write(`${isStream ? 'data: ' : ''}{"result":{"content":[{"type":"text","text":"`)
    let left = LARGE
    const pour = () => {
      while (left > 0 && !outgoing.destroyed) {
        left -= 65_536
        poured += 65_536
        if (!outgoing.write('x'.repeat(65_536))) return
      }
      if (name === 'broken') outgoing.destroy()
      else if (!outgoing.writableEnded) outgoing.end(isStream ? `${end}\n\n` : end)
    }
    outgoing.on('drain', pour)
    pour()
    return true
  })
  stack = await startStack({
    targets: { target: target.url },
    config: { limits: { bufferedBytes: 50 * MIB } },
  })
})
afterAll(async () => {
  for (const close of open) close()
  await stack.close()
  await target.close()
})

const bodyOf = (name: string, id: number | string = 7) =>
  JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name: `target_${name}` },
  })

/** Calls a tool and reads no more than the head of its answer. */
async function callUnread(name: string): Promise<IncomingMessage> {
  const outgoing = request(stack.url, {
    method: 'POST',
    agent: false,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${await stack.token()}`,
    },
  })
  outgoing.on('error', () => undefined)
  open.add(() => outgoing.destroy())
  outgoing.end(bodyOf(name))
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  incoming.pause()
  return incoming
}

async function read(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

describe('large answers that nobody reads', () => {
  it('as JSON are not read from the target either, and come whole when they are', async () => {
    poured = 0
    const unread = await Promise.all(Array.from({ length: CALLS }, () => callUnread('json')))
    // a quick one behind them shows that nothing stands still
    expect((await stack.post({ jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(200)
    expect(poured).toBeLessThan((CALLS * LARGE) / 2)
    const [first, ...others] = unread
    const text = await read(first as IncomingMessage)
    const message = JSON.parse(text)
    expect(message.id).toBe(7)
    expect(message.result.content[0].text).toHaveLength(LARGE)
    for (const incoming of others) incoming.destroy()
  }, 60_000)

  it('as events find room for some, and the others are told to come again', async () => {
    const unread = await Promise.all(Array.from({ length: 6 }, () => callUnread('stream')))
    const starts = await Promise.all(
      unread.map(async (incoming) => {
        const [chunk] = await once(incoming, 'readable').then(() => [incoming.read()])
        return String(chunk).slice(0, 2_000)
      }),
    )
    const refused = starts.filter((start) => start.includes('"error"'))
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(6)
    expect(refused[0]).toMatch(/"httpStatus":503,"retryAfter":"5"/)
    for (const incoming of unread) incoming.destroy()
    await expect
      .poll(async () => (await readMessage(await stack.post(bodyOf('stream')))).result, {
        timeout: 20_000,
      })
      .toBeDefined()
  }, 60_000)
})

describe('a large answer', () => {
  it('has the id as the client wrote it', async () => {
    expect(JSON.parse(await (await stack.post(bodyOf('text'))).text()).id).toBe(7)
  })

  it('comes under an id of letters beyond ASCII', async () => {
    expect(JSON.parse(await (await stack.post(bodyOf('json', 'ä日本'))).text()).id).toBe('ä日本')
  })

  it('that breaks off breaks off for the client, too', async () => {
    const answered = await stack.post(bodyOf('broken'))
    await expect(answered.text()).rejects.toThrow()
    await expect.poll(() => stack.logText()).toContain('"cause":"cut_off"')
  })
})
