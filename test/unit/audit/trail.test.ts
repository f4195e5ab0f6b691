import { execFileSync, spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createProtection } from '../../../src/audit/chain.js'
import { createDescopeSink, createStdoutSink } from '../../../src/audit/other-sinks.js'
import { eachLine, openBytes } from '../../../src/audit/read-lines.js'
import type { Sink } from '../../../src/audit/sink.js'
import { openTrail, type Trail } from '../../../src/audit/trail.js'
import { createAuditVerifier } from '../../../src/audit/verify.js'
import { createClock } from '../../../src/util/async.js'
import { tryParseJson } from '../../../src/util/json.js'
import { createLogger } from '../../../src/util/logger.js'
import { createFolder } from '../../helpers/folder.js'

interface Opened extends Trail {
  log(): string
  counts: Record<string, number>
  call(tool: string): void
}

function open(file: string | undefined, sinks: Sink[] = [], workers = 1, key?: string): Opened {
  const clock = createClock()
  let text = ''
  const logger = createLogger({
    ...{ clock, level: 'info', format: 'json', redact: (line) => line },
    io: {
      err: (line) => {
        text += line
      },
    },
  })
  const counts: Record<string, number> = {}
  const trail = openTrail({
    ...{ file, sinks, key, clock, logger, isDirect: false },
    count: (sink, result, count) => {
      counts[`${sink} ${result}`] = (counts[`${sink} ${result}`] ?? 0) + count
    },
    process: { pid: 1, parent: 2, workers },
  })
  const call = (tool: string) =>
    trail.add(`"time":"2026-12-01T00:00:00.000Z","event":"call","tool":"${tool}"`)
  return { ...trail, call, counts, log: () => text }
}

const records = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => tryParseJson(line) as Record<string, unknown>)
    .filter((record) => record !== undefined)

const shape = (path: string) => records(path).map((record) => record['tool'] ?? record['event'])

async function problems(...files: string[]): Promise<string[]> {
  const verifier = createAuditVerifier({
    ...{ protection: createProtection(undefined), after: [], heads: [] },
  })
  for (const file of files) {
    await eachLine(await openBytes(file), (line, number) =>
      verifier.take(line, { file, line: number }),
    )
  }
  return verifier.report({ file: '', line: 0 }).problems.map(({ problem }) => problem)
}

const newFile = () => join(createFolder(), 'audit.jsonl')

