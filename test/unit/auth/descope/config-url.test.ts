import { describe, expect, it } from 'vitest'
import { acceptsIssuer, parseConfigUrl } from '../../../../src/auth/descope/discovery.js'
import { OTHER_PROJECT, OTHER_SERVER, PROJECT, SERVER } from '../support.js'

const AGENTIC = `/v1/apps/agentic/${PROJECT}/${SERVER}`

const APPS = `/v1/apps/${PROJECT}`

const BARE = `/${PROJECT}`

const OPENID = '/.well-known/openid-configuration'

const OAUTH = '/.well-known/oauth-authorization-server'

const DESCOPE = 'https://api.descope.com'

describe('parseConfigUrl', () => {
  const bases = [
    DESCOPE,
    'https://api.euc1.descope.com',
    'https://auth.example.com',
    'https://auth.example.com:8443',
    'http://127.0.0.1:4000',
    'http://localhost:4000',
    'http://[::1]:4000',
  ]
  const shapes = [AGENTIC, APPS, BARE].flatMap((path) => [
    { path, text: path },
    { path, text: `${path}/` },
    { path, text: `${path}${OPENID}` },
    { path, text: `${path}${OAUTH}` },
    { path, text: `${path}/${OPENID}/` },
    { path, text: `${OAUTH}${path}` },
    { path, text: `${OPENID}${path}/` },
  ])

  it.each(bases.flatMap((base) => shapes.map((shape) => ({ base, ...shape }))))(
    'understands $base$text',
    ({ base, path, text }) => {
      expect(parseConfigUrl(` ${base}${text} `)).toEqual({
        base,
        projectId: PROJECT,
        serverId: path === AGENTIC ? SERVER : undefined,
        issuer: `${base}${path}`,
        discoveryUrls: [`${base}${path}${OPENID}`, `${base}${path}${OAUTH}`],
        jwksFallbackUrl: `${base}/${PROJECT}/.well-known/jwks.json`,
      })
    },
  )

  it('understands the longer id of a regional project', () => {
    const id = `Peuc1${'2abcdefgh'.repeat(3)}`
    expect(parseConfigUrl(`https://api.euc1.descope.com/${id}`).projectId).toBe(id)
  })

  it('writes the host in lower case and leaves out the default port', () => {
    expect(parseConfigUrl(`https://API.Descope.com:443${APPS}`).base).toBe(DESCOPE)
  })

  it.each([
    { text: '', says: 'is not an https URL without credentials and fragment' },
    { text: 'api.descope.com', says: 'is not an https URL without credentials and fragment' },
    { text: 'file:///etc/passwd', says: 'is not an https URL without credentials and fragment' },
    { text: 'javascript:alert(1)', says: 'is not an https URL without credentials and fragment' },
    { text: `https://user:pw@api.descope.com${APPS}`, says: 'without credentials and fragment' },
    { text: `${DESCOPE}${APPS}#here`, says: 'is not an https URL without credentials' },
    { text: `${DESCOPE}${APPS}?x=secret`, says: 'has a query' },
    { text: PROJECT, says: 'is a project id, not a URL' },
    { text: `http://api.descope.com${APPS}`, says: 'does not use https (api.descope.com)' },
    { text: `http://127.0.0.1.example.com${APPS}`, says: 'does not use https' },
    { text: DESCOPE, says: 'has no project id in its path' },
    { text: `${DESCOPE}${OPENID}`, says: 'has no project id in its path' },
    { text: `${DESCOPE}/v1/apps`, says: 'has no project id in its path' },
    { text: `${DESCOPE}/v1/apps/agentic`, says: 'has no project id in its path' },
    { text: `${DESCOPE}/v1/apps/agentic/${PROJECT}`, says: 'a project but no MCP server' },
    { text: `${DESCOPE}/v1/apps/P123`, says: 'has "P123" where the project id belongs' },
    { text: `${DESCOPE}/v1/apps/agentic/${SERVER}/${PROJECT}`, says: `has "${SERVER}" where the` },
    { text: `${DESCOPE}/v1/apps/agentic/${PROJECT}/M%20S`, says: 'a malformed MCP server id' },
    { text: `${DESCOPE}${AGENTIC}/more`, says: 'has a longer path than an MCP server' },
    { text: `${DESCOPE}${BARE}/myapp${OPENID}`, says: 'names an application, not an MCP server' },
  ])('refuses "$text"', ({ text, says }) => {
    expect(() => parseConfigUrl(text)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`The Descope configuration URL`),
        hint: expect.stringMatching(/Discovery URL|https:\/\//),
      }),
    )
    expect(() => parseConfigUrl(text)).toThrow(says)
    expect(() => parseConfigUrl(text)).not.toThrow(/secret|pw/)
  })
})

