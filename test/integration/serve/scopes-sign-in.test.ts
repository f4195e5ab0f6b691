import { randomBytes } from 'node:crypto'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { followAuthorization, readCallback } from '../../../src/demo/visitor.js'
import { STATELESS_VERSION } from '../../../src/mcp/versions.js'
import { modernRequest } from '../../helpers/modern-client.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const REDIRECT = 'http://127.0.0.1:28682/callback'

const SCOPES = ['mcp:use', 'docs:read', 'docs:write', 'billing']

let identity: Identity
let target: RecordingTarget
beforeEach(async () => {
  target = await startRecordingTarget({ tools: [tool('read'), tool('write')] })
  target.on('tools/call', () => ({ content: [{ type: 'text', text: 'done' }] }))
})
afterEach(async () => {
  await target.close()
  await identity.close()
})

/** A person's client that keeps what it gets, and counts how often the person has to sign in. */
function createPerson() {
  let client: unknown
  let tokens: unknown
  let verifier = ''
  let asked: URL | undefined
  const state = randomBytes(8).toString('hex')
  const signedInFor: (string | null)[] = []
  const provider = {
    redirectUrl: REDIRECT,
    clientMetadata: {
      client_name: 'a client',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    state: () => state,
    clientInformation: () => client,
    saveClientInformation: (given: unknown) => {
      client = given
    },
    tokens: () => tokens,
    saveTokens: (given: unknown) => {
      tokens = given
    },
    redirectToAuthorization: (url: URL) => {
      asked = url
    },
    saveCodeVerifier: (given: string) => {
      verifier = given
    },
    codeVerifier: () => verifier,
  }
  return {
    provider: provider as never,
    signedInFor,
    /** Signs in as a browser would. */
    async signIn(): Promise<string> {
      if (asked === undefined) throw new Error('nothing asked for a sign-in')
      signedInFor.push(asked.searchParams.get('scope'))
      return readCallback(await followAuthorization(asked, REDIRECT, fetch), state)
    },
  }
}

type Person = ReturnType<typeof createPerson>

/** Calls until it works or somebody signed in three times; each refusal may ask for a sign-in. */
async function callAsV1(url: string, person: Person, name: string): Promise<string> {
  for (;;) {
    const transport = new StreamableHTTPClientTransport(new URL(url), {
      authProvider: person.provider,
    })
    const client = new Client({ name: 'v1', version: '1' })
    try {
      await client.connect(transport as never)
      const { content } = await client.callTool({ name })
      return (content as { text: string }[])[0]?.text ?? ''
    } catch (error) {
      if ((error as Error).constructor.name !== 'UnauthorizedError') throw error
      if (person.signedInFor.length === 3) throw error
      await transport.finishAuth(await person.signIn())
    } finally {
      await client.close()
    }
  }
}

async function callAsV2(url: string, person: Person, name: string): Promise<string> {
  for (;;) {
    const transport = new TransportV2(new URL(url), { authProvider: person.provider })
    const client = new ClientV2({ name: 'v2', version: '1' })
    try {
      await client.connect(transport)
      const { content } = await client.callTool({ name })
      return (content as { text: string }[])[0]?.text ?? ''
    } catch (error) {
      if ((error as Error).name !== 'UnauthorizedError' || person.signedInFor.length === 3)
        throw error
      await transport.finishAuth(await person.signIn())
    } finally {
      await client.close()
    }
  }
}

const start = (requiredScopes: string[]): Promise<Stack> =>
  startStack({
    identity,
    targets: {
      t: {
        url: target.url,
        tools: { scopes: { read: ['docs:read'], write: ['docs:read', 'docs:write'] } },
      },
    },
    config: { descope: { requiredScopes } },
  })

describe.each([
  ['with refresh tokens', 2_419_200],
  ['without refresh tokens', 0],
])('from no token to a scoped tool, %s', (_title, refreshTtl) => {
  beforeEach(async () => {
    identity = await startIdentity({ clock, refreshTtl, scopes: SCOPES })
  })

  describe.each([
    ['1.x', callAsV1],
    ['2.x', callAsV2],
  ])('the official SDK %s', (_sdk, callAs) => {
    it.each([
      ['no required scopes', []],
      ['a required scope', ['mcp:use']],
    ])('needs at most two sign-ins, with %s', async (_which, required) => {
      const stack = await start(required)
      try {
        const person = createPerson()
        expect(await callAs(stack.server.resource, person, 't_write')).toBe('done')
        expect(await callAs(stack.server.resource, person, 't_read')).toBe('done')
        expect(person.signedInFor.length).toBeLessThanOrEqual(2)
      } finally {
        await stack.close()
      }
    })
  })
})

describe('a client whose person granted less than was asked for', () => {
  it('of the official SDK 1.x steps up once, to what it has and what the call needs', async () => {
    identity = await startIdentity({ clock, refreshTtl: 0, scopes: SCOPES })
    const stack = await start(['mcp:use'])
    try {
      const person = createPerson()
      const narrow = await identity.mint({
        aud: [stack.server.resource],
        scope: 'mcp:use billing offline_access',
      })
      const saved = { access_token: narrow, token_type: 'Bearer' }
      ;(person.provider as { saveTokens(given: unknown): void }).saveTokens(saved)
      expect(await callAsV1(stack.server.resource, person, 't_write')).toBe('done')
      expect(person.signedInFor).toEqual(['mcp:use docs:read docs:write billing'])
    } finally {
      await stack.close()
    }
  })
})

describe('the scopes in challenges and metadata', () => {
  const scopeOf = (response: Response) =>
    /scope="([^"]*)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1]?.split(' ')

  const write = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't_write' } }

  async function withStack(use: (stack: Stack) => Promise<void>) {
    identity = await startIdentity({ clock, scopes: SCOPES })
    const stack = await startStack({
      identity,
      targets: {
        t: { url: target.url, tools: { scopes: { write: ['docs:write'], old: ['not:offered'] } } },
        b: { url: target.url, access: { scopes: ['billing'] } },
      },
      config: { descope: { requiredScopes: ['mcp:use'] } },
    })
    try {
      await use(stack)
    } finally {
      await stack.close()
    }
  }

  it('of the metadata are the required ones and those of the policy that Descope offers', async () => {
    await withStack(async (stack) => {
      const url = `${stack.origin}/.well-known/oauth-protected-resource/mcp`
      expect(await (await fetch(url)).json()).toMatchObject({
        scopes_supported: ['mcp:use', 'docs:write', 'billing'],
      })
      const [warning] = stack.logs().filter(({ event }) => event === 'scopes_unknown')
      expect(warning).toMatchObject({ level: 'warn', scopes: ['not:offered'] })
    })
  })

  it('without a token are all of them, since the official SDK 1.x never asks for more later', async () => {
    await withStack(async (stack) => {
      const response = await fetch(stack.url, { method: 'POST' })
      expect(scopeOf(response)).toEqual(['mcp:use', 'docs:write', 'billing'])
    })
  })

  it.each([undefined, '2025-11-25'])(
    'of a call by a client of version %j are those of every token, of the call, and what it has',
    async (version) => {
      await withStack(async (stack) => {
        const token = await stack.token({ scope: 'mcp:use extra offline_access' })
        const response = await stack.post(write, {
          authorization: `Bearer ${token}`,
          ...(version !== undefined && { 'mcp-protocol-version': version }),
        })
        expect(response.status).toBe(403)
        expect(scopeOf(response)).toEqual(['mcp:use', 'docs:write', 'extra'])
      })
    },
  )

  it('of a call by a stateless client leave out what it adds by itself', async () => {
    identity = await startIdentity({ clock, scopes: SCOPES })
    const modern = await startModernRecordingTarget({ tools: [tool('write')] })
    const stack = await startStack({
      identity,
      targets: { t: { url: modern.url, tools: { scopes: { write: ['docs:write'] } } } },
      config: { descope: { requiredScopes: ['mcp:use'] } },
    })
    try {
      const response = await stack.post(modernRequest('tools/call', { name: 't_write' }), {
        authorization: `Bearer ${await stack.token({ scope: 'mcp:use extra' })}`,
        ...{ 'mcp-protocol-version': STATELESS_VERSION, 'mcp-method': 'tools/call' },
        'mcp-name': 't_write',
      })
      expect(response.status).toBe(403)
      expect(scopeOf(response)).toEqual(['mcp:use', 'docs:write'])
    } finally {
      await stack.close()
      await modern.close()
    }
  })

  it.each([
    ['2025-06-18', ['mcp:use', 'extra']],
    [STATELESS_VERSION, ['mcp:use']],
  ])('of a token without the required ones, at version %s, are %j', async (version, scopes) => {
    await withStack(async (stack) => {
      const headers = {
        authorization: `Bearer ${await stack.token({ scope: 'extra' })}`,
        'mcp-protocol-version': version,
      }
      const response = await stack.post(write, headers)
      expect(response.status).toBe(403)
      expect(scopeOf(response)).toEqual(scopes)
    })
  })
})
