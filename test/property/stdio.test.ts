import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { startIdentity } from '../../src/demo/identity/index.js'
import { isObject, tryParseJson } from '../../src/util/json.js'
import { createHome, startBridge } from '../helpers/bridge.js'
import { createFolder } from '../helpers/folder.js'
import { clock, startStack } from '../helpers/stack.js'
import { tool } from '../helpers/targets/contents.js'
import { startRecordingTarget } from '../helpers/targets/recording.js'

const MIB = 1024 * 1024
/** What garbage may not pile up to, whatever the collector leaves behind. */
const MOST_GROWTH = 250 * MIB

const target = await startRecordingTarget({ tools: [tool('echo')] })
target.on('tools/call', () => ({ content: [] }))
afterAll(() => target.close())

const memoryOf = (pid: number | undefined) => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024
}

const id = fc.constantFrom(
  '1',
  '"a"',
  'null',
  '{}',
  '[]',
  '1.5',
  '-0',
  '1e400',
  '9007199254740993',
  '""',
)
const method = fc.constantFrom(
  'ping',
  'tools/list',
  'tools/call',
  'x',
  '',
  '__proto__',
  'Tools/Call',
)
const message = fc
  .tuple(id, method, fc.json())
  .chain(([of, name, params]) =>
    fc.constantFrom(
      `{"jsonrpc":"2.0","id":${of},"method":"${name}","params":${params}}`,
      `{"jsonrpc":"2.0","id":${of},"id":5,"method":"${name}"}`,
      `{"jsonrpc":"1.0","id":${of},"method":"${name}"}`,
      `{"jsonrpc":"2.0","method":"${name}","params":${params}}`,
      `{"jsonrpc":"2.0","id":${of},"result":${params}}`,
      `{"jsonrpc":"2.0","id":${of},"error":${params}}`,
      `[{"jsonrpc":"2.0","id":${of},"method":"${name}"}]`,
      `{"__proto__":{"jsonrpc":"2.0","id":${of},"method":"${name}"}}`,
    ),
  )
const line = fc.oneof(
  { weight: 5, arbitrary: message.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: message.map((text) => Buffer.from(`\ufeff${text}\r`)) },
  { weight: 1, arbitrary: message.map((text) => Buffer.from(text.slice(0, text.length / 2))) },
  { weight: 1, arbitrary: message.map((text) => Buffer.from(`\u0000${text}\u0000`)) },
  { weight: 1, arbitrary: message.map((text) => Buffer.from(text, 'utf16le')) },
  { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('['.repeat(50_000), '{"a":'.repeat(50_000), '"'.repeat(50_000), 'x'.repeat(MIB))
      .map((text) => Buffer.from(text)),
  },
)
const lines = fc.array(line, { minLength: 1, maxLength: 40 })

describe('the bridge, whatever a host writes', () => {
  it('answers each request once, writes nothing but JSON-RPC and goes on', async () => {
    const bridge = startBridge(target.url, { timeoutMs: 100_000 })
    await bridge.handshake()
    const before = memoryOf(bridge.child.pid)
    let round = 0
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.integer({ min: 1, max: 5_000 })), async (all, cuts) => {
        round += 1
        const bytes = Buffer.concat(all.flatMap((each) => [each, Buffer.from('\n')]))
        let from = 0
        for (const cut of [...cuts, bytes.length]) {
          bridge.child.stdin.write(bytes.subarray(from, from + cut))
          from += cut
          await new Promise((resolve) => setImmediate(resolve))
        }
        const own = `own-${round}`
        // throws where it ended, or gave no answer in time
        expect(await bridge.request('tools/list', {}, own)).toHaveProperty('result')
        const answers = bridge.messages().filter((answer) => answer['id'] === own)
        expect(answers).toHaveLength(1)
      }),
      { numRuns: 60 },
    )
    expect(memoryOf(bridge.child.pid) - before).toBeLessThan(MOST_GROWTH)
    for (const { result, error, id: of } of bridge.messages()) {
      expect((result === undefined) !== (error === undefined)).toBe(true)
      expect(['string', 'number', 'object']).toContain(typeof of)
    }
    expect((await bridge.end()).status).toBe(0)
  }, 110_000)

  it('gives each of many requests with an id of its own exactly one answer', async () => {
    const bridge = startBridge(target.url, { timeoutMs: 100_000 })
    await bridge.handshake()
    let [count, rounds] = [0, 0]
    const ids: string[] = []
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(method, fc.json(), line), { maxLength: 12 }),
        async (all) => {
          for (const [name, params, noise] of all) {
            count += 1
            ids.push(`r${count}`)
            const request = `{"jsonrpc":"2.0","id":"r${count}","method":"${name}","params":${params}}`
            bridge.child.stdin.write(Buffer.concat([noise, Buffer.from(`\n${request}\n`)]))
          }
          rounds += 1
          await bridge.request('ping', {}, `p${rounds}`)
        },
      ),
      { numRuns: 30 },
    )
    const answered = () =>
      bridge.messages().flatMap(({ id: of }) => (/^r\d+$/.test(String(of)) ? [String(of)] : []))
    await bridge.until(() => new Set(answered()).size === ids.length, 30_000)
    expect(answered().sort()).toEqual([...ids].sort())
    expect((await bridge.end()).status).toBe(0)
  }, 110_000)
})

