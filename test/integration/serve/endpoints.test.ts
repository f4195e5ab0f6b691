import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ConfigInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createVisitor } from '../../../src/demo/visitor.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const WELL_KNOWN = '/.well-known/oauth-protected-resource'

/** An MCP server in Descope of its own, of another project. */
let identity: Identity
let others: Identity
let docs: RecordingTarget
let bills: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock, scopes: ['mcp:use', 'docs:write'] })
  others = await startIdentity({ clock, scopes: ['billing', 'billing:pay'] })
  docs = await startRecordingTarget({ sessions: 'required', tools: [tool('read'), tool('write')] })
  bills = await startRecordingTarget({ sessions: 'required', tools: [tool('pay')] })
  for (const target of [docs, bills]) target.on('tools/call', () => ({ content: [] }))
})
afterEach(() => {
  docs.clear()
  bills.clear()
})
afterAll(async () => {
  for (const part of [docs, bills, identity, others]) await part.close()
})

type Targets = NonNullable<ConfigInput['targets']>

const start = (
  endpoints: 'merged' | 'each' | 'both',
  { docs: ofDocs, bills: ofBills }: { docs?: Targets[string]; bills?: Targets[string] } = {},
  config: ConfigInput = {},
): Promise<Stack> =>
  startStack({
    identity,
    targets: { docs: { url: docs.url, ...ofDocs }, bills: { url: bills.url, ...ofBills } },
    config: { ...config, server: { endpoints, ...config.server } },
  })

async function using(stack: Stack, use: (stack: Stack) => Promise<void>): Promise<void> {
  try {
    await use(stack)
  } finally {
    await stack.close()
  }
}

const urlOf = (stack: Stack, path: string) => `http://localhost:${stack.server.port}${path}`

interface Asked {
  /** The path whose URL is the audience of the token; `undefined` sends none. */
  as?: string | undefined
  by?: Identity
  claims?: Record<string, unknown>
  headers?: Record<string, string>
}

async function ask(stack: Stack, path: string, message: object, asked: Asked = {}) {
  const { as, by = identity, claims, headers } = asked
  const aud = ['client', by.projectId, ...(as === undefined ? [] : [urlOf(stack, as)])]
  const response = await fetch(stack.origin + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(as !== undefined && { authorization: `Bearer ${await by.mint({ aud, ...claims })}` }),
      ...headers,
    },
    body: JSON.stringify(message),
  })
  const copy = response.clone()
  const body = response.status === 200 ? await readMessage(response) : undefined
  return { status: response.status, headers: response.headers, body, text: () => copy.text() }
}

const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  },
}

async function toolsAt(stack: Stack, path: string, asked: Asked = {}) {
  const { body } = await ask(stack, path, list, { as: path, ...asked })
  return body.result.tools.map(({ name }: { name: string }) => name)
}

const getJson = async (stack: Stack, path: string) => {
  const response = await fetch(stack.origin + path)
  return { status: response.status, body: response.status === 200 ? await response.json() : {} }
}

