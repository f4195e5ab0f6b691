import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BridgeProcess, createBrowser, createHome, startBridge } from '../../helpers/bridge.js'
import { BIN } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const ENDINGS = ['stdin', 'SIGTERM', 'SIGINT', 'SIGHUP', 'stdout'] as const

/** Does what a host may do to end us; resolves with the exit status. No test waits as long as what is under way. */
async function end(bridge: BridgeProcess, how: (typeof ENDINGS)[number]) {
  if (how === 'stdin') bridge.child.stdin.end()
  else if (how === 'stdout') {
    bridge.child.stdout.destroy()
    bridge.send({ id: 'last', method: 'ping' })
  } else bridge.child.kill(how)
  const { status } = await bridge.ended
  return status
}

describe('the life of the bridge', () => {
  let target: RecordingTarget
  let env: Record<string, string>

  beforeEach(async () => {
    target = await startRecordingTarget({ sessions: 'required' })
    env = { MCP_DESCOPE_HOME: createHome(), BROWSER: createBrowser(false).path }
  })
  afterEach(() => target.close())

  describe.each(ENDINGS)('[bridge-ends] [bridge-answers-before-end] ended by %s', (how) => {
    it('exits 0 while it serves, and deletes its session', async () => {
      const bridge = startBridge(target.url, { env })
      await bridge.handshake()
      const status = await end(bridge, how)
      expect(status).toBe(0)
      expect(target.sessions.size).toBe(0)
    })

    it('exits 0 before anything was said', async () => {
      const bridge = startBridge(target.url, { env: { ...env, CI: 'true' } })
      await bridge.request('ping')
      const status = await end(bridge, how)
      expect(status).toBe(0)
    })

    it('exits 0 while the target is down', async () => {
      const bridge = startBridge(`http://127.0.0.1:${await freePort()}/mcp`, { env })
      await bridge.handshake()
      const status = await end(bridge, how)
      expect(status).toBe(0)
    })

    it('exits 0 while the target does not answer', async () => {
      target.intercept(() => true)
      const bridge = startBridge(target.url, { env })
      bridge.send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } })
      await target.until(({ rpc }) => rpc === 'initialize')
      const status = await end(bridge, how)
      expect(status).toBe(0)
      if (how !== 'stdout') {
        expect(bridge.messages()).toMatchObject([{ id: 1, error: { data: { retryable: true } } }])
      }
    })
  })

  it('[bridge-ends] ends when its parent dies although the pipes stay open', async () => {
    // stdin is held open by a program that outlives the parent
    const script = `
      const { spawn } = require('node:child_process')
      const feeder = spawn('sleep', ['30'], { stdio: ['ignore', 'pipe', 'ignore'] })
      const child = spawn(process.execPath, ${JSON.stringify([BIN, 'stdio', target.url])}, {
        stdio: [feeder.stdout, 'ignore', 'inherit'],
      })
      process.stdout.write(feeder.pid + ' ' + child.pid + '\\n')
    `
    const parent = spawn(process.execPath, ['-e', script], {
      env: { PATH: process.env['PATH'], ...env },
    })
    const pids = await new Promise<string>((resolve) => {
      parent.stdout.once('data', (chunk) => resolve(String(chunk)))
    })
    const [feeder = 0, pid = 0] = pids.trim().split(' ').map(Number)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    parent.kill('SIGKILL')
    const isGone = () => {
      try {
        return !process.kill(pid, 0)
      } catch {
        return true
      }
    }
    expect(isGone()).toBe(false)
    await eventually(() => expect(isGone()).toBe(true))
    process.kill(feeder)
  })
})

describe('the life of the bridge while somebody has to sign in', () => {
  let target: RecordingTarget
  let stack: Stack

  beforeEach(async () => {
    target = await startRecordingTarget()
    stack = await startStack({ targets: { main: { url: target.url, prefix: '' } } })
  })
  afterEach(async () => {
    await stack.close()
    await target.close()
  })

  it.each(ENDINGS)(
    '[bridge-ends] [bridge-leaves-nothing] %s ends it, and its port is free',
    async (how) => {
      const port = await freePort()
      const bridge = startBridge(stack.server.resource, {
        args: ['--callback-port', String(port)],
        env: { MCP_DESCOPE_HOME: createHome(), BROWSER: createBrowser(false).path },
      })
      await bridge.handshake()
      const call = bridge.call('echo').catch(() => 'gone')
      await bridge.waitFor('stderr', /authorize\?/)
      const status = await end(bridge, how)
      expect(status).toBe(0)
      await call
      await new Promise<void>((resolve, reject) => {
        const server = createServer().once('error', reject)
        server.listen(port, '127.0.0.1', () => server.close(() => resolve()))
      })
    },
  )
})