describe('an audit file', () => {
  it('is readable by its owner only, and the next process goes on with its chain', async () => {
    const path = newFile()
    for (const tool of ['a', 'b']) {
      const trail = open(path)
      trail.call(tool)
      await trail.close(5_000)
      expect(trail.counts).toEqual({ 'file written': 3 })
    }
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(shape(path)).toEqual(['start', 'a', 'stop', 'start', 'b', 'stop'])
    const all = records(path)
    expect(all.slice(1).map((record) => record['prev'])).toEqual(
      all.slice(0, -1).map((record) => record['hash']),
    )
    expect(await problems(path)).toEqual([])
  })

  it('is to be moved away before records are written with a key, with another one or with none', async () => {
    const path = newFile()
    const logOf = async (key: string | undefined, tools = 1) => {
      const trail = open(path, [], 1, key)
      for (let i = 0; i < tools; i++) trail.call('x'.repeat(1_000))
      await trail.close(5_000)
      return trail.log()
    }
    const [one, other] = ['1'.repeat(32), '2'.repeat(32)]
    expect(await logOf(undefined)).not.toContain('audit_key')
    expect(await logOf(undefined)).not.toContain('audit_key')
    const warned = await logOf(one)
    expect(warned).toContain('"event":"audit_key"')
    expect(warned).toContain('written with no key, and those of this process are written with')
    expect(warned).toContain('move the file away')
    rmSync(path)
    // longer than what is looked at
    expect(await logOf(one, 1_200)).not.toContain('audit_key')
    expect(await logOf(one)).not.toContain('audit_key')
    expect(await logOf(undefined)).toContain('written with a key, and those of this process')
    rmSync(path)
    await logOf(one)
    expect(await logOf(other)).toContain('written with another key')
  })

  it('keeps what was half written, tells of it, and goes on', async () => {
    const path = newFile()
    const first = open(path)
    first.call('a')
    await first.close(5_000)
    appendFileSync(path, '{"time":"2026-12-01T00:00:00.000Z","event":"ca')
    const second = open(path)
    second.call('b')
    await second.close(5_000)
    expect(second.log()).toContain('"event":"audit_torn"')
    expect(readFileSync(path, 'utf8')).toContain('"event":"ca\n{')
    expect(shape(path).slice(-3)).toEqual(['start', 'b', 'stop'])
    expect(await problems(path)).toEqual([])
  })

  it('takes the records of several processes at once', async () => {
    const path = newFile()
    const [one, two] = [open(path, [], 2), open(path, [], 2)]
    for (let i = 0; i < 500; i++) for (const trail of [one, two]) trail?.call(`t${i}`)
    await Promise.all([one?.close(5_000), two?.close(5_000)])
    expect(records(path)).toHaveLength(1_004)
    expect(await problems(path)).toEqual([])
    // the one that comes later names the ends of both
    const three = open(path)
    await three.close(5_000)
    expect(records(path).at(-2)?.['after']).toHaveLength(1)
    expect(await problems(path)).toEqual([])
  })

  it.each(['is told to look', 'writes again'])(
    'is opened anew when it was moved away and the proxy %s',
    async (when) => {
      const path = newFile()
      const trail = open(path)
      trail.call('a')
      await expect.poll(() => existsSync(path) && shape(path).at(-1)).toBe('a')
      renameSync(path, `${path}.1`)
      if (when === 'is told to look') {
        trail.reopen()
        await expect.poll(() => existsSync(path)).toBe(true)
      }
      trail.call('b')
      await trail.close(5_000)
      expect(shape(`${path}.1`)).toEqual(['start', 'a'])
      expect(shape(path)).toEqual(['b', 'stop'])
      expect(await problems(`${path}.1`, path)).toEqual([])
      expect((await problems(path))[0]).toMatch(/begins in the middle, with record 3/)
    },
  )

  it('waits for a folder that vanished, and nothing is lost', async () => {
    const folder = join(createFolder(), 'logs')
    mkdirSync(folder)
    const path = join(folder, 'audit.jsonl')
    const trail = open(path)
    trail.call('a')
    await expect.poll(() => trail.counts['file written']).toBe(2)
    renameSync(folder, `${folder}.old`)
    trail.call('b')
    await expect.poll(() => trail.log()).toMatch(/"event":"audit_failed".*ENOENT/)
    mkdirSync(folder)
    trail.call('c')
    await trail.close(10_000)
    expect(shape(path)).toEqual(['b', 'c', 'stop'])
    expect(trail.log()).toMatch(/"event":"audit_recovered".*"lost":0/)
    expect(await problems(join(`${folder}.old`, 'audit.jsonl'), path)).toEqual([])
  })

  it('that everybody can read is warned of', async () => {
    const path = newFile()
    appendFileSync(path, '')
    chmodSync(path, 0o644)
    const trail = open(path)
    await trail.close(5_000)
    expect(trail.log()).toContain('"event":"audit_open"')
  })

  it.each([
    ['a folder', () => createFolder(), 'it is a folder (EISDIR)'],
    ['in no folder', () => join(createFolder(), 'x/y'), 'its folder does not exist (ENOENT)'],
    ['below a file', () => join(createFolder({ f: 'x' }), 'f/y'), 'a part of the path is a file'],
  ])('%s is refused at the start', (_what, path, why) => {
    expect(() => open(path())).toThrow(why)
  })
})

