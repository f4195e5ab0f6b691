import { afterAll, expect, it } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { createHome } from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'

const closing: (() => Promise<unknown>)[] = []

afterAll(() => Promise.all(closing.map((close) => close())))

it.each([
  ['takes', true],
  ['refuses without it', false],
])(
  'descope.issuers with the id of the project %s a token that names it',
  async (_name, isListed) => {
    const clients = [{ clientId: 'machine', clientSecret: 'client-secret-7Qx' }]
    const identity = await startIdentity({ clock: createClock(), clients, issuer: 'bare' })
    closing.push(identity.close)
    const projectId = /\/(P[A-Za-z0-9]{27,})/.exec(identity.configUrl)?.[1] ?? ''
    const descope = { configUrl: identity.configUrl, ...(isListed && { issuers: [projectId] }) }
    const targets = { docs: { url: 'http://127.0.0.1:9/mcp' } }
    const cwd = createFolder({ 'x.json': { descope, targets } })
    const { stdout } = await runCli(['inspect', '--json', '--config', 'x.json'], {
      cwd,
      env: {
        MCP_DESCOPE_HOME: createHome(),
        SERVER_URL: 'https://mcp.example.com',
        MCP_DESCOPE_CLIENT_ID: 'machine',
        MCP_DESCOPE_CLIENT_SECRET: 'client-secret-7Qx',
      },
    })
    const checks: { id: string; outcome: string }[] = JSON.parse(stdout).descope
    const outcome = checks.find(({ id }) => id === 'descope.token')?.outcome
    expect(outcome).toBe(isListed ? 'pass' : 'fail')
  },
)
