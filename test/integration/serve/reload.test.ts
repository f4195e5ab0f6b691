import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { readEvents } from '../../helpers/event-reader.js'
import { modernRequest, openModern } from '../../helpers/modern-client.js'
import { type Reloading, startReloading } from '../../helpers/reloading.js'
import { clock, type Stack } from '../../helpers/stack.js'
import { echoProgram } from '../../helpers/targets/echo-program.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { call, send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'

let identity: Identity
let a: RecordingTarget
let b: RecordingTarget
let serve: Reloading
let token: string
let headers: Record<string, string>

/** A configuration with target a, and what a test adds. */
const configWith = (more: object = {}, targets: object = {}) => ({
  descope: { configUrl: identity.configUrl },
  session: { secret: SECRET },
  // files are looked at in tests that say so
  server: { watch: false, metricsPort: 0 },
  timeouts: { heartbeat: 60 },
  targets: { a: { url: a.url }, ...targets },
  ...more,
})

beforeAll(async () => {
  identity = await startIdentity({ clock })
  a = await startRecordingTarget({ sessions: 'required', listChanged: true })
  b = await startRecordingTarget({ sessions: 'required', listChanged: true })
  serve = await startReloading({ config: configWith(), identity, timeoutMs: 110_000 })
  token = await serve.token()
  headers = { authorization: `Bearer ${token}` }
})
afterAll(async () => {
  await serve.close()
  await Promise.all([identity.close(), a.close(), b.close()])
})

const HELLO = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'c', version: '1' },
}

async function initialize(): Promise<Record<string, string>> {
  const answer = await call(serve.url, 'initialize', HELLO, { headers })
  return { ...headers, 'mcp-session-id': String(answer.headers['mcp-session-id']) }
}

const echo = (name: string, own = headers) =>
  call(serve.url, 'tools/call', { name, arguments: { note: 'n' } }, { headers: own })

const tools = async (own = headers) => {
  const { body } = await call(serve.url, 'tools/list', {}, { headers: own })
  const data = body.startsWith('{') ? body : (body.match(/data: (.*)/)?.[1] ?? '')
  return (JSON.parse(data).result.tools as { name: string }[]).map(({ name }) => name)
}

async function openStream(own: Record<string, string>) {
  const abort = new AbortController()
  const response = await fetch(serve.url, {
    headers: { ...own, accept: 'text/event-stream' },
    signal: abort.signal,
  })
  expect(response.status).toBe(200)
  return { ...readEvents(response), abort: () => abort.abort() }
}

