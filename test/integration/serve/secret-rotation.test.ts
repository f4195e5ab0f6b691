import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { call } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const OLD = 'the-old-secret-of-at-least-32-bytes!'
const NEW = 'the-new-secret-of-at-least-32-bytes!'

let identity: Identity
let target: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget({ sessions: 'required' })
})
afterAll(async () => {
  for (const part of [target, identity]) await part.close()
})

const replica = (env: Record<string, string>): Promise<Stack> =>
  startStack({
    targets: { main: target.url },
    identity,
    config: { server: { publicUrl: 'https://mcp.example.com', allowedHosts: ['localhost'] } },
    env,
  })

const STEPS: Record<string, string>[] = [
  { SESSION_SECRET: OLD },
  { SESSION_SECRET: OLD, MCP_DESCOPE_SESSION_PREVIOUS_SECRETS: NEW },
  { SESSION_SECRET: NEW, MCP_DESCOPE_SESSION_PREVIOUS_SECRETS: OLD },
  { SESSION_SECRET: NEW },
]

/** Returns the status of a request in a session that another replica opened. */
async function crossed(from: Stack, to: Stack): Promise<number> {
  const token = await from.token()
  const authorization = `Bearer ${token}`
  const hello = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  }
  const { headers } = await call(from.url, 'initialize', hello, { headers: { authorization } })
  const session = String(headers['mcp-session-id'])
  const inSession = { authorization, 'mcp-session-id': session }
  const { status } = await call(to.url, 'tools/list', {}, { headers: inSession })
  return status
}

describe('rotating SESSION_SECRET over replicas', () => {
  it('in the order of docs/production.md loses no session while old and new replicas run', async () => {
    const replicas = await Promise.all(STEPS.map(replica))
    try {
      for (const [step, older] of replicas.entries()) {
        const newer = replicas[step + 1]
        if (newer === undefined) break
        // in the last step only sessions of before the step before are lost
        expect([step, await crossed(older, newer)]).toEqual([step, 200])
        expect([step, await crossed(newer, older)]).toEqual([step, 200])
      }
      const [first, , third] = replicas as [Stack, Stack, Stack]
      expect(await crossed(third, first), 'without the first step').toBe(404)
    } finally {
      for (const stack of replicas) await stack.close()
    }
  })

  it('names the variables that docs/production.md names', () => {
    const page = readFileSync(new URL('../../../docs/production.md', import.meta.url), 'utf8')
    for (const name of STEPS.flatMap(Object.keys)) expect(page).toContain(`${name}=<`)
  })
})
