import { describe, expect, it } from 'vitest'
import {
  discoverGrantPlan,
  discoverProtectedResource,
} from '../../../../src/auth/oauth/discover.js'
import { discoverAuthorizationServer } from '../../../../src/auth/oauth/server-metadata.js'
import { createManualClock } from '../../../helpers/runtime.js'

/** Answers by URL; what is not named is 404. */
function web(pages: Record<string, unknown>) {
  const asked: string[] = []
  const fetch: typeof globalThis.fetch = async (input) => {
    const url = String(input)
    asked.push(url)
    const page = pages[url]
    if (page instanceof Error) throw page
    if (page instanceof Response) return page.clone()
    return page === undefined ? new Response('no', { status: 404 }) : Response.json(page)
  }
  return { deps: { fetch, clock: createManualClock() }, asked }
}

const metadata = (issuer: string, more: object = {}) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  code_challenge_methods_supported: ['S256'],
  ...more,
})
const MCP = new URL('https://mcp.example/a/mcp')
const PRM = 'https://mcp.example/.well-known/oauth-protected-resource'

describe('discoverProtectedResource', () => {
  it('[mcp-client-prm-order] looks at the inserted path, then at the root', async () => {
    const { deps, asked } = web({ [PRM]: { resource: 'https://mcp.example' } })
    expect((await discoverProtectedResource(deps, MCP))?.resource).toBe('https://mcp.example')
    expect(asked).toEqual([`${PRM}/a/mcp`, PRM])
  })

  it('[mcp-client-prm-order] looks only where the challenge points to', async () => {
    const document = { resource: MCP.href, authorization_servers: ['https://as.example'] }
    const { deps, asked } = web({ 'https://mcp.example/meta': document })
    await discoverProtectedResource(deps, MCP, 'https://mcp.example/meta')
    expect(asked).toEqual(['https://mcp.example/meta'])
  })

  it.each([
    'https://mcp.example/other',
    'https://evil.example/a/mcp',
    'https://mcp.example/a/mc',
    'nonsense',
    undefined,
  ])('[mcp-client-prm-resource] refuses metadata of the resource %j', async (resource) => {
    const { deps } = web({ [PRM]: { resource } })
    await expect(discoverProtectedResource(deps, MCP)).rejects.toMatchObject({
      code: 'DISCOVERY_INVALID',
    })
  })

  it.each([
    'http://mcp.example/meta',
    'file:///etc/passwd',
    'http://127.0.0.1:9/meta',
    'https://10.0.0.1/meta',
  ])('does not follow a challenge to %s', async (url) => {
    const { deps, asked } = web({})
    await expect(discoverProtectedResource(deps, MCP, url)).rejects.toMatchObject({
      code: 'DISCOVERY_INVALID',
    })
    expect(asked).not.toContain(url)
  })

  it('[mcp-client-prm-order] says so when there is nothing where the challenge points to, nor anywhere else', async () => {
    const { deps } = web({})
    await expect(discoverProtectedResource(deps, MCP, 'https://mcp.example/meta')).rejects.toThrow(
      'There is no metadata at https://mcp.example/meta',
    )
  })

  it('is retryable when the server is in trouble', async () => {
    const { deps } = web({ [`${PRM}/a/mcp`]: new Response('', { status: 503 }) })
    await expect(discoverProtectedResource(deps, MCP)).rejects.toMatchObject({ retryable: true })
  })
})

