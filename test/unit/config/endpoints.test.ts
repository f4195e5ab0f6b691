import { describe, expect, it } from 'vitest'
import { endpointsOf, mainUrlOf, signInPlaceOf } from '../../../src/config/endpoints.js'
import { loadConfig, resolveConfig } from '../../../src/config/load.js'
import type { ConfigInput } from '../../../src/config/types.js'
import { untrustedFlows } from '../../../src/usecases/access/check-trust.js'
import { messageOf } from '../../../src/util/errors.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const PROJECT = 'P2abcdefghijklmnopqrstuvwxyz0'
const SHARED = `https://api.descope.com/v1/apps/agentic/${PROJECT}/MS1`
const OWN = `https://api.descope.com/v1/apps/agentic/${PROJECT}/MS2`
const WELL_KNOWN = '/.well-known/openid-configuration'

type Server = NonNullable<ConfigInput['server']>
type Targets = NonNullable<ConfigInput['targets']>

const url = 'https://target.example.com/mcp'

const load = (server: Server, targets: Targets, more: ConfigInput = {}) =>
  resolveConfig({
    ...more,
    descope: { configUrl: SHARED, ...more.descope },
    server: { publicUrl: 'https://p.example', ...server },
    targets,
  })

function problem(server: Server, targets: Targets, more: ConfigInput = {}): string {
  try {
    load(server, targets, more)
    return ''
  } catch (error) {
    return messageOf(error)
  }
}

const placesOf = (server: Server, targets: Targets = { a: { url }, b: { url } }) =>
  endpointsOf(load(server, targets).config, 8000).map((place) => [place.path, place.url])

describe('the endpoints', () => {
  it('are one by default, one for each target, or both', () => {
    const all = ['/mcp', 'https://p.example/mcp']
    const each = ['a', 'b'].map((name) => [`/${name}/mcp`, `https://p.example/${name}/mcp`])
    expect(placesOf({})).toEqual([all])
    expect(placesOf({ endpoints: 'each' })).toEqual(each)
    expect(placesOf({ endpoints: 'both' })).toEqual([all, ...each])
  })

  it.each([
    [{ publicUrl: 'https://p.example/mcp' }, '/a/mcp', 'https://p.example/a/mcp'],
    [{ publicUrl: 'https://p.example/x/mcp/' }, '/a/mcp', 'https://p.example/x/a/mcp'],
    [{ publicUrl: 'https://p.example/x', path: '/y/z' }, '/a/y/z', 'https://p.example/x/a/y/z'],
    [{ path: '/' }, '/a', 'https://p.example/a'],
    [{ publicUrl: undefined }, '/a/mcp', 'http://localhost:8000/a/mcp'],
  ])('with %j are at %s', (server, path, expected) => {
    expect(placesOf({ ...server, endpoints: 'each' }, { a: { url } })).toEqual([[path, expected]])
  })

  it('know which of them share an MCP server, however its URL is written', () => {
    const targets = {
      a: { url, descope: { configUrl: SHARED + WELL_KNOWN } },
      b: { url, descope: { configUrl: OWN } },
      c: { url },
    }
    const shared = (endpoints: 'each' | 'both') =>
      endpointsOf(load({ endpoints }, targets).config, 8000).map(({ isShared }) => isShared)
    expect(shared('both')).toEqual([true, true, false, true])
    expect(shared('each')).toEqual([true, false, true])
  })

  it('have the public URL as audience only where there is no other', () => {
    const of = (endpoints: Server['endpoints'], targets: Targets) =>
      endpointsOf(load({ endpoints }, targets).config, 8000).map(({ publicUrl }) => publicUrl)
    expect(of('merged', { a: { url }, b: { url } })).toEqual(['https://p.example'])
    expect(of('each', { a: { url } })).toEqual([undefined])
    expect(of('both', { a: { url } })).toEqual([undefined, undefined])
  })

  it('have one URL that stands for the server', () => {
    const main = (server: Server, targets: Targets) => mainUrlOf(load(server, targets).config, 80)
    expect(main({}, { a: { url } })).toBe('https://p.example/mcp')
    expect(main({ endpoints: 'both' }, { a: { url } })).toBe('https://p.example/mcp')
    expect(main({ endpoints: 'each' }, { a: { url } })).toBe('https://p.example/a/mcp')
    expect(main({ endpoints: 'each' }, { a: { url }, b: { url } })).toBe('https://p.example')
  })

  it('are where a bridge to one target signs in', () => {
    const targets = { a: { url, descope: { configUrl: OWN } }, b: { url } }
    const { config } = load({ endpoints: 'each' }, targets)
    const place = (names: string[]) =>
      signInPlaceOf(
        config,
        names.map((name) => ({ name })),
      )
    expect(place(['a'])).toMatchObject({ configUrl: OWN, url: 'https://p.example/a/mcp' })
    expect(place(['b'])).toMatchObject({ configUrl: SHARED, url: 'https://p.example/b/mcp' })
    expect(place(['a', 'b'])).toEqual({ configUrl: SHARED, url: 'https://p.example/mcp' })
  })
})

