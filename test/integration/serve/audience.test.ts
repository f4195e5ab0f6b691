import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const PUBLIC = 'https://proxy.example.com'

const call = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

let identity: Identity
let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget()
  stack = await start({ publicUrl: PUBLIC })
})
afterAll(async () => {
  await stack.close()
  await target.close()
  await identity.close()
})

/** Requests come by loopback, whatever the public URL is. */
const start = (server: { publicUrl: string }, configUrl = identity.configUrl) =>
  startStack({
    identity,
    targets: { t: target.url },
    config: { server: { ...server, allowedHosts: ['127.0.0.1'] }, descope: { configUrl } },
  })

async function answer(at: Stack, claims: Record<string, unknown>) {
  const token = await identity.mint({ azp: 'the-client', ...claims })
  const response = await at.post(call, { authorization: `Bearer ${token}` })
  await response.text()
  return { status: response.status, challenge: response.headers.get('www-authenticate') ?? '' }
}

describe('a token at the only endpoint', () => {
  it.each([
    ['the public URL, as the Resource URL of the predecessor was', [PUBLIC]],
    ['the public URL with a slash', [`${PUBLIC}/`]],
    ['the MCP URL', [`${PUBLIC}/mcp`]],
    ['the MCP URL among others', ['the-client', 'P', `${PUBLIC}/mcp`]],
  ])('is taken for %s', async (_title, aud) => {
    expect((await answer(stack, { aud })).status).toBe(200)
  })

  it.each([
    ['another path of the public URL', [`${PUBLIC}/other`]],
    ['a longer path', [`${PUBLIC}/mcp/x`]],
    ['another host', ['https://proxy.example.com.evil.example']],
    ['the project', () => [identity.projectId]],
    ['its client', ['the-client']],
    ['nothing', []],
    ['a text that holds the URL', [`x ${PUBLIC}`]],
  ])('is refused for %s', async (_title, given) => {
    const aud = typeof given === 'function' ? given() : given
    const { status, challenge } = await answer(stack, { aud })
    expect(status).toBe(401)
    expect(challenge).toContain(`is for another audience than ${PUBLIC}/mcp`)
  })

  it('is told what to enter where it names only ids', async () => {
    for (const aud of [[identity.projectId], ['the-client'], []]) {
      const { challenge } = await answer(stack, { aud })
      expect(challenge).toContain('enter this URL in Descope as MCP Server URL')
    }
    const { challenge } = await answer(stack, { aud: ['https://elsewhere.example/mcp'] })
    expect(challenge).not.toContain('MCP Server URL')
  })

  it('is not taken for the host of a public URL that ends in the path of the endpoint', async () => {
    const other = await start({ publicUrl: `${PUBLIC}/mcp` })
    try {
      expect((await answer(other, { aud: [PUBLIC] })).status).toBe(401)
      expect((await answer(other, { aud: [`${PUBLIC}/mcp`] })).status).toBe(200)
    } finally {
      await other.close()
    }
  })
})

describe("a token of the endpoint's own MCP server", () => {
  const own = () => ({ iss: identity.issuer })

  it.each([
    ['the project', () => [identity.projectId]],
    ['its client by azp', () => ['the-client']],
    ['the project, as text', () => identity.projectId],
  ])('is taken for %s', async (_title, aud) => {
    expect((await answer(stack, { ...own(), aud: aud() })).status).toBe(200)
  })

  it('is taken for its client by client_id', async () => {
    const claims = { azp: undefined, client_id: 'c2', aud: ['c2'] }
    expect((await answer(stack, { ...own(), ...claims })).status).toBe(200)
  })

  it.each([
    ['no audience', []],
    ['another client', ['somebody']],
    ['another project', ['P2abcdefghijklmnopqrstuvwxyz0']],
  ])('is refused for %s', async (_title, aud) => {
    expect((await answer(stack, { ...own(), aud })).status).toBe(401)
  })

  it('is refused when another MCP server of the project issued it', async () => {
    const iss = identity.issuer.replace(/MS\w+$/, 'MS2abcdefghijklmnopqrstuvwxyz0')
    const { status, challenge } = await answer(stack, { iss, aud: [identity.projectId] })
    expect(status).toBe(401)
    expect(challenge).toContain('from another issuer')
  })

  it('does not exist where only a project is configured, which is warned of', async () => {
    const other = await start({ publicUrl: PUBLIC }, identity.projectConfigUrl)
    try {
      const [warning] = other.logs().filter(({ event }) => event === 'project_url')
      expect(warning?.['level']).toBe('warn')
      expect(warning?.['msg'] ?? warning?.['message']).toMatch(
        new RegExp(`${PUBLIC}/mcp.*MCP Server URL.*${identity.projectId}.*descope.audience`),
      )
      expect((await answer(other, { aud: [identity.projectId] })).status).toBe(401)
      expect((await answer(other, { ...own(), aud: [identity.projectId] })).status).toBe(401)
      expect((await answer(other, { aud: [`${PUBLIC}/mcp`] })).status).toBe(200)
    } finally {
      await other.close()
    }
  })

  it('needs no warning where its URL or an audience is configured', async () => {
    const { projectConfigUrl: configUrl, projectId } = identity
    const other = await startStack({
      ...{ identity, targets: { t: target.url } },
      config: { descope: { configUrl, audience: [projectId] } },
    })
    const texts = [stack, other].map((at) => at.logText())
    await other.close()
    for (const text of texts) expect(text).not.toContain('project_url')
  })
})