describe('discoverAuthorizationServer', () => {
  it('[mcp-client-as-order] looks in three places for an issuer with a path', async () => {
    const { deps, asked } = web({})
    expect(await discoverAuthorizationServer(deps, 'https://as.example/t')).toBeUndefined()
    expect(asked).toEqual([
      'https://as.example/.well-known/oauth-authorization-server/t',
      'https://as.example/.well-known/openid-configuration/t',
      'https://as.example/t/.well-known/openid-configuration',
    ])
  })

  it('[mcp-client-as-order] looks in two places for an issuer without a path', async () => {
    const { deps, asked } = web({})
    await discoverAuthorizationServer(deps, 'https://as.example')
    expect(asked).toEqual([
      'https://as.example/.well-known/oauth-authorization-server',
      'https://as.example/.well-known/openid-configuration',
    ])
  })

  it('looks first where the document was last time', async () => {
    const known = 'https://as.example/t/.well-known/openid-configuration'
    const { deps, asked } = web({ [known]: metadata('https://as.example/t') })
    await discoverAuthorizationServer(deps, 'https://as.example/t', { known })
    expect(asked).toEqual([known])
  })

  it.each(['https://as.example//', 'https://AS.example', 'https://other.example'])(
    '[mcp-client-issuer] refuses a document whose issuer is %s',
    async (issuer) => {
      const url = 'https://as.example/.well-known/oauth-authorization-server'
      const { deps } = web({ [url]: metadata(issuer) })
      await expect(discoverAuthorizationServer(deps, 'https://as.example')).rejects.toMatchObject({
        code: 'DISCOVERY_INVALID',
      })
    },
  )

  it.each([undefined, [], ['plain']])(
    '[mcp-client-pkce] refuses a server that announces PKCE as %j',
    async (methods) => {
      const url = 'https://as.example/.well-known/oauth-authorization-server'
      const { deps } = web({
        [url]: metadata('https://as.example', { code_challenge_methods_supported: methods }),
      })
      await expect(discoverAuthorizationServer(deps, 'https://as.example')).rejects.toThrow('S256')
    },
  )

  it.each([
    'http://as.example/token',
    'javascript:alert(1)',
    'https://user:pw@as.example/token',
    'http://127.0.0.1/token',
  ])('[mcp-client-https] refuses the token endpoint %s', async (token_endpoint) => {
    const url = 'https://as.example/.well-known/oauth-authorization-server'
    const { deps } = web({ [url]: metadata('https://as.example', { token_endpoint }) })
    await expect(discoverAuthorizationServer(deps, 'https://as.example')).rejects.toThrow(
      'token_endpoint',
    )
  })

  it('does not follow a redirect into an inner network', async () => {
    const url = 'https://as.example/.well-known/oauth-authorization-server'
    const moved = new Response('', {
      status: 302,
      headers: { location: 'http://169.254.169.254/' },
    })
    const { deps, asked } = web({ [url]: moved })
    await expect(discoverAuthorizationServer(deps, 'https://as.example')).rejects.toThrow(
      'redirect',
    )
    expect(asked).toEqual([url, 'https://as.example/.well-known/openid-configuration'])
  })
})

describe('discoverGrantPlan', () => {
  const server = { kind: 'server', url: MCP } as const

  it('[mcp-client-resource] sends a resource even when the server publishes no metadata', async () => {
    const url = 'https://mcp.example/.well-known/oauth-authorization-server'
    const { deps } = web({ [url]: metadata('https://mcp.example') })
    const plan = await discoverGrantPlan(deps, server, undefined)
    expect(plan).toMatchObject({ resource: MCP.href, server: { issuer: 'https://mcp.example' } })
  })

  it('assumes the endpoints of MCP 2025-03-26 at the origin of a server without any metadata', async () => {
    const { deps } = web({})
    const plan = await discoverGrantPlan(deps, server, undefined)
    expect(plan.server).toMatchObject({
      tokenEndpoint: 'https://mcp.example/token',
      metadataUrl: undefined,
    })
  })

  it('takes the first authorization server that has metadata', async () => {
    const { deps } = web({
      [PRM]: {
        resource: MCP.href,
        authorization_servers: ['https://gone.example', 'https://as.example'],
      },
      'https://as.example/.well-known/openid-configuration': metadata('https://as.example'),
    })
    const plan = await discoverGrantPlan(deps, server, undefined)
    expect(plan.server.issuer).toBe('https://as.example')
  })

  it.each([{ authorization_servers: [] }, { authorization_servers: ['https://gone.example'] }])(
    'says that there is no authorization server for %j',
    async (more) => {
      const { deps } = web({ [PRM]: { resource: MCP.href, ...more } })
      await expect(discoverGrantPlan(deps, server, undefined)).rejects.toMatchObject({
        code: 'DISCOVERY_INVALID',
      })
    },
  )
})