describe('a configuration of endpoints that cannot work', () => {
  const a = { a: { url } }

  it.each(['healthz', 'readyz', 'metrics', 'Metrics'])('names a target %s', (name) => {
    expect(problem({ endpoints: 'each' }, { [name]: { url } })).toMatch(
      `The target "${name}" would have its endpoint at /${name}/mcp, and /${name} means something else (option server.endpoints) — give it another name`,
    )
    expect(problem({}, { [name]: { url } })).toBe('')
  })

  it('names a target .well-known', () => {
    expect(problem({ endpoints: 'each' }, { '.well-known': { url } })).toContain(
      'The target name ".well-known" is not allowed',
    )
  })

  it('has an MCP server for an endpoint that does not exist', () => {
    const targets = { a: { url, descope: { configUrl: OWN } } }
    expect(problem({}, targets)).toBe(
      'targets.a.descope.configUrl is that of an endpoint of its own, and server.endpoints is merged (option targets.a.descope.configUrl, default) — write "each" or "both" in server.endpoints, or leave it out',
    )
    expect(problem({ endpoints: 'both' }, targets)).toBe('')
  })

  it('has a URL for an endpoint that is no discovery URL', () => {
    const targets = { a: { url, descope: { configUrl: 'https://api.descope.com/' } } }
    expect(problem({ endpoints: 'both' }, targets)).toContain(
      'targets.a.descope.configUrl has no project id in its path',
    )
  })

  it('has another value', () => {
    const server = { endpoints: 'all' } as never
    expect(problem(server, a)).toContain('server.endpoints')
    expect(problem(server, a)).toContain('write merged, each or both')
  })

  it.each([
    ['each', [PROJECT], 'applies only to the endpoint of all targets'],
    ['each', ['https://old.example/mcp'], 'applies only to the endpoint of all targets'],
    ['both', [PROJECT], "which tokens of the targets' own endpoints may have too"],
    ['both', ['https://p.example/a/mcp/'], "which tokens of the targets' own endpoints may have"],
  ] as const)('accepts at %s the audiences %j', (endpoints, audience, what) => {
    expect(problem({ endpoints }, a, { descope: { audience } })).toContain(what)
    expect(problem({}, a, { descope: { audience } })).toBe('')
  })

  it('may accept another URL at the endpoint of all targets', () => {
    const descope = { audience: ['https://old.example/mcp'] }
    expect(problem({ endpoints: 'both' }, a, { descope })).toBe('')
  })

  it('lacks an MCP server where not each target has its own', () => {
    const own = { url, descope: { configUrl: OWN } }
    const descope = { configUrl: undefined }
    const missing = (server: Server, targets: Targets) => {
      try {
        resolveConfig({ descope, server, targets })
        return ''
      } catch (error) {
        return messageOf(error)
      }
    }
    expect(missing({ endpoints: 'each' }, { a: own })).toBe('')
    expect(missing({ endpoints: 'each' }, { a: own, b: { url } })).toContain('is missing')
    expect(missing({ endpoints: 'both' }, { a: own })).toContain('is missing')
  })
})

it('a sign-in goes to the MCP server that only a file of the working directory names when it is trusted', () => {
  const credential = {
    type: 'token-exchange',
    clientId: 'c',
    clientSecret: 'of-the-project-itself',
  }
  const content = {
    server: { endpoints: 'each' },
    targets: { a: { url, credential, descope: { configUrl: OWN } } },
  }
  const cwd = createFolder({ '.mcp-descope-proxyrc.json': content })
  const runtime = createTestRuntime({ cwd, env: { DESCOPE_CONFIG_URL: SHARED } })
  const loaded = loadConfig(runtime, { flags: {}, for: 'report' })
  const sent = { targets: ['a'], headers: [], signIn: [], onBehalf: ['the stored sign-in'] }
  const flows = untrustedFlows(loaded, { ...sent, toDescope: ['MCP_DESCOPE_CLIENT_SECRET'] })
  const atOwn = flows.filter((flow) => flow.url === OWN).map(({ what }) => what)
  expect(atOwn).toEqual(['MCP_DESCOPE_CLIENT_SECRET', 'the stored sign-in'])
  expect(flows.some((flow) => flow.url === SHARED)).toBe(false)
})
