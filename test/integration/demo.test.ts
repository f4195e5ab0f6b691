import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { runIdentity } from '../../src/cli/commands/demo/identity.js'
import { type DemoFlags, runTarget } from '../../src/cli/commands/demo/parts.js'
import { createStarters, runDemoCommand } from '../../src/cli/commands/demo/run.js'
import { demoCommand } from '../../src/cli/commands/demo.js'
import { run } from '../../src/cli/run.js'
import type { Runtime } from '../../src/util/runtime.js'
import { createTestRuntime } from '../helpers/runtime.js'
import { realClock } from '../helpers/targets/clock.js'
import { eventually } from '../helpers/targets/eventually.js'
import { call } from '../helpers/targets/raw-client.js'

const FLAGS: DemoFlags = { port: 0, logFormat: 'json' }

function createRuntime(env: Record<string, string> = {}) {
  const test = createTestRuntime({ fetch: globalThis.fetch, env })
  const runtime: Runtime = { ...test, clock: realClock }
  const events = () =>
    test
      .stderr()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
  return { test, runtime, events }
}

describe('demo', () => {
  it('signs a real client in, calls a tool and ends with --once', async () => {
    const { test, runtime, events } = createRuntime()
    const status = await runDemoCommand(runtime, { ...FLAGS, once: true })
    expect(status).toBe(0)
    expect(test.stdout()).toMatch(/Call target_get_weather\n +Lisbon: /)
    expect(test.stdout()).toContain('target_whoami, target_get_secret, target_echo')
    expect(test.stdout()).toContain("its own API token, not the user's")
    expect(events().map(({ event, part }) => `${event} ${part}`)).toEqual([
      'listening identity',
      'listening target',
      'listening proxy',
    ])
    for (const { url } of events()) await expect(fetch(url)).rejects.toThrow()
  })

  it('reports everything as one document with --json', async () => {
    const { test, runtime } = createRuntime()
    await runDemoCommand(runtime, { ...FLAGS, once: true, json: true })
    const report = JSON.parse(test.stdout())
    expect(report.ok).toBe(true)
    expect(report.tools).toContain('target_get_weather')
    expect(report.steps.map(({ id }: { id: string }) => id)).toEqual([
      'start.identity',
      'start.target',
      'start.proxy',
      'challenge',
      'register',
      'sign-in',
      'connect',
      'tools',
      'call',
      'credential',
    ])
  })

  it('stays up until Ctrl-C and then stops everything', async () => {
    const { test, runtime, events } = createRuntime()
    const running = runDemoCommand(runtime, { ...FLAGS, once: false })
    await eventually(() => expect(test.stdout()).toContain('Press Ctrl-C'))
    const { url } = events().find(({ part }) => part === 'proxy')
    expect(test.stdout()).toContain(`curl -i -X POST ${url}`)
    expect((await call(url, 'tools/list')).status).toBe(401)
    test.signal('SIGINT')
    expect(await running).toBe(0)
    expect((await call(url, 'tools/list')).error).toBe('ECONNREFUSED')
    expect(test.signal('SIGINT')).toBe(false)
  })

  it('fails naming the step when sign-in is denied', async () => {
    const { runtime } = createRuntime()
    const starters = createStarters(runtime, FLAGS)
    const { startIdentity } = await import('../../src/demo/identity/index.js')
    const running = runDemoCommand(
      runtime,
      { ...FLAGS, once: true },
      {
        ...starters,
        startIdentity: () => startIdentity({ clock: realClock, approval: 'deny' }),
      },
    )
    await expect(running).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/^The step "Sign in with PKCE" failed: .*denied/),
    })
  })

  it('fails when the token of the user reached the server', async () => {
    const { runtime } = createRuntime()
    const starters = createStarters(runtime, FLAGS)
    const leaked = { header: 'authorization', scheme: 'bearer', format: 'jwt' as const }
    const running = runDemoCommand(
      runtime,
      { ...FLAGS, once: true },
      {
        ...starters,
        async startTarget(options) {
          const target = await starters.startTarget(options)
          const seen = { method: 'POST', path: '/mcp', headerNames: [], credentials: [leaked] }
          return { ...target, requests: [seen] }
        },
      },
    )
    await expect(running).rejects.toThrow("the user's token reached the server")
  })

  it('fails naming the step when its port is taken', async () => {
    const { runtime, test, events } = createRuntime()
    const first = runTarget(runtime, FLAGS)
    await eventually(() => expect(events()).toHaveLength(1))
    const port = Number(new URL(events()[0].url).port)
    const running = runDemoCommand(runtime, { ...FLAGS, once: true, port })
    await expect(running).rejects.toThrow('The step "Start the proxy in front of it" failed')
    test.signal('SIGTERM')
    await first
  })
})

describe('demo identity and demo target', () => {
  it('print the variable to use and the ready line', async () => {
    const { runtime, test, events } = createRuntime()
    const identity = runIdentity(runtime, FLAGS)
    await eventually(() => expect(events()).toHaveLength(1))
    const [, configUrl = ''] = /^DESCOPE_CONFIG_URL=(\S+)\n$/.exec(test.stdout()) ?? []
    expect((await fetch(configUrl)).status).toBe(200)
    expect(events()[0]).toMatchObject({ level: 'info', event: 'listening' })
    test.signal('SIGTERM')
    expect(await identity).toBe(0)
  })

  it('want the token of TARGET_API_TOKEN and do not print it', async () => {
    const { runtime, test, events } = createRuntime({ TARGET_API_TOKEN: 'very-secret' })
    const target = runTarget(runtime, { ...FLAGS, json: true })
    await eventually(() => expect(events()).toHaveLength(1))
    const { url } = JSON.parse(test.stdout())
    expect((await call(url, 'tools/list')).status).toBe(401)
    expect(test.stdout() + test.stderr()).not.toContain('very-secret')
    test.signal('SIGHUP')
    expect(await target).toBe(0)
  })

  it.each(['target', 'identity'])('%s takes its own --port when it is called', async (part) => {
    const { test, runtime, events } = createRuntime()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const argv = ['demo', part, '--port', String(port), '--log-format', 'json']
    const running = run(runtime, argv)
    await eventually(() => expect(events()).toHaveLength(1))
    expect(test.stdout()).toContain(`http://127.0.0.1:${port}/`)
    test.signal('SIGINT')
    expect(await running).toBe(0)
  })

  it('take their own --port after their name', async () => {
    const { runtime, test, events } = createRuntime()
    const parsing = demoCommand(runtime).parseAsync(
      ['target', '--port', '0', '--log-format', 'json'],
      { from: 'user' },
    )
    await eventually(() => expect(events()).toHaveLength(1))
    expect(test.stdout()).toMatch(/^TARGET_MCP_SERVER_URL=http:\/\/127\.0\.0\.1:\d+\/mcp\n$/)
    test.signal('SIGINT')
    await parsing
  })
})