describe('a reload', () => {
  it('changes the policy for calls and lists, tells open streams, and names what changed', async () => {
    const session = await initialize()
    const stream = await openStream(session)
    await eventually(() => expect(a.getStreams()).toHaveLength(1))
    const done = await serve.reload(
      configWith({}, { a: { url: a.url, tools: { deny: ['echo'] } } }),
    )
    expect(done).toMatchObject({ event: 'config_reloaded', changed: ['targets.a.tools.deny'] })
    expect(await tools(session)).not.toContain('a_echo')
    expect((await echo('a_echo', session)).body).toContain('Unknown tool')
    expect((await stream.next()).message.method).toBe('notifications/tools/list_changed')
    await a.notify('notifications/message', { level: 'info', data: 'still heard' })
    expect((await stream.next()).message.method).toBe('notifications/message')
    expect(a.getStreams()).toHaveLength(1)
    stream.abort()
    await serve.reload(configWith())
    expect((await echo('a_echo', session)).body).toContain('"content"')
  })

  it('lets a call that is under way end as it began, also when its target is removed', async () => {
    let finish = () => {}
    const waiting = new Promise<void>((resolve) => {
      b.on('tools/call', async () => {
        resolve()
        await new Promise<void>((end) => {
          finish = end
        })
        return { content: [{ type: 'text', text: 'late' }] }
      })
    })
    await serve.reload(configWith({}, { b: { url: b.url } }))
    const session = await initialize()
    const pending = echo('b_echo', session)
    await waiting
    const done = await serve.reload(configWith())
    expect(done['changed']).toEqual(['targets.b (removed)'])
    expect((await echo('b_echo', session)).body).toContain('Unknown tool')
    finish()
    expect((await pending).body).toContain('late')
    b.on('tools/call', () => ({ content: [] }))
  })

  it('adds a target and removes it: sessions stay, and open streams hear of it', async () => {
    const session = await initialize()
    const stream = await openStream(session)
    await serve.reload(configWith({}, { b: { url: b.url } }))
    const lists = [await stream.next(), await stream.next(), await stream.next()]
    expect(lists.map(({ message }) => message.method).sort()).toEqual([
      'notifications/prompts/list_changed',
      'notifications/resources/list_changed',
      'notifications/tools/list_changed',
    ])
    expect(await tools(session)).toEqual(expect.arrayContaining(['a_echo', 'b_echo']))
    expect((await echo('b_echo', session)).status).toBe(200)
    // the stream of the added target is opened once it has a session
    await eventually(() => expect(b.getStreams()).toHaveLength(1))
    await b.notify('notifications/message', { level: 'info', data: 'from b' })
    expect((await stream.next()).message.method).toBe('notifications/message')
    await serve.reload(configWith())
    for (let i = 0; i < 3; i++) await stream.next()
    await eventually(() => expect(b.getStreams()).toHaveLength(0))
    await a.notify('notifications/message', { level: 'info', data: 'from a' })
    expect((await stream.next()).message.method).toBe('notifications/message')
    expect((await echo('a_echo', session)).body).toContain('"content"')
    stream.abort()
  })

  it('leads to another URL of a target: its session is opened there, and its stream too', async () => {
    const session = await initialize()
    const stream = await openStream(session)
    await eventually(() => expect(a.getStreams()).toHaveLength(1))
    await serve.reload(configWith({}, { a: { url: b.url } }))
    b.clear()
    const answer = await echo('a_echo', session)
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('"content"')
    // nothing of the old place is told to the new one
    const own = a.requests.flatMap(({ headers: sent }) => sent['mcp-session-id'] ?? [])
    for (const { headers: sent } of b.requests) expect(own).not.toContain(sent['mcp-session-id'])
    await eventually(() => expect(a.getStreams()).toHaveLength(0))
    stream.abort()
    await serve.reload(configWith())
  })

  it('keeps a program that runs, and starts none anew', async () => {
    const program = echoProgram()
    await serve.reload(configWith({}, { p: program }))
    const session = await initialize()
    await echo('p_lines', session)
    const before = await echo('p_lines', session)
    await serve.reload(configWith({ log: { level: 'debug' } }, { p: program, b: { url: b.url } }))
    const after = await echo('p_lines', session)
    const calls = ({ body }: { body: string }) => body.split('tools/call').length
    expect(calls(after)).toBe(calls(before) + 1)
    expect(serve.records('child_started')).toHaveLength(0)
    await serve.reload(configWith())
    await eventually(() => expect(serve.records('child_ended').length).toBeLessThanOrEqual(1))
  })

  it('takes a rotated credential from its file, which it watches', async () => {
    const path = join(serve.folder, 'token')
    writeFileSync(path, 'first-token-of-the-target')
    const credential = { type: 'bearer', token: `@${path}` }
    const config = configWith({ server: {} }, { a: { url: a.url, credential } })
    await serve.reload(config)
    const session = await initialize()
    await echo('a_echo', session)
    expect(a.requests.at(-1)?.headers.authorization).toBe('Bearer first-token-of-the-target')
    const done = await serve.reloaded(() => writeFileSync(path, 'second-token-of-the-target'))
    expect(done['changed']).toEqual(['targets.a.credential.token'])
    await echo('a_echo', session)
    expect(a.requests.at(-1)?.headers.authorization).toBe('Bearer second-token-of-the-target')
    expect(serve.stderr()).not.toMatch(/(first|second)-token/)
    await serve.reload(configWith())
  })

  it.each([
    ['half a file', '{"targets": {"a": {"url": "http'],
    ['an unknown setting', { targets: { a: { url: 'http://127.0.0.1:9/mcp' } }, tools: {} }],
    ['no target', { targets: {} }],
  ])('refuses %s, says why, and keeps what is in force', async (_what, config) => {
    const session = await initialize()
    const refused = await serve.reload(config)
    expect(refused.event).toBe('config_refused')
    expect(refused.message).toMatch(/the one in force stays: .*config\.json|There is no target/)
    expect((await echo('a_echo', session)).body).toContain('"content"')
    expect((await serve.reload(configWith())).event).toBe('config_reloaded')
  })

  it('refuses to go on without its file until that is back', async () => {
    rmSync(serve.file)
    const refused = await serve.reloaded(() => serve.hangUp())
    expect(refused).toMatchObject({ event: 'config_refused' })
    expect((await echo('a_echo')).status).toBe(200)
    expect((await serve.reload(configWith())).event).toBe('config_reloaded')
  })

  it('refuses a Descope that does not answer', async () => {
    const configUrl = `http://127.0.0.1:9/v1/apps/${identity.projectId}/.well-known/openid-configuration`
    const refused = await serve.reload(configWith({ descope: { configUrl } }))
    expect(refused).toMatchObject({ event: 'config_refused' })
    expect(refused.message).toContain('Descope does not answer')
    expect((await echo('a_echo')).status).toBe(200)
    await serve.reload(configWith())
  })

  it('says which settings stay as they were', async () => {
    await serve.reload(configWith({ server: { watch: false, metricsPort: 1, workers: 3 } }))
    const kept = serve.records('config_kept').at(-1)
    expect(kept?.['kept']).toEqual(['server.workers', 'server.metricsPort'])
    expect((await echo('a_echo')).status).toBe(200)
    await serve.reload(configWith())
  })

  it('changes the log level, allowed origins, access and limits', async () => {
    const restricted = { a: { url: a.url, access: { roles: ['nobody'] } } }
    await serve.reload(
      configWith({ server: { watch: false, allowedOrigins: ['https://x.example'] } }),
    )
    const origin = { ...headers, origin: 'https://x.example' }
    expect((await echo('a_echo', origin)).status).toBe(200)
    await serve.reload(configWith({}, restricted))
    expect((await echo('a_echo', origin)).status).toBe(403)
    expect((await echo('a_echo')).body).toContain('Unknown tool')
    const other = { authorization: `Bearer ${await serve.token({ sub: 'limited' })}` }
    await serve.reload(configWith({ limits: { requestsPerMinute: 1 } }))
    expect((await echo('a_echo', other)).status).toBe(200)
    expect((await echo('a_echo', other)).status).toBe(429)
    await serve.reload(configWith())
    const debug = () => serve.records().filter(({ level }) => level === 'debug').length
    const before = debug()
    await serve.reload(configWith({ log: { level: 'debug' } }))
    await call(
      serve.url,
      'ping',
      {},
      { headers: { authorization: `Bearer ${await serve.token()}` } },
    )
    await eventually(() => expect(debug()).toBeGreaterThan(before))
    await serve.reload(configWith())
  })

  it('opens and closes endpoints of targets', async () => {
    const own = `${serve.origin}/a/mcp`
    await serve.reload(configWith({ server: { watch: false, endpoints: 'both' } }))
    const metadata = await send(`${serve.origin}/.well-known/oauth-protected-resource/a/mcp`, {
      method: 'GET',
    })
    expect(metadata.status).toBe(200)
    const { resource } = JSON.parse(metadata.body)
    const forOwn = { authorization: `Bearer ${await identity.mint({ aud: [resource] })}` }
    const hello = await call(own, 'initialize', HELLO, { headers: forOwn })
    const session = { ...forOwn, 'mcp-session-id': String(hello.headers['mcp-session-id']) }
    const response = await fetch(own, { headers: { ...session, accept: 'text/event-stream' } })
    expect(response.status).toBe(200)
    await serve.reload(configWith())
    // its streams end in order
    await readEvents(response).all()
    expect((await call(own, 'ping', {}, { headers })).status).toBe(404)
  })

  it('reaches subscriptions of the stateless protocol', async () => {
    const modern = await startModernRecordingTarget({ listChanged: true })
    const other = await startModernRecordingTarget({ listChanged: true })
    const both = { a: { url: modern.url }, b: { url: other.url } }
    await serve.reload(configWith({}, { a: { url: modern.url } }))
    const message = modernRequest('subscriptions/listen', {
      notifications: { toolsListChanged: true },
    })
    const at = { url: serve.url, token: async () => token } as unknown as Stack
    const lone = await openModern(at, message)
    await eventually(() => expect(modern.listeners).toBe(1))
    await serve.reload(configWith({}, both))
    const changes = (stream: typeof lone) =>
      stream.messages.filter(({ method }) => method === 'notifications/tools/list_changed').length
    await eventually(() => expect(changes(lone)).toBe(1))
    const merged = await openModern(at, message)
    await eventually(() => expect(other.listeners).toBe(1))
    await serve.reload(configWith({}, { a: { url: modern.url } }))
    await eventually(() => expect(other.listeners).toBe(0))
    expect(merged.end).toBeUndefined()
    // a subscription whose targets are all gone ends with its result
    await serve.reload(configWith())
    await eventually(() => expect(merged.messages.at(-1)?.result).toBeDefined())
    await eventually(() => expect(lone.messages.at(-1)?.result).toBeDefined())
    await modern.close()
    await other.close()
  })

  it('drops no call and no stream while one follows the other', async () => {
    b.on('tools/call', () => ({ content: [] }))
    const session = await initialize()
    const stream = await openStream(session)
    let isOver = false
    let failed = 0
    let made = 0
    const caller = async () => {
      while (!isOver) {
        const { status, body } = await echo('a_echo', session)
        made += 1
        if (status !== 200 || !body.includes('"content"')) failed += 1
      }
    }
    const callers = [caller(), caller(), caller(), caller()]
    for (let round = 0; round < 10; round++) {
      const more = round % 2 === 0 ? { b: { url: b.url } } : {}
      await serve.reload(configWith({ limits: { callsPerCaller: 50 + round } }, more))
    }
    // signals that come faster than reloads end are taken together
    for (let i = 0; i < 20; i++) serve.hangUp()
    isOver = true
    await Promise.all(callers)
    expect(failed).toBe(0)
    expect(made).toBeGreaterThan(10)
    await a.notify('notifications/message', { level: 'info', data: 'at the end' })
    await stream.all(({ method }) => method === 'notifications/message')
    stream.abort()
    await serve.reload(configWith())
  })
})
