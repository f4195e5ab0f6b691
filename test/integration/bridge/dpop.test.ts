import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createBrowser, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let identity: Identity
let target: RecordingTarget
let stack: Stack
const home = createHome()
const env = { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path }

beforeAll(async () => {
  // each proof at the token endpoint needs a nonce, which only a refusal tells
  identity = await startIdentity({ clock, dpopNonce: true })
  target = await startRecordingTarget()
  stack = await startStack({
    targets: { target: target.url },
    identity,
    config: { descope: { dpop: 'require' } },
  })
})
afterAll(async () => {
  for (const part of [stack, identity, target]) await part.close()
})

const run = (command: string, ...args: string[]) => runCli([command, stack.url, ...args], { env })

async function keptToken(...args: string[]) {
  const { status, stdout, stderr } = await run('token', ...args)
  expect(status).toBe(0)
  return { token: stdout.trim(), stderr }
}

describe('a server that requires DPoP', () => {
  it('is signed in to by the bridge with a key, and called with a proof each time', async () => {
    const bridge = startBridge(stack.url, { env })
    await bridge.handshake()
    for (let times = 0; times < 3; times++) {
      expect(textOf(await bridge.call('target_echo', { text: 'hi' }))).toContain('hi')
    }
    expect((await bridge.end()).status).toBe(0)
  })
})