describe('with an endpoint for each target', () => {
  it('each has the names of its target as they are, and there is no other endpoint', async () => {
    await using(await start('each'), async (stack) => {
      expect(await toolsAt(stack, '/docs/mcp')).toEqual(['read', 'write'])
      expect(await toolsAt(stack, '/bills/mcp')).toEqual(['pay'])
      expect(await toolsAt(stack, '/bills/mcp/', { as: '/bills/mcp' })).toEqual(['pay'])
      const call = { ...list, method: 'tools/call', params: { name: 'pay' } }
      const { body } = await ask(stack, '/bills/mcp', call, { as: '/bills/mcp' })
      expect(body.result).toEqual({ content: [] })
      for (const name of ['read', 'docs_read', 'bills_pay']) {
        const other = { ...call, params: { name } }
        const answer = await ask(stack, '/bills/mcp', other, { as: '/bills/mcp' })
        expect([name, docs.of('tools/call').length]).toEqual([name, 0])
        expect(answer.status).toBe(200)
      }
      for (const as of ['/mcp', '/docs/mcp', undefined]) {
        expect((await ask(stack, '/mcp', list, { as })).status).toBe(404)
      }
      expect((await getJson(stack, `${WELL_KNOWN}/mcp`)).status).toBe(404)
      expect((await getJson(stack, WELL_KNOWN)).status).toBe(404)
    })
  })

  it('each has metadata of its own, which its challenges name', async () => {
    await using(await start('each'), async (stack) => {
      for (const path of ['/docs/mcp', '/bills/mcp']) {
        const { body } = await getJson(stack, WELL_KNOWN + path)
        expect(body).toMatchObject({
          resource: urlOf(stack, path),
          authorization_servers: [identity.issuer],
          resource_name: path.split('/')[1],
        })
        for (const kind of ['oauth-authorization-server', 'openid-configuration']) {
          const document = await getJson(stack, `/.well-known/${kind}${path}`)
          expect(document.body).toMatchObject({ issuer: identity.issuer })
        }
        const refused = await ask(stack, path, list)
        expect(refused.status).toBe(401)
        expect(refused.headers.get('www-authenticate')).toContain(
          `resource_metadata="${urlOf(stack, WELL_KNOWN + path)}"`,
        )
      }
    })
  })

  it('a token of one is refused at each other one, although they share an MCP server', async () => {
    await using(await start('both'), async (stack) => {
      const paths = ['/mcp', '/docs/mcp', '/bills/mcp']
      for (const iss of [identity.issuer, `${identity.url}/v1/apps/${identity.projectId}`]) {
        for (const at of paths) {
          for (const as of paths) {
            const { status, headers } = await ask(stack, at, list, { as, claims: { iss } })
            expect([at, as, status]).toEqual([at, as, at === as ? 200 : 401])
            if (at === as) continue
            expect(headers.get('www-authenticate')).toContain('for another audience than')
          }
        }
        for (const at of paths) {
          const claims = { iss, aud: ['client', identity.projectId] }
          expect((await ask(stack, at, list, { as: at, claims })).status).toBe(401)
          const front = { iss, aud: [urlOf(stack, '')] }
          expect((await ask(stack, at, list, { as: at, claims: front })).status).toBe(401)
        }
      }
    })
  })

  it('any other path is not found, with every token and with none', async () => {
    for (const which of ['each', 'both'] as const) {
      await using(await start(which), async (stack) => {
        const answers: string[] = []
        for (const path of ['/nobody/mcp', '/docs/other', '/mcp/docs', '/docs/mcp/mcp', '/x']) {
          for (const as of [undefined, '/docs/mcp', path]) {
            const { status, text } = await ask(stack, path, list, { as })
            expect([path, as, status]).toEqual([path, as, 404])
            answers.push((await text()).replace(/"requestId":"[^"]+"/, ''))
          }
        }
        expect(new Set(answers).size).toBe(1)
        expect((await getJson(stack, `${WELL_KNOWN}/nobody/mcp`)).status).toBe(404)
      })
    }
  })

  it('one target alone is the whole server, whose documents are at the root too', async () => {
    const stack = await startStack({
      ...{ identity, targets: { docs: docs.url } },
      config: { server: { endpoints: 'each' } },
    })
    await using(stack, async () => {
      expect(stack.server.resource).toBe(urlOf(stack, '/docs/mcp'))
      const { body } = await getJson(stack, WELL_KNOWN)
      expect(body).toMatchObject({ resource: urlOf(stack, '/docs/mcp') })
      const claims = { iss: identity.issuer, aud: [identity.projectId] }
      expect((await ask(stack, '/docs/mcp', list, { as: '/docs/mcp', claims })).status).toBe(200)
    })
  })

  it('the public URL, the path and the names decide where they are', async () => {
    const server = {
      ...{ endpoints: 'both' as const, path: '/api/mcp' },
      publicUrl: 'https://proxy.example.com/base/',
      allowedHosts: ['127.0.0.1'],
    }
    const stack = await startStack({
      ...{ identity, targets: { 'My_Docs-2': docs.url } },
      config: { server },
    })
    await using(stack, async () => {
      const resource = 'https://proxy.example.com/base/My_Docs-2/api/mcp'
      for (const path of ['/My_Docs-2/api/mcp', '/base/My_Docs-2/api/mcp']) {
        expect((await getJson(stack, WELL_KNOWN + path)).body).toMatchObject({ resource })
      }
      const token = await identity.mint({ aud: [resource] })
      const headers = { authorization: `Bearer ${token}` }
      const path = '/My_Docs-2/api/mcp'
      expect((await ask(stack, path, list, { headers })).status).toBe(200)
      expect((await ask(stack, path.toLowerCase(), list, { headers })).status).toBe(404)
    })
  })
})

it('a client of the official SDK signs in at an endpoint, and at each other one again', async () => {
  await using(await start('each'), async (stack) => {
    for (const [path, name] of [
      ['/docs/mcp', 'read'],
      ['/bills/mcp', 'pay'],
    ] as const) {
      const visitor = createVisitor(urlOf(stack, path), fetch)
      try {
        expect(await visitor.callWithoutToken()).toBe(urlOf(stack, WELL_KNOWN + path))
        await visitor.register()
        await visitor.signIn()
        await visitor.connect()
        expect(await visitor.listTools()).toContain(name)
      } finally {
        await visitor.close()
      }
    }
  })
})

it('endpoints with one MCP server ask for its documents and keys once', async () => {
  const before = { ...identity.counters }
  await using(await start('both'), async () => {
    const { documents, keySets } = identity.counters
    expect(documents - before.documents).toBe(1)
    expect(keySets - before.keySets).toBe(1)
  })
})

it('without sign-in they are there, too, without metadata', async () => {
  const server = { insecureNoAuth: true }
  await using(await start('both', {}, { server }), async (stack) => {
    const listed = async (path: string) => (await ask(stack, path, list)).body.result.tools
    expect(await listed('/docs/mcp')).toHaveLength(2)
    expect(await listed('/mcp')).toHaveLength(3)
    expect((await getJson(stack, `${WELL_KNOWN}/docs/mcp`)).status).toBe(404)
    expect((await ask(stack, '/nobody/mcp', list)).status).toBe(404)
  })
})

describe('with both', () => {
  it('the endpoint of all targets has their names with prefixes', async () => {
    await using(await start('both'), async (stack) => {
      expect(await toolsAt(stack, '/mcp')).toEqual(['docs_read', 'docs_write', 'bills_pay'])
      expect(await toolsAt(stack, '/docs/mcp')).toEqual(['read', 'write'])
      expect((await getJson(stack, WELL_KNOWN)).body).toMatchObject({
        resource: urlOf(stack, '/mcp'),
      })
    })
  })

  it('a target that is down at one endpoint is known to be so at the other', async () => {
    await using(await start('both', { docs: { url: 'http://127.0.0.1:9/mcp' } }), async (stack) => {
      await ask(stack, '/docs/mcp', list, { as: '/docs/mcp' })
      const response = await fetch(`${stack.origin}/readyz`)
      expect(await response.json()).toMatchObject({
        ready: true,
        targets: { docs: 'down', bills: 'unknown' },
        endpoints: { '/mcp': 'ok', '/docs/mcp': 'ok', '/bills/mcp': 'ok' },
      })
    })
  })
})

describe('with an MCP server of its own in Descope', () => {
  const own = () => ({ bills: { url: bills.url, descope: { configUrl: others.configUrl } } })

  it('an endpoint takes the tokens of that one only', async () => {
    await using(await start('both', own()), async (stack) => {
      const { body } = await getJson(stack, `${WELL_KNOWN}/bills/mcp`)
      expect(body).toMatchObject({
        authorization_servers: [others.issuer],
        scopes_supported: ['billing', 'billing:pay'],
      })
      const mirrored = await getJson(stack, '/.well-known/oauth-authorization-server/bills/mcp')
      expect(mirrored.body).toMatchObject({ issuer: others.issuer })
      expect(await toolsAt(stack, '/bills/mcp', { by: others })).toEqual(['pay'])
      const foreign = await ask(stack, '/bills/mcp', list, { as: '/bills/mcp' })
      expect(foreign.status).toBe(401)
      expect(foreign.headers.get('www-authenticate')).toContain('from another issuer')
      for (const path of ['/mcp', '/docs/mcp']) {
        expect((await ask(stack, path, list, { as: path, by: others })).status).toBe(401)
        expect((await ask(stack, path, list, { as: path })).status).toBe(200)
      }
    })
  })

  it('its issuer says what a token is for, even where "aud" names the project alone', async () => {
    await using(await start('both', own()), async (stack) => {
      const claims = { iss: others.issuer, aud: [others.projectId] }
      const asked = { by: others, claims }
      expect((await ask(stack, '/bills/mcp', list, { as: '/x', ...asked })).status).toBe(200)
      for (const path of ['/mcp', '/docs/mcp']) {
        expect((await ask(stack, path, list, { as: '/x', ...asked })).status).toBe(401)
      }
    })
  })

  it('an endpoint whose Descope does not answer leaves the others at work', async () => {
    const configUrl = others.configUrl.replace(/:\d+/, ':9')
    const targets = { bills: { url: bills.url, descope: { configUrl } } }
    await using(await start('each', targets), async (stack) => {
      expect(await toolsAt(stack, '/docs/mcp')).toEqual(['read', 'write'])
      const claims = { iss: configUrl.replace(/\/\.well-known.*/, '') }
      const asked = { as: '/bills/mcp', by: others, claims }
      expect((await ask(stack, '/bills/mcp', list, asked)).status).toBe(503)
      expect(await (await fetch(`${stack.origin}/readyz`)).json()).toMatchObject({
        ...{ ready: true, keys: 'missing' },
        endpoints: { '/docs/mcp': 'ok', '/bills/mcp': 'missing' },
      })
    })
  })

  it('no other is needed where each has one', async () => {
    const stack = await startStack({
      identity,
      targets: { bills: { url: bills.url, descope: { configUrl: others.configUrl } } },
      config: { descope: { configUrl: undefined }, server: { endpoints: 'each' } },
    })
    await using(stack, async () => {
      expect(await toolsAt(stack, '/bills/mcp', { by: others })).toEqual(['pay'])
    })
  })
})

describe('a session', () => {
  it('is worth nothing at another endpoint', async () => {
    await using(await start('both'), async (stack) => {
      const opened = await ask(stack, '/docs/mcp', initialize, { as: '/docs/mcp' })
      const session = opened.headers.get('mcp-session-id') ?? ''
      expect(session).not.toBe('')
      const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
      const at = (path: string) => ask(stack, path, list, { as: path, headers })
      expect((await at('/docs/mcp')).status).toBe(200)
      expect((await at('/mcp')).status).toBe(404)
      expect((await at('/bills/mcp')).status).toBe(404)
    })
  })
})

describe('access to a target', () => {
  const restricted = () => ({ bills: { url: bills.url, access: { roles: ['accountant'] } } })

  it('holds at its own endpoint, where others find nothing, as at any other path', async () => {
    for (const which of ['each', 'both'] as const) {
      await using(await start(which, restricted()), async (stack) => {
        const claims = { roles: ['accountant'] }
        expect(await toolsAt(stack, '/bills/mcp', { claims })).toEqual(['pay'])
        for (const message of [list, initialize, { ...list, method: 'nothing' }]) {
          const hidden = await ask(stack, '/bills/mcp', message, { as: '/bills/mcp' })
          const unknown = await ask(stack, '/nobody/mcp', message, { as: '/bills/mcp' })
          const seen = [hidden, unknown].map(({ status, headers }) => {
            const sent = [...headers].filter(([name]) => !/^(date|x-request-id)$/.test(name))
            return { status, sent }
          })
          expect(seen[0]).toEqual(seen[1])
          expect(seen[0]?.status).toBe(404)
          const texts = [await hidden.text(), await unknown.text()]
          const [own, other] = texts.map((text) => text.replace(/"requestId":"[^"]+"/, ''))
          expect(own).toBe(other)
        }
        const logged = stack.logs().filter(({ refusal }) => refusal === 'access')
        expect(logged[0]).toMatchObject({ target: 'bills', rule: 'access.roles', status: 404 })
        expect(await toolsAt(stack, '/docs/mcp')).toEqual(['read', 'write'])
      })
    }
  })

  it('names its endpoint nowhere but in the metadata that clients need for it', async () => {
    for (const which of ['each', 'both'] as const) {
      await using(await start(which, restricted()), async (stack) => {
        for (const path of [
          '/',
          '/readyz',
          '/docs',
          `${WELL_KNOWN}/docs/mcp`,
          `${WELL_KNOWN}/mcp`,
        ]) {
          expect(await (await fetch(stack.origin + path)).text()).not.toContain('bills')
        }
        expect((await fetch(`${stack.origin}/bills`)).status).toBe(404)
        const { status, body } = await getJson(stack, `${WELL_KNOWN}/bills/mcp`)
        expect(status).toBe(200)
        expect(body).not.toHaveProperty('resource_name')
      })
    }
  })

  it('is asked for a sign-in first', async () => {
    await using(await start('each', restricted()), async (stack) => {
      expect((await ask(stack, '/bills/mcp', list)).status).toBe(401)
      const expired = { exp: 1, roles: ['accountant'] }
      const asked = { as: '/bills/mcp', claims: expired }
      expect((await ask(stack, '/bills/mcp', list, asked)).status).toBe(401)
    })
  })
})

describe('the scopes of an endpoint', () => {
  it('are those of its own target', async () => {
    const tools = { scopes: { write: ['docs:write'] } }
    await using(await start('both', { docs: { url: docs.url, tools } }), async (stack) => {
      const scopes = async (path: string) => (await getJson(stack, WELL_KNOWN + path)).body
      expect(await scopes('/docs/mcp')).toMatchObject({ scopes_supported: ['docs:write'] })
      expect(await scopes('/mcp')).toMatchObject({ scopes_supported: ['docs:write'] })
      expect(await scopes('/bills/mcp')).toMatchObject({
        scopes_supported: ['mcp:use', 'docs:write'],
      })
      const call = { ...list, method: 'tools/call', params: { name: 'write' } }
      const { status, headers } = await ask(stack, '/docs/mcp', call, {
        as: '/docs/mcp',
        claims: { scope: 'mcp:use' },
      })
      expect(status).toBe(403)
      expect(headers.get('www-authenticate')).toMatch(
        /resource_metadata="[^"]+\/docs\/mcp", scope="docs:write mcp:use"/,
      )
    })
  })
})

describe('pages for people', () => {
  it('are one for all endpoints, and one for each', async () => {
    await using(await start('each'), async (stack) => {
      const page = async (path: string) => {
        const response = await fetch(stack.origin + path)
        return response.status === 200 ? response.text() : ''
      }
      const front = await page('/')
      for (const name of ['docs', 'bills']) {
        expect(front).toContain(urlOf(stack, `/${name}/mcp`))
        expect(front).toContain(`href="${urlOf(stack, `/${name}`)}"`)
        const own = await page(`/${name}`)
        expect(own).toContain(`MCP server ${name} at localhost`)
        expect(own).toContain(urlOf(stack, `/${name}/mcp`))
        expect(own).not.toContain(urlOf(stack, `/${name === 'docs' ? 'bills' : 'docs'}/mcp`))
        expect(await page(`/${name}/`)).toBe(own)
      }
      expect(await page('/nobody')).toBe('')
    })
  })
})
