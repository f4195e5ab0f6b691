import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { startModernTarget } from '../../helpers/targets/modern.js'
import { MCP_HEADERS } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

const URL_MODE = { elicitation: { url: {} } }

let identity: Identity
let github: RecordingTarget
let open: RecordingTarget
/** One target with connections, and the same beside one without. */
let alone: Stack
let several: Stack
beforeAll(async () => {
  identity = await startIdentity({ clock, scopes: ['mcp:use', 'outbound.token.fetch'] })
  const accepts = (token: string) => identity.issuedSecrets().includes(token)
  github = await startGuardedTarget(identity, { accepts }, { sessions: 'required' })
  open = await startRecordingTarget()
  const target = { url: github.url, credential: { type: 'connection', app: 'gh.com' } } as const
  alone = await startStack({ identity, targets: { github: target } })
  several = await startStack({ identity, targets: { github: target, open: open.url } })
})
afterAll(async () => {
  await Promise.all([alone.close(), several.close()])
  await Promise.all([github.close(), open.close(), identity.close()])
})
afterEach(async () => {
  await fetch(`${identity.url}/__test/connections`, { method: 'DELETE' })
  identity.set({ outboundApps: [], fail: [] })
})

let users = 0

/** A user who comes for the first time. */
async function newUser(stack: Stack, capabilities: object = {}, protocolVersion = '2025-11-25') {
  const sub = `U2user${++users}`
  const token = await stack.token({ sub, scope: 'mcp:use outbound.token.fetch' })
  let session: string | undefined
  const headers = () => ({
    ...MCP_HEADERS,
    authorization: `Bearer ${token}`,
    ...(session !== undefined && { 'mcp-session-id': session }),
  })
  const ask = async (method: string, params: object = {}) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 7, method, params })
    const answer = await fetch(stack.url, { method: 'POST', headers: headers(), body })
    session = answer.headers.get('mcp-session-id') ?? session
    const text = await answer.text()
    return JSON.parse(text.startsWith('{') ? text : (/^data: (.*"id":7.*)$/m.exec(text)?.[1] ?? ''))
  }
  const clientInfo = { name: 'test', version: '1' }
  const initialized = await ask('initialize', { protocolVersion, capabilities, clientInfo })
  return { sub, token, ask, headers, initialized }
}

const namesOf = ({ result }: { result: { tools: { name: string }[] } }) =>
  result.tools.map(({ name }) => name)

const linkIn = (text: string) => /https?:\/\/\S+\/connect\/[^\s",]+/.exec(text)?.[0] ?? ''

const follow = (url: string, decision = 'connect') =>
  fetch(url, { method: 'POST', headers: FORM, body: new URLSearchParams({ decision }) })

/** Reads a stream until it holds a text. */
async function readUntil(response: Response, wanted: RegExp): Promise<string> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const decoder = new TextDecoder()
  let text = ''
  while (!wanted.test(text)) {
    const { done, value } = await reader.read()
    if (done) break
    text += decoder.decode(value, { stream: true })
  }
  await reader.cancel()
  return text
}

describe('a user who is not connected', () => {
  it('initializes, lists one tool to connect with, and gets the link from any call', async () => {
    const { initialized, ask } = await newUser(alone)
    expect(initialized.result.capabilities.tools).toEqual({ listChanged: true })
    expect(namesOf(await ask('tools/list'))).toEqual(['github_connect_gh_com'])
    for (const method of ['prompts/list', 'resources/list', 'resources/templates/list', 'ping']) {
      expect((await ask(method)).error, method).toBeUndefined()
    }
    for (const name of ['github_connect_gh_com', 'github_echo']) {
      const { result } = await ask('tools/call', { name, arguments: {} })
      expect(result.isError).toBe(true)
      expect(linkIn(result.content[0].text)).toContain(identity.url)
    }
    const read = await ask('resources/read', { uri: 'test://x' })
    expect(read.error).toMatchObject({ code: -32603, data: { target: 'github' } })
    expect(linkIn(read.error.message)).not.toBe('')
    expect(github.requests.filter(({ rpc }) => rpc !== undefined)).toEqual([])
    expect(alone.logText()).not.toContain('/connect/')
  })

  it('sees the other targets as before', async () => {
    const { ask } = await newUser(several)
    const list = await ask('tools/list')
    expect(namesOf(list)).toEqual(['github_connect_gh_com', 'open_echo'])
    expect(list.result._meta).toBeUndefined()
    expect((await ask('tools/call', { name: 'open_echo' })).result.isError).not.toBe(true)
  })

  it('opens the link in the client where that can open URLs, and goes on in the same session', async () => {
    for (const stack of [alone, several]) {
      const { ask } = await newUser(stack, URL_MODE)
      const { error } = await ask('tools/call', { name: 'github_echo', arguments: {} })
      expect(error.code).toBe(-32042)
      const [elicitation] = error.data.elicitations
      expect(elicitation).toMatchObject({ mode: 'url', url: expect.stringMatching(/^http/) })
      await follow(elicitation.url)
      await new Promise((resolve) => setTimeout(resolve, 2_100))
      expect((await ask('tools/call', { name: 'github_echo' })).result.isError).not.toBe(true)
      expect(namesOf(await ask('tools/list'))).toContain('github_echo')
      const again = await ask('tools/call', { name: 'github_connect_gh_com' })
      expect(again.result.content[0].text).toContain('is connected')
    }
  })

  it('opens nothing in an older client, whatever that declares', async () => {
    const { ask } = await newUser(alone, URL_MODE, '2025-06-18')
    const { result } = await ask('tools/call', { name: 'github_echo', arguments: {} })
    expect(linkIn(result.content[0].text)).not.toBe('')
  })

  it('is told on open streams that the lists changed, and that the page is done', async () => {
    for (const stack of [alone, several]) {
      const { ask, headers } = await newUser(stack, URL_MODE)
      const stream = await fetch(stack.url, { headers: headers() })
      const { error } = await ask('tools/call', { name: 'github_echo', arguments: {} })
      const [{ url, elicitationId }] = error.data.elicitations
      await follow(url)
      const text = await readUntil(stream, /resources\/list_changed/)
      expect(text).toContain('notifications/tools/list_changed')
      expect(text).toContain(elicitationId)
    }
  })

  it('keeps seeing its own last tools, and nobody else sees them', async () => {
    const one = await newUser(alone)
    identity.set({
      connections: [{ appId: 'gh.com', userId: one.sub, accessToken: identityToken() }],
    })
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    expect(namesOf(await one.ask('tools/list'))).toEqual(['github_echo'])
    const two = await newUser(alone)
    expect(namesOf(await two.ask('tools/list'))).toEqual(['github_connect_gh_com'])
  })

  it.each([401, 403, 404, 500, 302])(
    'is told which setting of the console to look at when the link is refused with %s',
    async (status) => {
      const { ask } = await newUser(alone)
      identity.set({ fail: [{ path: '/outbound/app/connect', status, times: 1 }] })
      const { result } = await ask('tools/call', { name: 'github_echo', arguments: {} })
      expect(result.content[0].text).toMatch(new RegExp(`answered ${status}.*console`))
      expect(alone.logText()).toMatch(/connect_link_refused.*console/)
    },
  )
})

