import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createBacklog, createHostConnection, readMessages } from '../../../src/bridge/host.js'
import { eventually } from '../../helpers/targets/eventually.js'

describe('createHost', () => {
  it('writes each message as one line', () => {
    const written: string[] = []
    createHostConnection({ out: (text) => written.push(text) }).send('{\n  "a": "b"\r\n}')
    const out = written.join('')
    expect(out).toBe('{   "a": "b" }\n')
    expect(JSON.parse(out)).toEqual({ a: 'b' })
  })

  it('[bridge-back-pressure] says when the host is behind, and when it is not any more', async () => {
    let drain = () => {}
    let drained: Promise<void> | undefined = new Promise((resolve) => {
      drain = resolve
    })
    const host = createHostConnection({ out: () => {}, outDrained: () => drained })
    host.send('{}')
    expect(host.isBehind).toBe(true)
    const told: string[] = []
    host.whenReady(() => told.push('ready'))
    drain()
    drained = undefined
    await new Promise((resolve) => setImmediate(resolve))
    expect(told).toEqual(['ready'])
    expect(host.isBehind).toBe(false)
  })
})

const line = (n: number, more = '') =>
  `${JSON.stringify({ jsonrpc: '2.0', id: n, method: 'ping', params: { more } })}\n`

function begin(max = 1_000) {
  const stdin = new PassThrough()
  const waiting: (() => void)[] = []
  const host = {
    isBehind: false,
    send() {},
    whenReady: (callback: () => void) => void waiting.push(callback),
  }
  const backlog = createBacklog(max)
  const read: unknown[] = []
  const seen = { end: false }
  readMessages(stdin, host, backlog, ({ id }) => read.push(id))
  stdin.on('end', () => {
    seen.end = true
  })
  const catchUp = () => {
    host.isBehind = false
    for (const callback of waiting.splice(0)) callback()
  }
  return { stdin, host, backlog, read, seen, catchUp }
}

describe('readMessages', () => {
  it('[bridge-back-pressure] looks at nothing more while the host is behind, and goes on from there in order', async () => {
    const { stdin, host, read, catchUp } = begin()
    stdin.write(line(1))
    await eventually(() => expect(read).toEqual([1]))
    host.isBehind = true
    for (const n of [2, 3]) stdin.write(line(n))
    await new Promise((resolve) => setImmediate(resolve))
    expect(read).toEqual([1])
    catchUp()
    stdin.write(line(4))
    await eventually(() => expect(read).toEqual([1, 2, 3, 4]))
  })

  it('[bridge-back-pressure] goes on when there is room again, one message over the limit at most', async () => {
    const { stdin, backlog, read } = begin(10)
    const done = backlog.take(10)
    stdin.write(line(1))
    await new Promise((resolve) => setImmediate(resolve))
    expect(read).toEqual([])
    done()
    done()
    await eventually(() => expect(read).toEqual([1]))
    expect(backlog.isFull()).toBe(false)
  })

  it('[bridge-ends] sees the end of stdin although the host is behind', async () => {
    const { stdin, host, read, seen } = begin()
    host.isBehind = true
    for (const n of [1, 2, 3]) stdin.write(line(n))
    stdin.end()
    await eventually(() => expect(seen.end).toBe(true))
    expect(read).toEqual([1, 2, 3])
  })

  it('[bridge-back-pressure] takes in no more than a megabyte ahead', async () => {
    const { stdin, host, read, catchUp } = begin()
    host.isBehind = true
    const count = 64
    for (let n = 0; n < count; n++) stdin.write(line(n, 'x'.repeat(100_000)))
    await eventually(() => expect(stdin.isPaused()).toBe(true))
    expect(stdin.readableLength + stdin.writableLength).toBeGreaterThan(5_000_000)
    expect(read).toEqual([])
    catchUp()
    await eventually(() => expect(read).toHaveLength(count))
  })
})
