import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createHome, startBridge } from '../../helpers/bridge.js'
import { clock } from '../../helpers/stack.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import type { RecordingTarget } from '../../helpers/targets/recording.js'

let identity: Identity
let target: RecordingTarget
let file: string
beforeAll(async () => {
  identity = await startIdentity({ clock, scopes: ['mcp:use', 'outbound.token.fetch'] })
  const accepts = (token: string) => identity.issuedSecrets().includes(token)
  target = await startGuardedTarget(identity, { accepts }, { sessions: 'required' })
  file = join(mkdtempSync(join(tmpdir(), 'connections-')), 'proxy.json')
  const github = { url: target.url, credential: { type: 'connection', app: 'github' } }
  writeFileSync(
    file,
    JSON.stringify({ descope: { audience: [identity.projectId] }, targets: { github } }),
  )
})
afterAll(async () => {
  await target.close()
  await identity.close()
})

it.each([
  { capabilities: {}, how: 'in the answer' },
  { capabilities: { elicitation: { url: {} } }, how: 'as a URL to open' },
])(
  'in stdio, whoever signed in gets the link $how, and the tools once the page is done',
  async ({ capabilities }) => {
    const sub = `U2${Math.random().toString(36).slice(2)}`
    const scope = 'mcp:use outbound.token.fetch'
    const token = await identity.mint({ sub, scope, aud: [identity.projectId] })
    const bridge = startBridge(undefined, {
      args: ['--config', file],
      env: {
        MCP_DESCOPE_HOME: createHome(),
        DESCOPE_CONFIG_URL: identity.configUrl,
        MCP_DESCOPE_TOKEN: token,
      },
    })
    await bridge.handshake({ protocolVersion: '2025-11-25', capabilities })
    const before = await bridge.request('tools/list')
    expect(JSON.stringify(before)).toContain('"connect_github"')
    const answer = JSON.stringify(await bridge.call('echo'))
    expect(answer).toContain('elicitation' in capabilities ? '-32042' : '"isError":true')
    const url = /http:[^\s"]+\/connect\/[^\s",]+/.exec(answer)?.[0] as string
    const done = bridge.until(({ method }) => method === 'notifications/tools/list_changed', 20_000)
    await fetch(url, { method: 'POST', body: new URLSearchParams({ decision: 'connect' }) })
    await done
    expect(JSON.stringify(await bridge.request('tools/list'))).toContain('"echo"')
    expect(JSON.stringify(await bridge.call('echo'))).not.toContain('isError":true')
    expect(bridge.stderr()).not.toContain(url)
    await bridge.end()
  },
)
