import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { ConfigInput, TargetInput } from '../../../src/config/types.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type Connected,
  connectAs,
  isAlive,
  programTarget,
} from '../../helpers/targets/programs.js'

const closing: (() => Promise<unknown>)[] = []

afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

async function start(
  target: TargetInput = {},
  config: Omit<ConfigInput, 'targets'> = {},
  mode?: string,
): Promise<Stack> {
  const stack = await startStack({
    targets: { t: await programTarget({ prefix: '', ...target }, mode) },
    config,
  })
  closing.push(stack.close)
  return stack
}

async function connect(stack: Stack, user = 'alice'): Promise<Connected> {
  const connected = await connectAs(stack, user)
  closing.push(() => connected.client.close())
  return connected
}

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1' },
  },
}

const initialize = async (stack: Stack, user = 'alice') => {
  const authorization = `Bearer ${await stack.token({ sub: user })}`
  return readMessage(await stack.post(INITIALIZE, { authorization }))
}

describe('the environment of a program', () => {
  it('holds what it was given and what every program needs, and no secret of ours', async () => {
    process.env['TARGET_TOKEN'] = 'canary-token'
    process.env['SESSION_SECRET'] = 'canary-of-more-than-thirty-two-bytes'
    process.env['DESCOPE_CONFIG_URL'] = 'https://canary.example'
    try {
      const folder = realpathSync(mkdtempSync(join(tmpdir(), 'cwd-')))
      const stack = await start({ env: { API_KEY: 'given' }, cwd: folder })
      const { call } = await connect(stack)
      const env = JSON.parse(await call('env'))
      expect(env).toMatchObject({ API_KEY: 'given', PATH: process.env['PATH'] })
      expect(JSON.stringify(env)).not.toContain('canary')
      const known = /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TERM|TMPDIR|API_KEY)$/
      expect(Object.keys(env).filter((name) => !known.test(name))).toEqual([])
      expect(await call('cwd')).toBe(folder)
    } finally {
      for (const name of ['TARGET_TOKEN', 'SESSION_SECRET', 'DESCOPE_CONFIG_URL']) {
        delete process.env[name]
      }
    }
  })
})

describe.concurrent('a program that cannot be started', () => {
  it.each<[string, TargetInput, RegExp]>([
    [
      'does not exist',
      { command: '/nowhere/server', args: [] },
      /no program "\/nowhere\/server" \(ENOENT\)/,
    ],
    ['may not be run', { command: '/etc/passwd', args: [] }, /may not be run \(EACCES\)/],
    ['has no folder', { cwd: '/nowhere' }, /working directory \/nowhere does not exist/],
  ])('because it %s is an unreachable target', async (_, target, sentence) => {
    const stack = await start(target)
    const { error } = await initialize(stack)
    expect(error.message).toMatch(sentence)
    expect(error.data).toMatchObject({ target: 't', cause: 'unreachable', retryable: true })
    const ready = await (await fetch(`${stack.origin}/readyz`)).json()
    expect(ready).toMatchObject({ targets: { t: 'down' } })
  })

  it('because it ends at once says what it wrote, without its secrets, less and less often', async () => {
    const stack = await start({ env: { API_KEY: 'canary-key' } }, {}, 'failing')
    const { error } = await initialize(stack)
    expect(error.data.cause).toBe('cut_off')
    expect(error.message).toMatch(
      /ended with status 3; it wrote last: "cannot start with \[redacted\]"/,
    )
    expect(stack.logText()).toContain('child_stderr')
    expect(stack.logText()).not.toContain('canary-key')
    let last = error
    for (let tries = 0; tries < 12 && last.data.cause === 'cut_off'; tries++) {
      last = (await initialize(stack)).error
    }
    expect(last.message).toMatch(/status 3.*it is started again in \d+ s/)
    expect(last.data).toMatchObject({ cause: 'unreachable', retryable: true })
    const starts = stack.logs().filter(({ event }) => event === 'child_started')
    expect(starts.length).toBeLessThan(8)
    const other = await initialize(stack, 'bob')
    expect(other.error.data.cause).toBe('cut_off')
  })

  it('because it says nothing is given up and ended', async () => {
    const stack = await start({}, { timeouts: { start: 0.5 } }, 'silent')
    const { error } = await initialize(stack)
    expect(error.data.cause).toBe('timeout')
    expect(error.message).toContain('did not answer within 0.5 s of its start')
    await eventually(() => expect(stack.logText()).toContain('its process was ended'))
  })
})

describe.concurrent('a program that ends', () => {
  it('cuts off the calls under way with its last words, and is started again', async () => {
    const stack = await start({ env: { API_KEY: 'canary-key-of-length' } })
    const { call } = await connect(stack)
    const before = await call('pid')
    const waiting = call('wait', { ms: 30_000 })
    const crash = call('crash', { words: 'out of canary-key-of-length memory' })
    for (const failed of [waiting, crash]) {
      await expect(failed).rejects.toThrow(
        /ended with status 7; it wrote last: "out of \[redacted\] memory"/,
      )
    }
    expect(await call('pid')).not.toBe(before)
    expect(stack.logText()).not.toContain('canary-key')
  })

  it('takes what it started with it', async () => {
    const stack = await start()
    const { call } = await connect(stack)
    const grandchild = Number(await call('grandchild'))
    const pid = Number(await call('pid'))
    expect(isAlive(grandchild)).toBe(true)
    await stack.close()
    await eventually(() => expect([pid, grandchild].map(isAlive)).toEqual([false, false]))
  })

  it('[mcp-stdio-shutdown] is ended by force when it does not want to', async () => {
    const stack = await start({}, {}, 'stubborn')
    const { call } = await connect(stack)
    const pid = Number(await call('pid'))
    await stack.close()
    expect(isAlive(pid)).toBe(false)
  })
})

