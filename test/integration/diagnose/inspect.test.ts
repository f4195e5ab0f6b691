import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import type { Inspected } from '../../../src/usecases/inspect/inspect-target.js'
import { createClock } from '../../../src/util/async.js'
import { createHome } from '../../helpers/bridge.js'
import { parseReport } from '../../helpers/check.js'
import { runCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'client-secret-7Qx'

const env = {
  MCP_DESCOPE_HOME: createHome(),
  MCP_DESCOPE_CLIENT_ID: 'machine',
  MCP_DESCOPE_CLIENT_SECRET: SECRET,
}

let identity: Identity

let target: RecordingTarget

let stack: Stack

let url: string

beforeAll(async () => {
  const clients = [{ clientId: 'machine', clientSecret: SECRET }]
  identity = await startIdentity({ clock: createClock(), clients })
  target = await startRecordingTarget({ sessions: 'required' })
  stack = await startStack({ identity, targets: { docs: target.url } })
  url = stack.server.resource
})

afterAll(() => Promise.all([stack.close(), target.close(), identity.close()]))

describe('inspect', () => {
  it('shows every link under four headings, with the claims of the token', async () => {
    const { stdout, stderr, status } = await runCli(['inspect', url], { env })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const headings = stdout.match(/^(settings|network|authorization|protocol|contents)$/gm)
    expect(headings).toEqual(['settings', 'network', 'authorization', 'protocol', 'contents'])
    expect(stdout).toMatch(/^ {3}credential {3}client {3}client credentials$/m)
    expect(stdout).toMatch(/^ {3} {2}exp +\d{4}-\d\d-\d\dT/m)
    expect(stdout).toMatch(/^ {3}tools +docs_echo\(\) {3}9 characters$/m)
    expect(stdout).not.toContain('refused?')
  })

  it('prints one document, with settings and their origins', async () => {
    const withTarget = {
      ...env,
      TARGET_MCP_SERVER_URL: target.url,
      TARGET_TOKEN: 'static-token-55',
    }
    const { stdout } = await runCli(['inspect', 'target', '--json'], { env: withTarget })
    const document = parseReport<Inspected>(stdout)
    expect(document.settings).toMatchObject({
      'targets.target.url': { value: target.url, origin: 'env TARGET_MCP_SERVER_URL' },
    })
    expect(document.network[0]).toMatchObject({ id: 'reach.dns' })
    expect(document.contents.map(({ id }: { id: string }) => id)).toContain('tools.names')
    expect(stdout).not.toContain('static-token-55')
    // it needs no token, although one is configured
    expect(document).toMatchObject({ ok: false, exitCode: 1 })
  })

  it('traces what is sent, and prints it for curl, without any secret', async () => {
    const { stdout, stderr } = await runCli(['inspect', url, '--trace', '--curl'], { env })
    expect(stderr).toMatch(/^> POST http:\/\/localhost:\d+\/mcp$/m)
    expect(stderr).toMatch(/^> authorization: \[redacted\]$/m)
    expect(stderr).toMatch(/^< 401$/m)
    expect(stderr).toMatch(/^< mcp-session-id: \[redacted\]$/m)
    expect(stderr).toMatch(/^> POST http:\/\/127\.0\.0\.1:\d+\/oauth2\/.*\/token$/m)
    expect(stdout).toContain('"authorization: Bearer $TOKEN"')
    for (const secret of [SECRET, ...identity.issuedSecrets()]) {
      expect(stdout + stderr).not.toContain(secret)
    }
  })

  it('prints a request without a token for a target that is open', async () => {
    const { stdout } = await runCli(['inspect', target.url, '--curl'], {
      env: { MCP_DESCOPE_HOME: env.MCP_DESCOPE_HOME },
    })
    expect(stdout).toContain(`\ncurl -sS -i '${target.url}' \\\n`)
    expect(stdout).not.toContain('TOKEN')
  })

  it('says why a token would be refused', async () => {
    const token = await identity.mint({ aud: ['https://other.example/mcp'] })
    const guarded = await startGuardedTarget(identity, { accepts: () => false })
    const run = await runCli(['inspect', guarded.url], {
      env: { MCP_DESCOPE_HOME: env.MCP_DESCOPE_HOME, MCP_DESCOPE_TOKEN: token },
    })
    await guarded.close()
    expect(run.status).toBe(3)
    expect(run.stdout).toMatch(/refused\? +The access token is for another audience than http/)
    expect(run.stdout).not.toContain(token)
  })

  it('shows what there is when there is nothing', async () => {
    const run = await runCli(['inspect', `http://127.0.0.1:${await freePort()}/mcp`], { env })
    expect(run.status).toBe(4)
    expect(run.stdout).toContain('Start the server, or correct host and port')
  })
})
