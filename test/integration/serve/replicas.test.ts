import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { type Balancer, startBalancer } from '../../helpers/balancer.js'
import { type CliProcess, startCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'
import { SSE_HEADERS } from '../../helpers/targets/event-stream.js'
import { send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SESSIONS = 1_000
const AT_ONCE = 16
const PATIENCE_MS = 240_000
const PUBLIC = 'http://mcp.localhost:8123'

let identity: Identity
let targets: RecordingTarget[]
let replicas: (CliProcess & { origin: string })[]
let balancer: Balancer
let authorization: string

async function startReplica(port = 0) {
  const flags = ['--port', String(port), '--public-url', PUBLIC, '--log-format', 'json']
  const each = targets.flatMap(({ url }, index) => ['--target', `${'ab'[index]}=${url}`])
  const replica = startCli(['serve', ...flags, ...each, '--allowed-host', '127.0.0.1'], {
    env: {
      DESCOPE_CONFIG_URL: identity.configUrl,
      SESSION_SECRET: 'a-session-secret-of-more-than-32-bytes',
    },
    timeoutMs: PATIENCE_MS,
  })
  const [, url = ''] = await replica.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  return { ...replica, origin: new URL(url).origin }
}

beforeAll(async () => {
  identity = await startIdentity({ clock })
  targets = await Promise.all([0, 1].map(() => startRecordingTarget({ sessions: 'required' })))
  for (const target of targets) {
    // each stream says whose it is as soon as it opens
    target.intercept(({ method, sessionId }, response) => {
      if (method !== 'GET' || !target.sessions.has(String(sessionId))) return false
      const params = { level: 'info', data: sessionId }
      const message = { jsonrpc: '2.0', method: 'notifications/message', params }
      response.writeHead(200, SSE_HEADERS)
      response.write(`data: ${JSON.stringify(message)}\n\n`)
      return true
    })
    target.on('tools/call', (_params, { sessionId }) => ({ content: [], sessionId }))
  }
  replicas = await Promise.all([startReplica(), startReplica(), startReplica()])
  balancer = await startBalancer(replicas.map(({ origin }) => origin))
  authorization = `Bearer ${await identity.mint({ aud: `${PUBLIC}/mcp` })}`
}, 60_000)
afterAll(async () => {
  await balancer.close()
  for (const { child } of replicas) child.kill('SIGKILL')
  await Promise.all(replicas.map(({ ended }) => ended))
  await Promise.all([...targets.map((target) => target.close()), identity.close()])
})

const HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

/** Sends one request; `undefined` when it was cut off. */
async function attempt(
  method: string,
  session: string | undefined,
  message?: object,
): Promise<Response | undefined> {
  const headers = { ...HEADERS, authorization, ...(session && { 'mcp-session-id': session }) }
  const body = message === undefined ? {} : { body: JSON.stringify(message) }
  const response = await fetch(`${balancer.origin}/mcp`, { method, headers, ...body }).catch(
    () => undefined,
  )
  // the balancer's own: the replica was gone in the middle
  return response?.status === 502 && !response.headers.has('cache-control') ? undefined : response
}

interface Life {
  repeated: number
}

/** Does a step again, once and a little later, when a replica died while it had the request. */
async function step<T>(life: Life, act: () => Promise<T | undefined>): Promise<T> {
  const done = await act()
  if (done !== undefined) return done
  life.repeated++
  await new Promise((resolve) => setTimeout(resolve, 200))
  return (await act()) as T
}

const callOf = (name: string) => ({
  jsonrpc: '2.0',
  id: 'same',
  method: 'tools/call',
  params: { name, arguments: {} },
})

/** The life of one client: initialize, a call, a stream, DELETE, each at the next replica. */
async function live(life: Life, index: number): Promise<void> {
  const clientInfo = { name: 'c', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params }
  const session = await step(life, async () => {
    const response = await attempt('POST', undefined, hello)
    await response?.text()
    return response?.headers.get('mcp-session-id') ?? undefined
  })
  const name = index % 2 ? 'a_echo' : 'b_echo'
  const answer = await step(life, async () => {
    const response = await attempt('POST', session, callOf(name))
    return response && { status: response.status, text: await response.text() }
  })
  expect(answer.status).toBe(200)
  const seen = await step(life, () => readStream(session, targets.length))
  expect(seen).toContain(JSON.parse(answer.text).result.sessionId)
  expect(targets.every(({ sessions }) => seen.some((id) => sessions.has(id)))).toBe(true)
  const before = life.repeated
  const status = await step(life, async () => (await attempt('DELETE', session))?.status)
  // the one that was cut off may have done its work
  expect(status === 200 || (life.repeated > before && status === 404)).toBe(true)
}

/** Whose streams the client's stream brings. */
async function readStream(session: string, count: number): Promise<string[] | undefined> {
  const response = await attempt('GET', session)
  if (response === undefined) return undefined
  expect(response.status).toBe(200)
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let text = ''
  try {
    for (;;) {
      const seen = [...text.matchAll(/"data":"([^"]+)"/g)].map(([, data]) => data as string)
      if (seen.length === count) return seen
      const { value, done } = await reader.read()
      if (done) return undefined
      text += Buffer.from(value).toString()
    }
  } catch {
    return undefined
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

it(
  '1,000 sessions live on any of three replicas, though one of them is killed and started again',
  async () => {
    let started = 0
    let ended = 0
    let repeated = 0
    const client = async () => {
      while (started < SESSIONS) {
        const life = { repeated: 0 }
        await live(life, started++)
        repeated += life.repeated
        ended++
      }
    }
    const clients = Promise.all(Array.from({ length: AT_ONCE }, client))
    const chaos = async () => {
      while (ended < SESSIONS / 4) await new Promise((resolve) => setTimeout(resolve, 20))
      const [first] = replicas
      first?.child.kill('SIGKILL')
      await first?.ended
      while (ended < SESSIONS / 2) await new Promise((resolve) => setTimeout(resolve, 20))
      const again = await startReplica()
      replicas[0] = again
      balancer.replace(0, again.origin)
    }
    await Promise.all([clients, chaos()])
    expect(ended).toBe(SESSIONS)
    expect(balancer.refused).toBeGreaterThan(0)
    // only what the killed replica had in its hands was lost, and every client's next try went well
    expect(repeated).toBeLessThanOrEqual(AT_ONCE)
    for (const target of targets) expect(target.sessions.size).toBeLessThanOrEqual(AT_ONCE)
  },
  PATIENCE_MS,
)

it("another user's session, or a changed one, is not found on any replica, by any verb", async () => {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
  const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params }
  const session = (await attempt('POST', undefined, hello))?.headers.get('mcp-session-id') ?? ''
  const other = `Bearer ${await identity.mint({ aud: `${PUBLIC}/mcp`, sub: 'Uanother' })}`
  const changed = `${session.slice(0, 40)}${session[40] === 'A' ? 'B' : 'A'}${session.slice(41)}`
  for (const { origin } of replicas) {
    for (const method of ['POST', 'GET', 'DELETE']) {
      for (const headers of [
        { 'mcp-session-id': session, authorization: other },
        { 'mcp-session-id': changed, authorization },
      ]) {
        const body = method === 'POST' ? callOf('a_echo') : undefined
        const answer = await send(`${origin}/mcp`, {
          method,
          headers: { ...HEADERS, ...headers },
          body,
        })
        expect([method, answer.status]).toEqual([method, 404])
      }
    }
  }
})