describe.concurrent('limits', () => {
  it('refuse more processes of a target than it may have, as long as all are in use', async () => {
    const stack = await start({ maxChildren: 1 })
    const alice = await connect(stack, 'alice')
    const pid = Number(await alice.call('pid'))
    const { error } = await initialize(stack, 'bob')
    expect(error.message).toContain('all 1 processes are in use')
    expect(error.data).toMatchObject({ cause: 'http_status', httpStatus: 429, retryable: true })
    await alice.transport.close()
    await eventually(async () => expect(await initialize(stack, 'bob')).toHaveProperty('result'))
    expect(isAlive(pid)).toBe(false)
  })

  it('refuse more processes of all targets than there may be', async () => {
    const [a, b] = [await programTarget(), await programTarget()]
    const stack = await startStack({ targets: { a, b }, config: { limits: { children: 1 } } })
    closing.push(stack.close)
    expect((await initialize(stack)).result.serverInfo).toBeDefined()
    expect(stack.logText()).toContain('all 1 processes of all targets are in use')
  })

  it('refuse more requests at once than a process may have', async () => {
    const { call, client } = await connect(await start({ maxRequests: 2 }))
    const waiting = [call('wait', { ms: 1_500 }), call('wait', { ms: 1_500 })]
    await new Promise((resolve) => setTimeout(resolve, 300))
    const refused = await client.ping().catch((error: unknown) => error)
    expect(refused).toMatchObject({ data: { httpStatus: 429, retryable: true } })
    expect(await Promise.all(waiting)).toEqual(['waited', 'waited'])
    await client.ping()
  })

  it('[mcp-stdio-output] leave out lines that are no messages, with one warning', async () => {
    const stack = await start()
    const { call } = await connect(stack)
    for (const words of ['Server ready!', '{"jsonrpc":"1.0"}', '{}', 'again']) {
      expect(await call('say', { words })).toBe('said')
    }
    const warnings = stack.logs().filter(({ event }) => event === 'child_output')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatchObject({ message: expect.stringContaining('Server ready!') })
  })

  it('hold up a program whose client does not read, and lose nothing', async () => {
    const { client, call } = await connect(await start())
    expect((await call('large', { bytes: 5_000_000 })).length).toBe(5_000_000)
    let seen = 0
    const params = { name: 'flood', arguments: { count: 400, bytes: 20_000 } }
    await client.callTool(params, undefined, {
      onprogress: () => {
        seen += 1
      },
    })
    expect(seen).toBe(400)
  })
})

/** Counts the open files that lead to other processes; the connections of clients are none. */
function countPipes(): number {
  const local = readFileSync('/proc/net/unix', 'utf8')
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`)
      const [, inode] = /^socket:\[(\d+)\]$/.exec(link) ?? []
      return link.startsWith('pipe:') || (inode !== undefined && local.includes(` ${inode}`))
    } catch {
      return false
    }
  }).length
}

describe('sessions that are opened and closed', () => {
  it('leave no process and no file behind', async () => {
    const stack = await start({}, { timeouts: { idle: 0.3 } })
    const before = countPipes()
    await initialize(stack)
    expect(countPipes()).toBeGreaterThan(before)
    const pids = new Set<number>()
    const round = async (user: string) => {
      const { client, transport, call } = await connectAs(stack, user)
      pids.add(Number(await call('pid')))
      await transport.terminateSession()
      await client.close()
    }
    for (let count = 0; count < 40; count += 10) {
      const rounds = Array.from({ length: 10 }, (_, index) => round(`user-${(count + index) % 15}`))
      await Promise.all(rounds)
    }
    await eventually(() => expect([...pids].filter(isAlive)).toEqual([]))
    await eventually(() => expect(countPipes()).toBeLessThanOrEqual(before))
  }, 120_000)
})

describe('a line of a program that finds no room in memory', () => {
  it('costs the calls under way there, and neither its process nor anybody else', async () => {
    const stack = await start({}, { limits: { bufferedBytes: 1024 * 1024 } })
    const mallory = await connect(stack, 'mallory')
    const alice = await connect(stack, 'alice')
    const pid = await mallory.call('pid')
    const call = mallory.call('unended', { bytes: 3 * 1024 * 1024 })
    await expect(call).rejects.toThrow(/finds no room/)
    expect(await alice.call('echo', { text: 'still here' })).toBe('still here')
    expect(await mallory.call('pid')).toBe(pid)
    // what was dropped is counted no more
    const half = 512 * 1024
    expect(await alice.call('large', { bytes: half })).toHaveLength(half)
  })
})