/** Writes before each answer what its file holds at that time. */
const PROGRAM = `
const fs = require('node:fs')
let rest = ''
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n')
  rest = lines.pop()
  for (const line of lines) {
    const { id, method, params } = JSON.parse(line)
    if (id === undefined) continue
    const result = method === 'initialize'
      ? { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'p', version: '1' } }
      : method === 'tools/list' ? { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } : { content: [] }
    if (method === 'tools/call') process.stdout.write(fs.readFileSync(process.argv[2]))
    process.stdout.write('\\n' + JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n')
  }
})
`
/** Not too deep: whoever writes such a line is ended, which another test shows. */
const programLine = fc.oneof(
  { weight: 4, arbitrary: message.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: message.map((text) => Buffer.from(text.slice(0, text.length / 2))) },
  { weight: 1, arbitrary: message.map((text) => Buffer.from(`\ufeff\u0000${text}\r`)) },
  { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.constant(Buffer.alloc(MIB, 'x')) },
)

describe('a program as target, whatever it writes', () => {
  it('gives a caller of serve one answer, and does nothing to another target', async () => {
    const folder = createFolder({ 'program.cjs': PROGRAM, noise: '' })
    const [script, noise] = [join(folder, 'program.cjs'), join(folder, 'noise')]
    const stack = await startStack({
      targets: {
        p: { command: process.execPath, args: [script, noise] },
        o: { url: target.url },
      },
    })
    const before = process.memoryUsage().rss
    let number = 0
    await fc.assert(
      fc.asyncProperty(fc.array(programLine, { maxLength: 20 }), async (all) => {
        number += 1
        writeFileSync(noise, Buffer.concat(all.flatMap((each) => [each, Buffer.from('\n')])))
        for (const name of ['p_echo', 'o_echo']) {
          const of = `c${number}`
          const params = { name, arguments: {} }
          const response = await stack.post({
            jsonrpc: '2.0',
            id: of,
            method: 'tools/call',
            params,
          })
          const text = await response.text()
          const found = text.startsWith('{')
            ? [tryParseJson(text)]
            : [...text.matchAll(/^data: ?(.+)$/gm)].map(([, data = '']) => tryParseJson(data))
          for (const each of found) expect(each).toMatchObject({ jsonrpc: '2.0' })
          const answers = found.filter((each) => isObject(each) && each['method'] === undefined)
          expect(answers).toHaveLength(1)
          expect(answers[0]).toHaveProperty('id', of)
          if (name === 'o_echo') expect(answers[0]).toHaveProperty('result', { content: [] })
        }
      }),
      { numRuns: 40 },
    )
    expect(process.memoryUsage().rss - before).toBeLessThan(MOST_GROWTH)
    await stack.close()
  }, 110_000)

  it('never has anything but JSON-RPC written to the host of a bridge', async () => {
    const folder = createFolder({ 'program.cjs': PROGRAM, noise: '' })
    const [script, noise] = [join(folder, 'program.cjs'), join(folder, 'noise')]
    const identity = await startIdentity({ clock })
    const config = { targets: { p: { command: process.execPath, args: [script, noise] } } }
    const file = join(folder, 'config.json')
    writeFileSync(file, JSON.stringify(config))
    const bridge = startBridge('p', {
      args: ['--config', file],
      env: {
        DESCOPE_CONFIG_URL: identity.configUrl,
        MCP_DESCOPE_HOME: createHome(),
        MCP_DESCOPE_TOKEN: await identity.mint({ sub: 'alice' }),
      },
      timeoutMs: 100_000,
    })
    await bridge.handshake()
    let number = 0
    await fc.assert(
      fc.asyncProperty(fc.array(programLine, { maxLength: 20 }), async (all) => {
        number += 1
        writeFileSync(noise, Buffer.concat(all.flatMap((each) => [each, Buffer.from('\n')])))
        const of = `own-${number}`
        await bridge.request('tools/call', { name: 'echo', arguments: {} }, of)
        const answers = bridge.messages().filter((each) => each['id'] === of && !('method' in each))
        expect(answers).toHaveLength(1)
      }),
      { numRuns: 40 },
    )
    bridge.messages()
    expect((await bridge.end()).status).toBe(0)
    await identity.close()
  }, 110_000)
})
