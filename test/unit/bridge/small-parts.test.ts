import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createHostConnection } from '../../../src/bridge/host.js'
import { createMemory } from '../../../src/bridge/offline.js'
import { LineSplitter } from '../../../src/mcp/lines.js'
import { isRetrySafe } from '../../../src/usecases/run-bridge/targets.js'
import { createBackoff, parseRetryAfter } from '../../../src/util/async.js'
import { openLogFile } from '../../../src/util/log-file.js'
import { privateFolder } from '../../helpers/sign-in.js'

describe('LineSplitter', () => {
  const split = (chunks: string[], maxBytes?: number) => {
    const lines: string[] = []
    const splitter = new LineSplitter(
      (line) => lines.push(String(line)),
      () => lines.push('too long'),
      maxBytes,
    )
    for (const chunk of chunks) splitter.push(Buffer.from(chunk))
    splitter.end()
    return lines
  }

  it('gives the same lines however the bytes come', () => {
    const text = '{"a":1}\n\n{"ä":"ö"}\r\n{"c":3}'
    const expected = ['{"a":1}', '{"ä":"ö"}', '{"c":3}']
    expect(split([text])).toEqual(expected)
    const lines: string[] = []
    const splitter = new LineSplitter(
      (line) => lines.push(String(line)),
      () => {},
    )
    for (const byte of Buffer.from(text)) splitter.push(Buffer.from([byte]))
    splitter.end()
    expect(lines).toEqual(expected)
  })

  it('drops a line that is too long, and goes on behind it', () => {
    expect(split(['12345', '6789', '0\nshort\n'], 6)).toEqual(['too long', 'short'])
  })
})

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

describe('createBackoff', () => {
  it('[bridge-reopens-stream] grows from the first to the last pause, with up to half as much by chance', () => {
    const pauses = (random: number) => {
      const backoff = createBackoff(1_000, 60_000, () => random)
      return Array.from({ length: 8 }, () => backoff.next())
    }
    expect(pauses(0)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    expect(pauses(1).slice(0, 2)).toEqual([1_500, 3_000])
    expect(Math.max(...pauses(1))).toBe(60_000)
  })
})

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 0, 1)
  it.each([
    ['5', 5_000],
    ['0', 0],
    ['999999', 3_600_000],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Thu, 01 Jan 2020 00:00:10 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
    ['2026', 2_026_000],
    ['5 s', undefined],
    ['Thu, at noon', undefined],
    [null, undefined],
    [undefined, undefined],
  ])('reads %j as %j', (value, ms) => {
    expect(parseRetryAfter(value, now)).toBe(ms)
  })
})

describe('isRetrySafe', () => {
  it.each([
    ['tools/list', true],
    ['resources/read', true],
    ['prompts/get', true],
    ['ping', true],
    ['initialize', true],
    ['tools/call', false],
    ['logging/setLevel', false],
    ['notifications/cancelled', false],
  ])('[bridge-lost-session] says of %s %j', (method, expected) => {
    expect(isRetrySafe({ method: 'POST', body: JSON.stringify({ method }) })).toBe(expected)
  })

  it('is never sure of what it cannot read', () => {
    expect(isRetrySafe({ method: 'POST', body: 'x' })).toBe(false)
    expect(isRetrySafe({ method: 'GET' })).toBe(true)
  })
})

describe('createMemory', () => {
  it('finds what another process kept, for the same identity only', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one')
    memory.keep('tools', { tools: [{ name: 'a' }] })
    await memory.save()
    expect(await createMemory(folder, 'one').load()).toEqual({ tools: { tools: [{ name: 'a' }] } })
    expect(await createMemory(folder, 'two').load()).toEqual({})
    expect(statSync(join(folder, 'bridge', 'one.json')).mode & 0o777).toBe(0o600)
  })

  it('writes nothing when nothing is new, and survives a folder that cannot be written', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one')
    await memory.save()
    expect(readdirSync(folder)).toEqual([])
    const nowhere = createMemory('/dev/null/x', 'one')
    nowhere.keep('tools', {})
    await nowhere.save()
    expect(await nowhere.load()).toEqual({ tools: {} })
  })
})

describe('openLogFile', () => {
  it('[bridge-quiet-log] keeps five files of limited size that only their owner can read', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'log-')), 'logs', 'b.log')
    const write = openLogFile(path, 20)
    for (let line = 0; line < 20; line++) write(`line number ${line}\n`)
    const folder = join(path, '..')
    expect(readdirSync(folder).sort()).toEqual([
      'b.log',
      'b.log.1',
      'b.log.2',
      'b.log.3',
      'b.log.4',
    ])
    expect(readFileSync(path, 'utf8')).toBe('line number 19\n')
    expect(readFileSync(`${path}.4`, 'utf8')).toBe('line number 15\n')
    for (const name of readdirSync(folder)) {
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    }
  })

  it('says why a file cannot be opened', () => {
    expect(() => openLogFile('/dev/null/b.log')).toThrow(
      'Cannot write the log file /dev/null/b.log',
    )
  })
})