describe.skipIf(process.platform === 'win32')('a place that takes nothing', () => {
  it('such as a full disk loses nothing but what the queue cannot hold, and that is told', async () => {
    const trail = open('/dev/full')
    for (let i = 0; i < 10_500; i++) trail.call('x')
    await expect.poll(() => trail.log()).toMatch(/"event":"audit_failed".*ENOSPC/)
    expect(trail.counts).toEqual({ 'file lost': 501 })
    await trail.close(0)
    expect(trail.counts).toEqual({ 'file lost': 501 + 10_000 + 2 })
    expect(trail.log()).toMatch(/The process ends, and 10002 audit records/)
  })

  it('such as a FIFO that nobody reads gets them when somebody does', async () => {
    const path = newFile()
    execFileSync('mkfifo', [path])
    const trail = open(path)
    trail.call('a')
    await expect.poll(() => trail.log()).toMatch(/"event":"audit_failed".*ENXIO/)
    const out = `${path}.read`
    spawn('sh', ['-c', 'cat "$1" > "$2"', 'sh', path, out], { stdio: 'ignore' })
    await trail.close(10_000)
    await expect.poll(() => existsSync(out) && shape(out)).toEqual(['start', 'a', 'stop'])
    expect(await problems(out)).toEqual([])
    rmSync(out)
  })

  it('for a while has the count of what was lost in its chain afterwards', async () => {
    const lines: string[] = []
    let isFull = true
    const sink: Sink = {
      ...{ name: 'file', where: 'here', close: () => undefined },
      async write(given) {
        if (isFull) return { reason: 'ENOSPC', left: given }
        lines.push(...given)
        return undefined
      },
    }
    const trail = open(undefined, [sink])
    for (let i = 0; i < 10_100; i++) trail.call('x')
    await expect.poll(() => trail.log()).toContain('audit_failed')
    isFull = false
    await trail.close(10_000)
    const gaps = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'gap')
    expect(gaps).toMatchObject([{ reason: 'too many at once', lost: 101 }])
    expect(trail.counts).toEqual({ 'file lost': 101, 'file written': 10_002 })
    expect(lines).toHaveLength(10_002)
  })

  it('as a whole, but a part of a line, has the rest in a line of its own', async () => {
    const folder = createFolder()
    // of a size that a few records fill
    if (!mountSmall(folder)) return
    try {
      const path = join(folder, 'audit.jsonl')
      const filler = openSync(join(folder, 'filler'), 'w')
      const trail = open(path)
      for (let i = 0; i < 300; i++) trail.call(`x${i}`)
      await expect.poll(() => trail.log()).toMatch(/"event":"audit_failed".*ENOSPC/)
      rmSync(join(folder, 'filler'))
      expect(filler).toBeGreaterThan(0)
      execFileSync('mount', ['-o', 'remount,size=4m', folder])
      await trail.close(10_000)
      expect(shape(path).filter((tool) => String(tool).startsWith('x'))).toHaveLength(300)
      expect(shape(path)).toContain('gap')
      expect(await problems(path)).toEqual([])
    } finally {
      execFileSync('umount', ['-l', folder])
    }
  })
})

/** Mounts a small file system where that is allowed. */
function mountSmall(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('stdout', () => {
  it('gets no more while nobody reads it, and what its reader did not get is counted', async () => {
    let settle: (isDelivered: boolean) => void = () => undefined
    let text = ''
    const sink = createStdoutSink({
      out: (piece) => {
        text += piece
      },
      outDelivered: () =>
        new Promise((resolve) => {
          settle = resolve
        }),
    })
    const trail = open(undefined, [sink])
    await expect.poll(() => text).toContain('"event":"start"')
    const before = text
    for (let i = 0; i < 100; i++) trail.call('x')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(text).toBe(before)
    settle(true)
    await expect.poll(() => text).not.toBe(before)
    settle(false)
    await expect.poll(() => trail.log()).toMatch(/"event":"audit_failed".*EPIPE/)
    await trail.close(0)
    expect(trail.counts).toEqual({ 'stdout written': 1, 'stdout lost': 101 })
  })
})

describe('Descope', () => {
  const answers = (...statuses: number[]) => {
    const sent: { data: { tool?: string }; action: string }[] = []
    const fetch = async (_url: unknown, init?: RequestInit) => {
      const status = statuses.length > 1 ? (statuses.shift() as number) : (statuses[0] as number)
      if (status === 0) throw new TypeError('fetch failed')
      if (status === 200) sent.push(JSON.parse(String(init?.body)))
      return new Response('{}', { status })
    }
    const options = { base: 'https://d.example', projectId: 'P1', managementKey: 'K' }
    const runtime = { clock: createClock(), fetch: fetch as typeof globalThis.fetch }
    return { sent, sink: createDescopeSink(runtime, options) }
  }

  it('is asked again until it takes an event, whatever failed', async () => {
    const { sent, sink } = answers(0, 500, 429, 200)
    const trail = open(undefined, [sink])
    for (const tool of ['a', 'b', 'c']) trail.call(tool)
    await trail.close(10_000)
    const tools = sent.map(({ data, action }) => data.tool ?? action)
    expect(tools.sort()).toEqual(['a', 'b', 'c', 'mcp-proxy.start', 'mcp-proxy.stop'])
    expect(trail.counts).toEqual({ 'descope written': 5 })
  })

  it('is not asked again about what it will never take, which is counted', async () => {
    const { sent, sink } = answers(400, 200)
    const trail = open(undefined, [sink])
    trail.call('a')
    await trail.close(10_000)
    expect(trail.counts).toEqual({ 'descope written': 3, 'descope lost': 1 })
    expect(sent.map(({ action }) => action)).toContain('mcp-proxy.gap')
  })
})