describe('acceptsIssuer', () => {
  const shapes = { agentic: AGENTIC, apps: APPS, bare: BARE }
  const all = ['agentic', 'apps', 'bare']
  it.each([
    { issuer: `${DESCOPE}${AGENTIC}`, accepted: all },
    { issuer: `${DESCOPE}${APPS}`, accepted: all },
    { issuer: `${DESCOPE}${APPS}/T2tenant`, accepted: all },
    { issuer: `${DESCOPE}${APPS}/acme.example`, accepted: all },
    {
      issuer: `${DESCOPE}/v1/apps/agentic/${PROJECT}/${OTHER_SERVER}`,
      accepted: ['apps', 'bare'],
    },
    { issuer: `${DESCOPE}${BARE}`, accepted: [] },
    { issuer: PROJECT, accepted: [] },
    { issuer: '', accepted: [] },
    { issuer: `${DESCOPE}/v1/apps/agentic/${PROJECT}`, accepted: [] },
    { issuer: `${DESCOPE}/v1/apps/agentic/${OTHER_PROJECT}/${SERVER}`, accepted: [] },
    { issuer: `${DESCOPE}/v1/apps/${OTHER_PROJECT}`, accepted: [] },
    { issuer: `${DESCOPE}/v1/apps/${OTHER_PROJECT}/${PROJECT}`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}x`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/T2tenant/`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/T2tenant/deeper`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/..`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/%2e%2e`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/T2?x`, accepted: [] },
    { issuer: `${DESCOPE}${APPS}/T2#x`, accepted: [] },
    { issuer: `${DESCOPE}${AGENTIC}/`, accepted: [] },
    { issuer: `${DESCOPE}${AGENTIC}/deeper`, accepted: [] },
    { issuer: `https://api.euc1.descope.com${APPS}`, accepted: [] },
    { issuer: `https://evil.example${APPS}`, accepted: [] },
    { issuer: `https://api.descope.com.evil.example${APPS}`, accepted: [] },
    { issuer: `https://api.descope.com@evil.example${APPS}`, accepted: [] },
    { issuer: `http://api.descope.com${APPS}`, accepted: [] },
    { issuer: `https://API.descope.com${APPS}`, accepted: [] },
    { issuer: ` ${DESCOPE}${APPS}`, accepted: [] },
  ])('is true for "$issuer" under the configurations $accepted', ({ issuer, accepted }) => {
    const accepting = Object.entries(shapes)
      .filter(([, path]) => acceptsIssuer(parseConfigUrl(`${DESCOPE}${path}`))(issuer))
      .map(([name]) => name)
    expect(accepting).toEqual(accepted)
  })

  it.each([PROJECT, `${DESCOPE}${BARE}`])('accepts %s only when it is listed', (issuer) => {
    const project = parseConfigUrl(`${DESCOPE}${AGENTIC}`)
    expect(acceptsIssuer(project)(issuer)).toBe(false)
    expect(acceptsIssuer(project, [issuer])(issuer)).toBe(true)
    expect(acceptsIssuer(project, [issuer])(`${issuer}/`)).toBe(false)
  })
})
