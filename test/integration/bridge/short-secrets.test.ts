import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createHome, startBridge } from '../../helpers/bridge.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

const WARNING =
  /warn .*is too short to be redacted in logs .* — use a secret of 16 characters or more/g

it.each([
  { what: 'a configured token', token: 'zq7x', own: '', warned: ['targets.t.credential.token'] },
  { what: 'a token of its own', token: undefined, own: 'secret', warned: ['MCP_DESCOPE_TOKEN'] },
  { what: 'no short one', token: 'x'.repeat(20), own: 'y'.repeat(20), warned: [] },
])('the bridge warns of short secrets, given $what', async ({ token, own, warned }) => {
  const target = await startRecordingTarget()
  const home = createHome()
  mkdirSync(home, { recursive: true, mode: 0o700 })
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
  const credential = token === undefined ? {} : { credential: { type: 'bearer', token: '${KEY}' } }
  writeFileSync(
    join(home, 'config.json'),
    JSON.stringify({ targets: { t: { url: target.url, ...credential } } }),
  )
  const bridge = startBridge('t', {
    env: { MCP_DESCOPE_HOME: home, MCP_DESCOPE_TOKEN: own, ...(token && { KEY: token }) },
  })
  try {
    await bridge.handshake()
    await bridge.end()
    const warnings = bridge.stderr().match(WARNING) ?? []
    expect(warnings).toHaveLength(warned.length)
    for (const [at, name] of warned.entries()) expect(warnings[at]).toContain(name)
  } finally {
    await target.close()
  }
})
