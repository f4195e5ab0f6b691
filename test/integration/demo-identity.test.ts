import { describe, expect, it } from 'vitest'
import { runCli, startCli } from '../helpers/cli.js'

async function start(...flags: string[]) {
  const cli = startCli(['demo', 'identity', '--json', ...flags])
  const [line] = await cli.waitFor('stdout', /\{.*\}\n/)
  const { url } = JSON.parse(line) as { url: string }
  const minted = await fetch(`${url}/__test/mint`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  const { token } = (await minted.json()) as { token: string }
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const state = await (await fetch(`${url}/__test/state`)).json()
  cli.child.kill('SIGTERM')
  expect((await cli.ended).status).toBe(0)
  return { claims, state: state as { issuer: string; projectId: string } }
}

describe('demo identity', () => {
  it('gives tokens the issuer, the scopes and the life that its flags say', async () => {
    const { claims, state } = await start(
      ...['--issuer', 'agentic', '--scopes', 'docs:read docs:write', '--ttl', '42'],
    )
    expect(claims).toMatchObject({ iss: state.issuer, scope: 'docs:read docs:write' })
    expect(claims.exp - claims.iat).toBe(42)
  })

  it('gives them as before without flags', async () => {
    const { claims, state } = await start()
    expect(claims.iss).toContain(state.projectId)
    expect(claims.iss).not.toBe(state.issuer)
    expect(claims).toMatchObject({ scope: 'mcp:use' })
    expect(claims.exp - claims.iat).toBe(600)
  })

  it.each([
    ['--issuer', 'mine'],
    ['--scopes', ' '],
    ['--scopes', 'a"b'],
    ['--ttl', '0'],
    ['--ttl', '1.5'],
  ])('refuses %s %j', async (flag, value) => {
    const { status, stderr } = await runCli(['demo', 'identity', flag, value])
    expect([status, stderr]).toEqual([2, expect.stringContaining(flag)])
  })
})