/** A token that the target takes. */
function identityToken(): string {
  return identity.issuedSecrets()[0] as string
}

describe('a client of 2026-07-28 whose user is not connected', () => {
  const meta = (capabilities: object) => ({
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  })
  async function ask(
    method: string,
    params: object,
    capabilities: object,
    user: string,
    stack = fresh,
  ) {
    const token = await stack.token({ sub: user, scope: 'mcp:use outbound.token.fetch' })
    const { name } = params as { name?: string }
    const answer = await fetch(stack.url, {
      method: 'POST',
      headers: {
        ...MCP_HEADERS,
        authorization: `Bearer ${token}`,
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(name !== undefined && { 'mcp-name': name }),
      },
      body: JSON.stringify({
        ...{ jsonrpc: '2.0', id: 3, method },
        params: { ...params, _meta: meta(capabilities) },
      }),
    })
    return JSON.parse(await answer.text())
  }
  /** Nobody has told it yet which protocol the target speaks. */
  let fresh: Stack
  beforeAll(async () => {
    const credential = { type: 'connection', app: 'gh.com' } as const
    fresh = await startStack({ identity, targets: { github: { url: github.url, credential } } })
  })
  afterAll(() => fresh.close())

  it('discovers, lists, and is asked to open the link', async () => {
    const discovered = await ask('server/discover', {}, {}, 'U2modern')
    expect(discovered.result.supportedVersions).toContain('2026-07-28')
    const list = await ask('tools/list', {}, {}, 'U2modern')
    expect(list.result).toMatchObject({ ttlMs: 0, cacheScope: 'private', resultType: 'complete' })
    expect(namesOf(list)).toEqual(['github_connect_gh_com'])
    const call = { name: 'github_echo', arguments: {} }
    const { result } = await ask('tools/call', call, URL_MODE, 'U2modern')
    expect(result.resultType).toBe('input_required')
    const [[key, request]] = Object.entries<Record<string, unknown>>(result.inputRequests) as [
      [string, Record<string, unknown>],
    ]
    expect(request).toMatchObject({ method: 'elicitation/create', params: { mode: 'url' } })
    const inputResponses = { [key]: { action: 'decline' } }
    const declined = await ask('tools/call', { ...call, inputResponses }, URL_MODE, 'U2modern')
    expect(declined.result).toMatchObject({ isError: true, resultType: 'complete' })
    const plain = await ask('tools/call', call, {}, 'U2modern')
    expect(linkIn(plain.result.content[0].text)).not.toBe('')
  })

  it('goes on with the call once the user comes back connected, and the target learns of no link', async () => {
    const modern = await startModernTarget()
    const credential = { type: 'connection', app: 'gh.com' } as const
    const stack = await startStack({ identity, targets: { m: { url: modern.url, credential } } })
    onTestFinished(async () => {
      await stack.close()
      await modern.close()
    })
    const call = { name: 'm_echo', arguments: {} }
    const { result } = await ask('tools/call', call, URL_MODE, 'U2back', stack)
    const [[key, { params }]] = Object.entries<{ params: { url: string } }>(
      result.inputRequests,
    ) as [[string, { params: { url: string } }]]
    const inputResponses = { [key]: { action: 'accept' } }
    const returned = ask('tools/call', { ...call, inputResponses }, URL_MODE, 'U2back', stack)
    await follow(params.url)
    expect((await returned).result).toMatchObject({ resultType: 'complete' })
    expect(JSON.stringify(modern.of('tools/call').map(({ message }) => message))).not.toContain(key)
  })
})
